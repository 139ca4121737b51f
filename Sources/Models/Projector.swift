import Tensors

/// The trainable half of a MASSV drafter: the target's vision features → the drafter's embedding width.
///
/// linear_1, exact GELU, linear_2 and, where `massv.json` asks for it, a root-mean-square norm at the end, which keeps
/// visual tokens at the scale of word embeddings.
package struct Projector: Sendable {
  private let first: Linear
  private let second: Linear
  private let norm: RMSNorm?

  /// Reads `massv.json` and `projector.safetensors` of a drafter's folder.
  package init(folder: String, massv: ConfigReader, outputs: Int, _ engine: Engine?) throws {
    let inputs = try massv.count("vision_width")
    guard let settings = massv.object("projector") else {
      throw massv.invalid("projector", expected: "an object")
    }
    guard try massv.count("format") == 1 else { throw massv.invalid("format", expected: "1") }
    guard try settings.text("kind") ?? "mlp" == "mlp" else { throw settings.invalid("kind", expected: "\"mlp\"") }
    guard try settings.text("activation") ?? "gelu" == "gelu" else {
      throw settings.invalid("activation", expected: "\"gelu\"")
    }
    let hidden = try settings.count("hidden")
    let loader = WeightLoader(try WeightStore(folder: folder, name: "projector"), engine)
    first = try loader.linear("linear_1", hidden, inputs, bias: true)
    second = try loader.linear("linear_2", outputs, hidden, bias: true)
    let epsilon = Float(try settings.number("norm_eps", default: 1e-6))
    norm =
      try settings.flag("output_norm", default: false)
      ? try loader.norm("norm", outputs, epsilon: epsilon) : nil
    try loader.finish()
  }

  /// Width of the features that it reads.
  package var inputs: Int { first.weight.columns }

  /// features [visual tokens, inputs] → [visual tokens, outputs].
  package func callAsFunction(_ features: Tensor, _ engine: Engine) -> Tensor {
    let inner = first(features, engine)
    Activation.gelu.apply(to: inner, engine)
    let projected = second(inner, engine)
    return norm?(projected) ?? projected
  }
}
