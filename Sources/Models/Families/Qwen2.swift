import Tensors

/// Qwen2 and Qwen2.5: a plain language model. A text-only drafter, or the language half of a MASSV drafter.
package enum Qwen2 {
  /// The family as the list of families has it.
  package static let family = ModelFamily(
    modelType: "qwen2",
    load: { ModelParts(language: try load($0), vision: nil) },
    render: {
      render($0.text, system: $0.system ?? system)
    },
    endOfTurn: "<|im_end|>", templateMarks: ["<|im_start|>", system])

  /// Qwen2.5's system line where none is given.
  private static let system = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."

  // MARK: Configuration

  /// Sizes and rotary settings.
  package struct Configuration: Sendable, Equatable {
    package var sizes: DecoderConfiguration
    package var rope: RotarySettings
  }

  /// Reads the language model's sizes from `config.json`, flat or nested, in either of transformers' layouts.
  ///
  /// - Parameter defaults: of what files may leave out: those of transformers' Qwen2Config.
  package static func configuration(
    _ root: ConfigReader, defaults: (base: Double, epsilon: Double) = (base: 10000, epsilon: 1e-6)
  ) throws(ModelError) -> Configuration {
    let text = root.object("text_config") ?? root
    var sizes = try DecoderConfiguration(
      text, root: root,
      defaults: (vocabulary: nil, hidden: nil, layers: nil, heads: nil, intermediate: nil, positions: 32768),
      epsilon: defaults.epsilon)
    // Layers from this one on slide.
    let firstWindow = try text.number("max_window_layers", default: 28)
    let types = try text.texts("layer_types") ?? []
    guard
      try !text.flag("use_sliding_window", default: false)
        || (types.isEmpty ? firstWindow >= Double(sizes.layers) : !types.contains("sliding_attention"))
    else {
      throw text.invalid("use_sliding_window", expected: "false: sliding windows are not supported in Qwen2")
    }
    let rope = try RotarySettings(
      RotarySettings.section(of: text), of: text, base: text.number("rope_theta", default: defaults.base),
      positions: sizes.maximumPositions, headWidth: sizes.headWidth)
    sizes.maximumPositions = rope.scaling.positions(of: sizes.maximumPositions)
    return Configuration(sizes: sizes, rope: rope)
  }

  // MARK: Prompt

  /// The rendered chat of one user turn, as the family's published template writes it.
  package static func render(_ text: String, system: String) -> String {
    "<|im_start|>system\n\(system)<|im_end|>\n<|im_start|>user\n\(text)<|im_end|>\n<|im_start|>assistant\n"
  }

  // MARK: Weight names

  /// The language model under the names that are published.
  static func decoder(_ configuration: Configuration, _ weights: WeightLoader) throws(WeightError) -> Decoder {
    let rotary = RotaryEmbedding(width: configuration.sizes.headWidth, configuration.rope)
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
