import Tensors

/// Gemma 3's language model, alone or as the half of Gemma 3 that speaks: a drafter's family.
package struct Gemma3Text: LanguageModel {
  /// The family as the list of families has it.
  package static let family = ModelFamily(
    modelType: "gemma3_text",
    load: { files in
      let loader = files.loader(try files.weights())
      let language = try Gemma3Text(configuration(files.config), loader)
      try loader.finish()
      return ModelParts(language: language, vision: nil)
    },
    render: { render($0, picture: "") },
    endOfTurn: "<end_of_turn>", templateMarks: ["<start_of_turn>", "<end_of_turn>"])

  // MARK: Configuration

  /// Sizes, and what the two kinds of layers do.
  package struct Configuration: Sendable, Equatable {
    package var sizes: DecoderConfiguration
    package var queryScale: Float
    package var localRope: RotarySettings
    package var globalRope: RotarySettings
    /// nil where logits are not capped.
    package var logitCap: Float?
  }

  /// Reads `config.json`, or its `text_config`, in either of transformers' layouts.
  ///
  /// Defaults are those of transformers' Gemma3TextConfig: published files leave out whatever equals them.
  /// `attn_logit_softcapping` is read over, as it is there.
  package static func configuration(_ root: ConfigReader) throws(ModelError) -> Configuration {
    let text = root.object("text_config") ?? root
    let heads = try text.count("num_attention_heads", default: 8)
    let keyValueHeads = try text.count("num_key_value_heads", default: 4)
    guard heads % keyValueHeads == 0 else {
      throw text.invalid("num_key_value_heads", expected: "a divisor of the \(heads) attention heads")
    }
    let headWidth = try text.count("head_dim", default: 256)
    guard headWidth % 2 == 0 else { throw text.invalid("head_dim", expected: "an even width") }
    let activation = try text.text("hidden_activation") ?? "gelu_pytorch_tanh"
    guard activation == "gelu_pytorch_tanh" else {
      throw text.invalid("hidden_activation", expected: "\"gelu_pytorch_tanh\"")
    }
    for key in ["attention_bias", "use_bidirectional_attention"] where try text.flag(key, default: false) {
      throw text.invalid(key, expected: "false")
    }
    let layers = try text.count("num_hidden_layers", default: 26)
    let sizes = DecoderConfiguration(
      vocabulary: try text.count("vocab_size", default: 262_208, atMost: 1 << 24),
      hidden: try text.count("hidden_size", default: 2304),
      layers: layers, heads: heads, keyValueHeads: keyValueHeads, headWidth: headWidth,
      intermediate: try text.count("intermediate_size", default: 9216),
      epsilon: Float(try text.number("rms_norm_eps", default: 1e-6)),
      tiedHead: try root.flag("tie_word_embeddings", default: text.flag("tie_word_embeddings", default: true)),
      maximumPositions: try text.count("max_position_embeddings", default: 131_072, atMost: 1 << 30),
      windows: try windows(text, layers: layers))
    let rope = try rotary(text, positions: sizes.maximumPositions)
    return Configuration(
      sizes: sizes, queryScale: Float(1 / (try text.number("query_pre_attn_scalar", default: 256)).squareRoot()),
      localRope: rope.local, globalRope: rope.global,
      logitCap: try text.optionalNumber("final_logit_softcapping").map { Float($0) })
  }

  /// Which layers slide: `layer_types`, or every layer but each sixth.
  private static func windows(_ text: ConfigReader, layers: Int) throws(ModelError) -> [Int?] {
    let window = try text.count("sliding_window", default: 4096, atMost: 1 << 30)
    if let types = try text.texts("layer_types") {
      guard types.count == layers, types.allSatisfy({ ["sliding_attention", "full_attention"].contains($0) }) else {
        throw text.invalid("layer_types", expected: "\(layers) of sliding_attention and full_attention")
      }
      return types.map { $0 == "sliding_attention" ? window : nil }
    }
    let fallback = try text.count("_sliding_window_pattern", default: 6)
    let pattern = try text.count("sliding_window_pattern", default: fallback)
    return (1...layers).map { $0 % pattern == 0 ? nil : window }
  }

  /// What layers that slide and those that do not say of positions: each kind its own, or the latter's at the top.
  private static func rotary(
    _ text: ConfigReader, positions: Int
  ) throws(ModelError) -> (local: RotarySettings, global: RotarySettings) {
    let kinds = text.object("rope_parameters")
    let local = try RotarySettings(
      kinds?.object("sliding_attention"), of: text, base: text.number("rope_local_base_freq", default: 10000),
      positions: positions)
    guard local.scaling == .none else {
      throw text.invalid("rope_parameters", expected: "no scaling of sliding_attention")
    }
    let own = kinds?.object("full_attention")
    let flat = try text.number("rope_theta", default: 1_000_000)
    let global = try RotarySettings(
      text.object("rope_scaling") ?? own, of: text, base: own?.number("rope_theta", default: flat) ?? flat,
      positions: positions)
    return (local, global)
  }

  // MARK: Language

  private final class Layer: Sendable {
    let inputNorm: RMSNorm
    let queryKeyValue: [Linear]
    let queryNorm: RMSNorm
    let keyNorm: RMSNorm
    let output: Linear
    let postAttentionNorm: RMSNorm
    let preFeedForwardNorm: RMSNorm
    let feedForward: GatedFeedForward
    let postFeedForwardNorm: RMSNorm

    init(_ sizes: DecoderConfiguration, _ weights: WeightLoader, _ prefix: String) throws(WeightError) {
      let queryWidth = sizes.heads * sizes.headWidth
      let keyWidth = sizes.keyValueHeads * sizes.headWidth
      let attention = prefix + "self_attn."
      let mlp = prefix + "mlp."
      func norm(_ name: String, _ width: Int) throws(WeightError) -> RMSNorm {
        try weights.offsetNorm(name, width, epsilon: sizes.epsilon)
      }
      inputNorm = try norm(prefix + "input_layernorm", sizes.hidden)
      queryKeyValue = [
        try weights.linear(attention + "q_proj", queryWidth, sizes.hidden, bias: false),
        try weights.keyValues(sizes).linear(attention + "k_proj", keyWidth, sizes.hidden, bias: false),
        try weights.keyValues(sizes).linear(attention + "v_proj", keyWidth, sizes.hidden, bias: false),
      ]
      queryNorm = try norm(attention + "q_norm", sizes.headWidth)
      keyNorm = try norm(attention + "k_norm", sizes.headWidth)
      output = try weights.linear(attention + "o_proj", sizes.hidden, queryWidth, bias: false)
      postAttentionNorm = try norm(prefix + "post_attention_layernorm", sizes.hidden)
      preFeedForwardNorm = try norm(prefix + "pre_feedforward_layernorm", sizes.hidden)
      feedForward = GatedFeedForward(
        gate: try weights.gates(sizes).linear(mlp + "gate_proj", sizes.intermediate, sizes.hidden, bias: false),
        up: try weights.gates(sizes).linear(mlp + "up_proj", sizes.intermediate, sizes.hidden, bias: false),
        down: try weights.linear(mlp + "down_proj", sizes.hidden, sizes.intermediate, bias: false), .geluTanh)
      postFeedForwardNorm = try norm(prefix + "post_feedforward_layernorm", sizes.hidden)
    }

    var linears: [Linear] { queryKeyValue + [output] + feedForward.linears }
  }

  private let settings: Configuration
  package var configuration: DecoderConfiguration { settings.sizes }
  private let embedding: TokenEmbedding
  private let layers: [Layer]
  private let norm: RMSNorm
  package let head: Linear
  private let localRotary: RotaryEmbedding
  private let globalRotary: RotaryEmbedding
  private let attention: CachedAttention
  private let embeddingScale: Float

  package var embeddingTable: Weight { embedding.table }
  package var layerLinears: [Linear] { layers.flatMap(\.linears) }

  package func embed(_ tokens: [Int32], _ engine: Engine?) -> Tensor {
    embedding(tokens, scale: embeddingScale, engine)
  }

  package func hiddenStates(_ x: Tensor, spans: [DecoderSpan], _ engine: Engine) -> Tensor {
    let positions = spans.flatMap(\.positions)
    let local = localRotary.angles(positions)
    let global = globalRotary.angles(positions)
    var x = x
    for index in layers.indices {
      let angles = settings.sizes.windows[index] == nil ? global : local
      x = recomputed(x, engine) { layer(index, $0, angles, spans, $1) }
    }
    for span in spans { span.cache?.advance(by: span.positions.count) }
    return norm(x, engine)
  }

  private func layer(
    _ index: Int, _ x: Tensor, _ angles: RotaryAngles, _ spans: [DecoderSpan], _ engine: Engine
  ) -> Tensor {
    let (layer, sizes) = (layers[index], settings.sizes)
    let asked = AskedRows(spans, isLast: index == layers.count - 1)
    let parts = asked.queryKeyValue(layer.inputNorm(x, engine), layer.queryKeyValue, engine)
    let queryAngles = asked(angles)
    let query = heads(parts[0], sizes.heads, layer.queryNorm, engine)
    let key = heads(parts[1], sizes.keyValueHeads, layer.keyNorm, engine)
    rotate(query, heads: sizes.heads, cosine: queryAngles.cosine, sine: queryAngles.sine, engine)
    rotate(key, heads: sizes.keyValueHeads, cosine: angles.cosine, sine: angles.sine, engine)
    let mixed = attention(query, key, parts[2], layer: index, spans: spans, engine)
    let seen = adding(asked(x), layer.postAttentionNorm(layer.output(mixed, engine), engine), engine)
    let changed = layer.feedForward(seen, norm: layer.preFeedForwardNorm, engine)
    return adding(seen, layer.postFeedForwardNorm(changed, engine), engine)
  }

  /// Norms each head of each row.
  private func heads(_ x: Tensor, _ count: Int, _ norm: RMSNorm, _ engine: Engine) -> Tensor {
    norm(x.reshaped(rows: x.rows * count, columns: settings.sizes.headWidth), engine)
      .reshaped(rows: x.rows, columns: x.columns)
  }

  package func logits(_ hidden: Tensor, _ engine: Engine) -> Tensor {
    let logits = head(hidden, engine)
    if let cap = settings.logitCap { softCap(logits, cap, engine) }
    return logits
  }

  package func largestLogits(_ hidden: Tensor, among count: Int, _ engine: Engine) -> [Int32?] {
    guard settings.logitCap != nil else { return head.largest(of: hidden, among: count, engine) }
    // The cap makes logits that lie close together equal.
    return logits(hidden, engine).largest(among: count)
  }

  // MARK: Prompt

  /// The rendered chat of one user turn, as the family's published template writes it; a system line goes before the text.
  static func render(_ turn: ChatTurn, picture: String) -> String {
    let system = turn.system.map { $0 + "\n\n" } ?? ""
    return "<bos><start_of_turn>user\n\(system)\(picture)\(trimmed(turn.text))<end_of_turn>\n<start_of_turn>model\n"
  }

  /// What Python's `strip` leaves: by code points, as a mark behind a space is one character with it here.
  private static func trimmed(_ text: String) -> String {
    func isSpace(_ scalar: Unicode.Scalar) -> Bool {
      scalar.properties.isWhitespace || (0x1C...0x1F).contains(scalar.value)
    }
    let inner = text.unicodeScalars.drop(while: isSpace)
    guard let last = inner.lastIndex(where: { !isSpace($0) }) else { return "" }
    return String(inner[...last])
  }

  // MARK: Weight names

  /// The language model under the names that are published.
  package init(_ configuration: Configuration, _ weights: WeightLoader) throws(WeightError) {
    var configuration = configuration
    configuration.sizes.cacheType = weights.cacheType
    let table = "model.embed_tokens.weight"
    configuration.sizes.tiedHead = try weights.isHeadTied("lm_head.weight", to: table, configuration.sizes)
    settings = configuration
    let sizes = configuration.sizes
    embedding = TokenEmbedding(
      table: try weights.loading(.table).matrix(table, [sizes.vocabulary, sizes.hidden]))
    var layers: [Layer] = []
    for index in 0..<sizes.layers { layers.append(try Layer(sizes, weights, "model.layers.\(index).")) }
    self.layers = layers
    norm = try weights.offsetNorm("model.norm", sizes.hidden, epsilon: sizes.epsilon)
    head = try weights.head("lm_head.weight", tiedTo: sizes.tiedHead ? embedding.table : nil, sizes)
    localRotary = RotaryEmbedding(width: sizes.headWidth, configuration.localRope)
    globalRotary = RotaryEmbedding(width: sizes.headWidth, configuration.globalRope)
    attention = CachedAttention(
      heads: sizes.heads, keyValueHeads: sizes.keyValueHeads, width: sizes.headWidth, scale: configuration.queryScale,
      windows: sizes.windows)
    embeddingScale = Float(sizes.hidden).squareRoot()
  }
}
