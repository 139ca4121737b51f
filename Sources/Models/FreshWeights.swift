import CKernels
import Foundation
import Tensors

/// Random weights for a model that is to be trained from nothing.
///
/// Matrices begin within ±1/√inputs, what is added to the stream of states smaller; norms as ones, biases as zeros. Words as
/// the first layer reads them and what a picture is projected to both begin with a deviation of 1: where the two differ,
/// training takes long to find the picture.
enum FreshWeights {
  /// - Parameters:
  ///   - layers: of the language model.
  ///   - isGemma: whether root-mean-square norms are stored less 1, and embeddings scaled by √width.
  ///   - tower: whose vision tower it begins with, nil for one that is random too.
  static func store(
    _ name: String, seed: UInt64, layers: Int, isGemma: Bool, tower: WeightStore? = nil
  ) -> WeightStore {
    WeightStore(inventing: name) { name, shape throws(WeightError) in
      if let tower, isTower(name) { return try tower.tensor(name, shape: shape) }
      let values = Tensor(rows: shape[0], columns: shape.dropFirst().reduce(1, *))
      let stream = name.utf8.reduce(mp_mix(seed, 0)) { mp_mix($0, UInt64($1)) }
      let spread = spread(name, shape: [values.rows, values.columns], layers: layers, isGemma: isGemma)
      values.withMutable { out in
        for index in 0..<values.count {
          switch spread {
          case .constant(let value): out[index] = value
          case .uniform(let most): out[index] = most * uniform(stream, index)
          }
        }
      }
      return StoredTensor(values)
    }
  }

  /// Whether a published name is one of a vision tower's weights, not of the projector behind it.
  private static func isTower(_ name: String) -> Bool {
    name.hasPrefix("vision_tower.") || name.hasPrefix("visual.") && !name.hasPrefix("visual.merger.")
  }

  private enum Spread {
    case constant(Float)
    case uniform(Float)
  }

  private static func spread(_ name: String, shape: [Int], layers: Int, isGemma: Bool) -> Spread {
    // Of a matrix that is stored as [inputs, outputs].
    if name.hasSuffix("mm_input_projection_weight") { return .uniform((3 / Float(shape[0])).squareRoot()) }
    if name.hasSuffix("position_embedding.weight") { return .uniform(0.5) }
    if name.hasSuffix(".bias") { return .constant(0) }
    if name.contains("norm") || name.contains("ln_q") {
      // The tower's layer norms are stored as they are.
      return .constant(isGemma && !name.contains("vision_tower.") ? 0 : 1)
    }
    let scale = 1 / Float(shape[1]).squareRoot()
    if name.hasSuffix("embed_tokens.weight") { return .uniform(Float(3).squareRoot() * (isGemma ? scale : 1)) }
    // The last layer of Qwen's projector makes visual tokens as large as words.
    if name.hasSuffix("merger.mlp.2.weight") { return .uniform(4 * scale) }
    let addsToStream = ["o_proj.weight", "down_proj.weight", "attn.proj.weight", "out_proj.weight", "fc2.weight"]
      .contains { name.hasSuffix($0) }
    return .uniform(addsToStream ? scale / Float(layers).squareRoot() : scale)
  }

  /// From −1 to 1.
  static func uniform(_ stream: UInt64, _ index: Int) -> Float {
    Float(mp_mix(stream, UInt64(index)) >> 40) / Float(1 << 23) - 1
  }
}
