import Tensors

/// Weights under the names a model asks for, in the format the engine computes with.
package struct WeightLoader: Sendable {
  package let store: WeightStore
  /// The format to compute with, nil for as stored (F16 is widened to f32).
  package let format: ElementType?
  /// Rewrites a published name into the one that this file uses.
  private let rename: @Sendable (String) -> String

  package init(
    store: WeightStore, format: ElementType? = nil, rename: @escaping @Sendable (String) -> String = { $0 }
  ) {
    self.store = store
    self.format = format
    self.rename = rename
  }

  /// A tensor of this shape as a matrix of its first dimension by the rest.
  package func matrix(_ name: String, _ shape: [Int]) throws(WeightError) -> Weight {
    let weight = try store.weight(rename(name), shape: shape)
    return weight.converted(to: format ?? (weight.type == .f16 ? .f32 : weight.type))
  }

  /// A vector as floats.
  package func vector(_ name: String, _ count: Int) throws(WeightError) -> [Float] {
    try store.weight(rename(name), shape: [count]).values
  }

  /// `NAME.weight` and, where asked for, `NAME.bias`.
  package func linear(_ name: String, _ outputs: Int, _ inputs: Int, bias: Bool) throws(WeightError) -> Linear {
    Linear(
      weight: try matrix(name + ".weight", [outputs, inputs]),
      bias: bias ? try vector(name + ".bias", outputs) : nil)
  }

  /// `NAME.weight` as a root-mean-square norm.
  package func norm(_ name: String, _ width: Int, epsilon: Float) throws(WeightError) -> RMSNorm {
    RMSNorm(weight: try vector(name + ".weight", width), epsilon: epsilon)
  }
}
