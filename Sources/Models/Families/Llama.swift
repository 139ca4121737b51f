import Tensors

/// Llama: a plain language model. LLaVA's language half and its drafters.
package enum Llama {
  /// The family as the list of families has it.
  package static let family = ModelFamily(
    modelType: "llama",
    load: { files in
      let loader = files.loader(try files.weights())
      let decoder = try decoder(configuration(files.config), loader)
      try loader.finish()
      return ModelParts(language: decoder, vision: nil)
    },
    render: { turn in (turn.system.map { $0 + "\n\n" } ?? "") + turn.text },
    endOfTurn: "</s>", templateMarks: [])

  // MARK: Configuration

  /// Sizes and rotary settings.
  package struct Configuration: Sendable, Equatable {
    package var sizes: DecoderConfiguration
    package var rope: RotarySettings
  }

  /// Reads `config.json`, or the `text_config` of a larger model, in either of transformers' layouts.
  ///
  /// Defaults are those of transformers' LlamaConfig: published files leave out whatever equals them.
  package static func configuration(_ root: ConfigReader) throws(ModelError) -> Configuration {
    let text = root.object("text_config") ?? root
    for key in ["attention_bias", "mlp_bias"] where try text.flag(key, default: false) {
      throw text.invalid(key, expected: "false")
    }
    var sizes = try DecoderConfiguration(
      text, root: root,
      defaults: (vocabulary: 32000, hidden: 4096, layers: 32, heads: 32, intermediate: 11008, positions: 2048))
    let rope = try RotarySettings(
      RotarySettings.section(of: text), of: text, base: text.number("rope_theta", default: 10000),
      positions: sizes.maximumPositions)
    sizes.maximumPositions = rope.scaling.positions(of: sizes.maximumPositions)
    return Configuration(sizes: sizes, rope: rope)
  }

  // MARK: Weight names

  /// The language model under the names that are published.
  static func decoder(_ configuration: Configuration, _ weights: WeightLoader) throws(WeightError) -> Decoder {
    let rotary = RotaryEmbedding(width: configuration.sizes.headWidth, configuration.rope)
    return try Decoder(
      configuration.sizes, rotary: rotary, biases: false, weights: weights, prefix: "model.",
      headName: "lm_head.weight")
  }
}
