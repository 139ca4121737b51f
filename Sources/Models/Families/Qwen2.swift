import Tensors

/// Qwen2 and Qwen2.5: a plain language model. A text-only drafter, or the language half of a MASSV drafter.
package enum Qwen2 {
  /// The family as the list of families has it.
  package static let family = ModelFamily(
    modelType: "qwen2",
    load: { ModelParts(language: try load($0), vision: nil) },
    render: {
      render($0.text, system: $0.system ?? "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.")
    },
    endOfTurn: "<|im_end|>")

  // MARK: Configuration

  /// Sizes and rotary settings.
  package struct Configuration: Sendable, Equatable {
    package var sizes: DecoderConfiguration
    package var ropeBase: Double
    /// M-RoPE's sections, empty for plain rotary positions.
    package var ropeSections: [Int]
  }

  /// Reads the language model's sizes from `config.json`, flat or nested, in either of transformers' layouts.
  ///
  /// Defaults are those of transformers' Qwen2Config.
  package static func configuration(_ root: ConfigReader) throws(ModelError) -> Configuration {
    let text = root.object("text_config") ?? root
    if try text.flag("use_sliding_window", default: false) {
      throw text.invalid("use_sliding_window", expected: "false: sliding windows are not supported in Qwen2")
    }
    let sizes = try DecoderConfiguration(
      text, root: root,
      defaults: (vocabulary: nil, hidden: nil, layers: nil, heads: nil, intermediate: nil, positions: 32768))
    let rope = try ropeSettings(text, headWidth: sizes.headWidth)
    return Configuration(sizes: sizes, ropeBase: rope.base, ropeSections: rope.sections)
  }

  private static func ropeSettings(
    _ text: ConfigReader, headWidth: Int
  ) throws(ModelError) -> (base: Double, sections: [Int]) {
    let settings = text.object("rope_parameters") ?? text.object("rope_scaling")
    let flat = try text.number("rope_theta", default: 10000)
    let base = try settings?.number("rope_theta", default: flat) ?? flat
    guard base > 0 else { throw text.invalid("rope_theta", expected: "a number above 0") }
    guard let settings else { return (base, []) }
    var kind = try settings.text("rope_type")
    if kind == nil { kind = try settings.text("type") }
    guard ["default", "mrope"].contains(kind ?? "default") else {
      throw settings.invalid("rope_type", expected: "\"default\" or \"mrope\"")
    }
    let sections = try settings.integers("mrope_section") ?? []
    guard
      sections.isEmpty
        || (sections.allSatisfy { (1...headWidth).contains($0) } && sections.reduce(0, +) == headWidth / 2)
    else {
      throw settings.invalid("mrope_section", expected: "sizes that sum to half the head width, \(headWidth / 2)")
    }
    return (base, sections)
  }

  // MARK: Prompt

  /// The rendered chat of one user turn, as the family's published template writes it.
  package static func render(_ text: String, system: String) -> String {
    "<|im_start|>system\n\(system)<|im_end|>\n<|im_start|>user\n\(text)<|im_end|>\n<|im_start|>assistant\n"
  }

  // MARK: Weight names

  /// The language model under the names that are published.
  static func decoder(_ configuration: Configuration, _ weights: WeightLoader) throws(WeightError) -> Decoder {
    let rotary = RotaryEmbedding(
      width: configuration.sizes.headWidth, base: configuration.ropeBase, sections: configuration.ropeSections)
    return try Decoder(
      configuration.sizes, rotary: rotary, biases: true, weights: weights, prefix: "model.", headName: "lm_head.weight")
  }

  /// Loads a plain language model.
  package static func load(_ files: ModelFiles) throws -> Decoder {
    let loader = files.loader(try files.weights())
    let decoder = try decoder(configuration(files.config), loader)
    try loader.finish()
    return decoder
  }
}
