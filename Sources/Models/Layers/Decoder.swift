import Tensors

/// A pre-norm decoder with grouped-query attention, rotary positions and a gated SiLU feed-forward: Llama and Qwen2.
package struct Decoder: LanguageModel {
  private final class Layer: Sendable {
    let inputNorm: RMSNorm
    let queryKeyValue: [Linear]
    let output: Linear
    let postNorm: RMSNorm
    let feedForward: GatedFeedForward

    init(_ sizes: DecoderConfiguration, _ biases: Bool, _ weights: WeightLoader, _ prefix: String) throws(WeightError) {
      let queryWidth = sizes.heads * sizes.headWidth
      let keyWidth = sizes.keyValueHeads * sizes.headWidth
      let attention = prefix + "self_attn."
      let mlp = prefix + "mlp."
      inputNorm = try weights.norm(prefix + "input_layernorm", sizes.hidden, epsilon: sizes.epsilon)
      queryKeyValue = [
        try weights.linear(attention + "q_proj", queryWidth, sizes.hidden, bias: biases),
        try weights.keyValues(sizes).linear(attention + "k_proj", keyWidth, sizes.hidden, bias: biases),
        try weights.keyValues(sizes).linear(attention + "v_proj", keyWidth, sizes.hidden, bias: biases),
      ]
      output = try weights.linear(attention + "o_proj", sizes.hidden, queryWidth, bias: false)
      postNorm = try weights.norm(prefix + "post_attention_layernorm", sizes.hidden, epsilon: sizes.epsilon)
      feedForward = GatedFeedForward(
        gate: try weights.gates(sizes).linear(mlp + "gate_proj", sizes.intermediate, sizes.hidden, bias: false),
        up: try weights.gates(sizes).linear(mlp + "up_proj", sizes.intermediate, sizes.hidden, bias: false),
        down: try weights.linear(mlp + "down_proj", sizes.hidden, sizes.intermediate, bias: false), .silu)
    }

    var linears: [Linear] { queryKeyValue + [output] + feedForward.linears }
  }

  package let configuration: DecoderConfiguration
  private let embedding: TokenEmbedding
  private let layers: [Layer]
  private let norm: RMSNorm
  package let head: Linear
  private let rotary: RotaryEmbedding
  private let attention: CachedAttention

  /// Loads the weights under `prefix` (`model.`), the head as `headName` where it is not tied.
  ///
  /// - Parameter biases: whether the query, key and value products have biases, as in Qwen2.
  package init(
    _ configuration: DecoderConfiguration, rotary: RotaryEmbedding, biases: Bool, weights: WeightLoader,
    prefix: String, headName: String
  ) throws(WeightError) {
    var configuration = configuration
    configuration.cacheType = weights.cacheType
    let table = prefix + "embed_tokens.weight"
    configuration.tiedHead = try weights.isHeadTied(headName, to: table, configuration)
    self.configuration = configuration
    self.rotary = rotary
    let hidden = configuration.hidden
    embedding = TokenEmbedding(
      table: try weights.loading(.table).matrix(table, [configuration.vocabulary, hidden]))
    var layers: [Layer] = []
    for index in 0..<configuration.layers {
      layers.append(try Layer(configuration, biases, weights, "\(prefix)layers.\(index)."))
    }
    self.layers = layers
    norm = try weights.norm(prefix + "norm", hidden, epsilon: configuration.epsilon)
    head = try weights.head(headName, tiedTo: configuration.tiedHead ? embedding.table : nil, configuration)
    attention = CachedAttention(
      heads: configuration.heads, keyValueHeads: configuration.keyValueHeads, width: configuration.headWidth,
      scale: 1 / Float(configuration.headWidth).squareRoot(),
      windows: configuration.windows)
  }

  package var embeddingTable: Weight { embedding.table }
  package var layerLinears: [Linear] { layers.flatMap(\.linears) }

  package func embed(_ tokens: [Int32], _ engine: Engine?) -> Tensor { embedding(tokens, engine) }

  package func hiddenStates(_ x: Tensor, spans: [DecoderSpan], _ engine: Engine) -> Tensor {
    let angles = rotary.angles(spans.flatMap(\.positions))
    var x = x
    for index in layers.indices {
      x = recomputed(x, engine) { layer(index, $0, angles, spans, $1) }
    }
    for span in spans { span.cache?.advance(by: span.positions.count) }
    return norm(x, engine)
  }

  private func layer(
    _ index: Int, _ x: Tensor, _ angles: RotaryAngles, _ spans: [DecoderSpan], _ engine: Engine
  ) -> Tensor {
    let layer = layers[index]
    let asked = AskedRows(spans, isLast: index == layers.count - 1)
    let parts = asked.queryKeyValue(layer.inputNorm(x, engine), layer.queryKeyValue, engine)
    let (query, key, queryAngles) = (parts[0], parts[1], asked(angles))
    rotate(query, heads: configuration.heads, cosine: queryAngles.cosine, sine: queryAngles.sine, engine)
    rotate(key, heads: configuration.keyValueHeads, cosine: angles.cosine, sine: angles.sine, engine)
    let mixed = attention(query, key, parts[2], layer: index, spans: spans, engine)
    let seen = adding(asked(x), layer.output(mixed, engine), engine)
    return adding(seen, layer.feedForward(seen, norm: layer.postNorm, engine), engine)
  }

  package func logits(_ hidden: Tensor, _ engine: Engine) -> Tensor { head(hidden, engine) }
}
