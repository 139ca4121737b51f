import Tensors

/// Llama: a plain language model. LLaVA's language half and its drafters.
package enum Llama {
  /// The family as the list of families has it.
  package static let family = ModelFamily(
    modelType: "llama",
    load: { files in
      let store = try files.weights()
      let decoder = try decoder(configuration(files.config), WeightLoader(store: store, format: files.format))
      try store.finish()
      return ModelParts(language: decoder, vision: nil)
    },
    render: { $0.text })

  // MARK: Configuration

  /// Sizes and rotary settings.
  package struct Configuration: Sendable, Equatable {
    package var sizes: DecoderConfiguration
    package var ropeBase: Double
    package var ropeFactor: Double
  }

  /// Reads `config.json`, or the `text_config` of a larger model, in either of transformers' layouts.
  ///
  /// Defaults are those of transformers' LlamaConfig: published files leave out whatever equals them.
  package static func configuration(_ root: ConfigReader) throws(ModelError) -> Configuration {
    let text = root.object("text_config") ?? root
    let heads = try text.count("num_attention_heads", default: 32)
    let hidden = try text.count("hidden_size", default: 4096)
    let headWidth = try text.count("head_dim", default: hidden / heads)
    let keyValueHeads = try text.count("num_key_value_heads", default: heads)
    guard heads % keyValueHeads == 0 else {
      throw text.invalid("num_key_value_heads", expected: "a divisor of the \(heads) attention heads")
    }
    guard headWidth % 2 == 0, headWidth > 0 else { throw text.invalid("head_dim", expected: "an even width") }
    if let activation = try text.text("hidden_act"), activation != "silu" {
      throw text.invalid("hidden_act", expected: "\"silu\"")
    }
    for key in ["attention_bias", "mlp_bias"] where try text.flag(key, default: false) {
      throw text.invalid(key, expected: "false")
    }
    let layers = try text.count("num_hidden_layers", default: 32)
    let tied = try root.flag("tie_word_embeddings", default: text.flag("tie_word_embeddings", default: false))
    let sizes = DecoderConfiguration(
      vocabulary: try text.count("vocab_size", default: 32000), hidden: hidden, layers: layers, heads: heads,
      keyValueHeads: keyValueHeads, headWidth: headWidth,
      intermediate: try text.count("intermediate_size", default: 11008),
      epsilon: Float(try text.number("rms_norm_eps", default: 1e-6)), tiedHead: tied,
      maximumPositions: try text.count("max_position_embeddings", default: 2048),
      windows: Array(repeating: nil, count: layers))
    let rope = try RotarySettings(
      text.object("rope_parameters") ?? text.object("rope_scaling"),
      base: text.number("rope_theta", default: 10000))
    return Configuration(sizes: sizes, ropeBase: rope.base, ropeFactor: rope.factor)
  }

  // MARK: Weight names

  /// The language model under the names that are published.
  static func decoder(_ configuration: Configuration, _ weights: WeightLoader) throws(WeightError) -> Decoder {
    let rotary = RotaryEmbedding(
      width: configuration.sizes.headWidth, base: configuration.ropeBase, factor: configuration.ropeFactor)
    return try Decoder(
      configuration.sizes, rotary: rotary, biases: false, weights: weights, prefix: "model.",
      headName: "lm_head.weight")
  }
}
