import Tensors

/// Sizes of a language model, and what its cache needs to know.
package struct DecoderConfiguration: Sendable, Equatable {
  package var vocabulary: Int
  package var hidden: Int
  package var layers: Int
  package var heads: Int
  package var keyValueHeads: Int
  package var headWidth: Int
  package var intermediate: Int
  package var epsilon: Float
  package var tiedHead: Bool
  package var maximumPositions: Int
  /// One entry a layer: how many slots a row attends to, itself included; nil for all.
  package var windows: [Int?]
  /// What keys and values are kept as: f32 or f16.
  package var cacheType = ElementType.f32

  /// Reads sizes by the names that Llama's and Qwen2's configurations share, every layer attending to everything.
  ///
  /// - Parameters:
  ///   - text: the language model's settings, within `root` or `root` itself.
  ///   - defaults: of the class, for sizes that a file leaves out; nil where it must name them.
  ///   - fallback: the norms' epsilon where it leaves that out.
  init(
    _ text: ConfigReader, root: ConfigReader,
    defaults: (vocabulary: Int?, hidden: Int?, layers: Int?, heads: Int?, intermediate: Int?, positions: Int),
    epsilon fallback: Double = 1e-6
  ) throws(ModelError) {
    heads = try text.count("num_attention_heads", default: defaults.heads)
    hidden = try text.count("hidden_size", default: defaults.hidden)
    headWidth = try text.count("head_dim", default: max(1, hidden / heads))
    keyValueHeads = try text.count("num_key_value_heads", default: heads)
    guard heads % keyValueHeads == 0 else {
      throw text.invalid("num_key_value_heads", expected: "a divisor of the \(heads) attention heads")
    }
    guard headWidth % 2 == 0 else { throw text.invalid("head_dim", expected: "an even width") }
    if let activation = try text.text("hidden_act"), activation != "silu" {
      throw text.invalid("hidden_act", expected: "\"silu\"")
    }
    layers = try text.count("num_hidden_layers", default: defaults.layers)
    vocabulary = try text.count("vocab_size", default: defaults.vocabulary, atMost: 1 << 24)
    intermediate = try text.count("intermediate_size", default: defaults.intermediate)
    epsilon = Float(try text.number("rms_norm_eps", default: fallback))
    tiedHead = try root.flag("tie_word_embeddings", default: text.flag("tie_word_embeddings", default: false))
    maximumPositions = try text.count("max_position_embeddings", default: defaults.positions, atMost: 1 << 30)
    windows = Array(repeating: nil, count: layers)
  }

  init(
    vocabulary: Int, hidden: Int, layers: Int, heads: Int, keyValueHeads: Int, headWidth: Int, intermediate: Int,
    epsilon: Float, tiedHead: Bool, maximumPositions: Int, windows: [Int?]
  ) {
    self.vocabulary = vocabulary
    self.hidden = hidden
    self.layers = layers
    self.heads = heads
    self.keyValueHeads = keyValueHeads
    self.headWidth = headWidth
    self.intermediate = intermediate
    self.epsilon = epsilon
    self.tiedHead = tiedHead
    self.maximumPositions = maximumPositions
    self.windows = windows
  }

  /// How many weights the layers' products have: a file may say sizes of which no integer holds the product.
  package var layerWeights: Double {
    Double(layers) * Double(hidden) * Double(2 * (heads + keyValueHeads) * headWidth + 3 * intermediate)
  }

  /// What a cache of this model holds.
  private var cacheShape: CacheShape {
    CacheShape(windows: windows, heads: keyValueHeads, width: headWidth, type: cacheType)
  }

  /// Bytes that the cache of a sequence of `tokens` takes.
  package func cacheBytes(tokens: Int) -> Int { cacheShape.byteCount(capacity: tokens) }

  /// An empty cache for a sequence of at most `capacity` tokens.
  package func makeCache(capacity: Int) -> KVCache { KVCache(cacheShape, capacity: capacity) }
}

/// A decoder-only language model: tokens to embeddings, embeddings to hidden states, hidden states to logits.
package protocol LanguageModel: Sendable {
  var configuration: DecoderConfiguration { get }
  /// Every product of the layers.
  var layerLinears: [Linear] { get }
  /// The product that makes logits.
  var head: Linear { get }
  /// The table of embeddings, which may be the head's own weight.
  var embeddingTable: Weight { get }
  /// Embeddings of tokens: [tokens, hidden]. Ids beyond the table become zeros.
  ///
  /// - Parameter engine: whose tape records it, nil for none.
  func embed(_ tokens: [Int32], _ engine: Engine?) -> Tensor
  /// Runs rows of one or several sequences through all layers and extends their caches.
  ///
  /// - Parameter x: embeddings [rows, hidden], the spans' rows one behind the other.
  /// - Returns: the normed last hidden states of the rows that are asked for [asked, hidden], all unless a span says
  ///   otherwise.
  func hiddenStates(_ x: Tensor, spans: [DecoderSpan], _ engine: Engine) -> Tensor
  /// Logits of hidden states: [rows, vocabulary].
  func logits(_ hidden: Tensor, _ engine: Engine) -> Tensor
  /// The largest logit of each row's first `count`, the first of equals; nil where none is a number above −∞. The logits
  /// are not kept.
  func largestLogits(_ hidden: Tensor, among count: Int, _ engine: Engine) -> [Int32?]
}

extension LanguageModel {
  package func largestLogits(_ hidden: Tensor, among count: Int, _ engine: Engine) -> [Int32?] {
    head.largest(of: hidden, among: count, engine)
  }

  /// Bytes that a pass reads: the weights of the layers and of the head.
  package var weightBytes: Int { layerLinears.reduce(head.weight.byteCount) { $0 + $1.weight.byteCount } }

  /// Bytes of all weights in memory.
  package var memoryBytes: Int { weightBytes + (configuration.tiedHead ? 0 : embeddingTable.byteCount) }

  /// Bytes that a prompt of so many tokens takes, beside weights and caches.
  package func passBytes(tokens: Int) -> Int {
    let sizes = configuration
    // A row and its norm, its query, key and value, and what attention makes of them.
    let row = 2 * sizes.hidden + (2 * sizes.heads + 2 * sizes.keyValueHeads) * sizes.headWidth
    return 4 * (tokens * row + min(tokens, bandRows) * 2 * sizes.intermediate + 6 * sizes.vocabulary)
  }

  /// Embeddings of tokens: [tokens, hidden].
  package func embed(_ tokens: [Int32]) -> Tensor { embed(tokens, nil) }

  /// Embeddings of tokens with visual tokens in the places of their placeholder, in order: [tokens, hidden].
  package func embed(_ tokens: [Int32], visual: Tensor, placeholder: Int32, _ engine: Engine? = nil) -> Tensor {
    let places = tokens.indices.filter { tokens[$0] == placeholder }.prefix(visual.rows)
    return replacing(Array(places), of: embed(tokens, engine), by: visual, engine)
  }
}

/// The table of token embeddings, which is the head too where the two are tied.
struct TokenEmbedding: Sendable {
  let table: Weight

  /// [tokens, width], each value times `scale`. Ids beyond the table become zeros.
  func callAsFunction(_ tokens: [Int32], scale: Float = 1, _ engine: Engine?) -> Tensor {
    table.rows(tokens.map { Int($0) }, scale: scale, engine)
  }
}
