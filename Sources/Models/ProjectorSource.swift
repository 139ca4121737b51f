import CKernels
import Tensors

/// Where a drafter's projector comes from.
package enum ProjectorSource {
  /// Its folder, where that has one; with `parameters`, to be trained.
  case folder(ParameterSet? = nil)
  /// A new one, to be trained from the numbers that a seed gives.
  case fresh(ProjectorSettings, seed: UInt64, ParameterSet)
  /// None: the drafter drafts from text alone.
  case none
}

extension Projector {
  /// A projector with random weights.
  ///
  /// Linear layers begin as PyTorch's do, within ±1/√inputs, biases as zeros. The norm at the end begins at the scale of
  /// the drafter's word embeddings: without that, training takes long to find it.
  package init(
    fresh settings: ProjectorSettings, seed: UInt64, wordScale: Float, _ parameters: ParameterSet
  ) throws(WeightError) {
    let store = WeightStore(inventing: "new projector") { name, shape in
      let (rows, columns) = (shape[0], shape.dropFirst().reduce(1, *))
      let values = Tensor(rows: rows, columns: columns)
      let stream = name.utf8.reduce(mp_mix(seed, 0)) { mp_mix($0, UInt64($1)) }
      values.withMutable { out in
        for index in 0..<values.count {
          switch name {
          case "norm.weight": out[index] = wordScale
          case _ where name.hasSuffix("norm.weight"): out[index] = 1
          case _ where name.hasSuffix(".bias"): out[index] = 0
          default:
            out[index] = FreshWeights.uniform(stream, index) / Float(columns).squareRoot()
          }
        }
      }
      return StoredTensor(values)
    }
    try self.init(settings, WeightLoader(store, nil, parameters: parameters))
  }
}

extension LanguageModel {
  /// The root of the mean square of word embeddings as the first layer reads them.
  package var wordScale: Float {
    let count = min(configuration.vocabulary, 1024)
    let words = embed((0..<Int32(count)).map { $0 * Int32(configuration.vocabulary / count) })
    let squares = words.withValues { mp_sum_squares($0, words.count) }
    return Float((squares / Double(words.count)).squareRoot())
  }
}
