import CKernels
import Foundation
import Tensors

/// Random weights for a model that is to be trained from nothing.
///
/// Matrices begin within ±1/√inputs, what is added to the stream of states smaller; norms as ones, biases as zeros; word
/// embeddings with a deviation of 1, so that words and what a picture is projected to are of one scale from the start.
enum FreshWeights {
  /// - Parameters:
  ///   - layers: of the language model.
  ///   - normsLackOne: whether norms are stored less 1.
  static func store(_ name: String, seed: UInt64, layers: Int, normsLackOne: Bool) -> WeightStore {
    WeightStore(inventing: name) { name, shape in
      let values = Tensor(rows: shape[0], columns: shape.dropFirst().reduce(1, *))
      let stream = name.utf8.reduce(mp_mix(seed, 0)) { mp_mix($0, UInt64($1)) }
      let spread = spread(name, inputs: values.columns, layers: layers)
      values.withMutable { out in
        for index in 0..<values.count {
          switch spread {
          case .constant(let value): out[index] = normsLackOne && value == 1 ? 0 : value
          case .uniform(let most): out[index] = most * uniform(stream, index)
          }
        }
      }
      return StoredTensor(values)
    }
  }

  private enum Spread {
    case constant(Float)
    case uniform(Float)
  }

  private static func spread(_ name: String, inputs: Int, layers: Int) -> Spread {
    if name.hasSuffix(".bias") { return .constant(0) }
    if name.contains("norm") || name.contains("ln_q") { return .constant(1) }
    if name.hasSuffix("embed_tokens.weight") { return .uniform(Float(3).squareRoot()) }
    let scale = 1 / Float(inputs).squareRoot()
    // The last layer of the projector makes visual tokens as large as words.
    if name.hasSuffix("merger.mlp.2.weight") { return .uniform(4 * scale) }
    let addsToStream = ["o_proj.weight", "down_proj.weight", "attn.proj.weight"].contains { name.hasSuffix($0) }
    return .uniform(addsToStream ? scale / Float(layers).squareRoot() : scale)
  }

  /// From −1 to 1.
  static func uniform(_ stream: UInt64, _ index: Int) -> Float {
    Float(mp_mix(stream, UInt64(index)) >> 40) / Float(1 << 23) - 1
  }
}
