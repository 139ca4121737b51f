import Tensors

/// Learned queries that attend to a picture's visual tokens and to each other: a picture of any size becomes as many
/// tokens as there are queries.
///
/// Source: the resampler of Flamingo (arXiv 2204.14198), one layer of it.
struct Resampler: Sendable {
  private let latents: Weight
  private let attentionNorm: RMSNorm
  private let query: Linear
  private let key: Linear
  private let value: Linear
  private let output: Linear
  private let heads: AttentionHeads

  init(_ settings: ProjectorSettings, _ loader: WeightLoader) throws(WeightError) {
    let width = settings.hidden
    let headWidth = [64, 32, 16, 8, 4, 2].first { width % $0 == 0 } ?? width
    heads = AttentionHeads(count: width / headWidth, width: headWidth)
    latents = try loader.matrix("latents", [settings.queries, width])
    attentionNorm = try loader.norm("attention_norm", width, epsilon: settings.epsilon)
    query = try loader.linear("query", width, width, bias: false)
    key = try loader.linear("key", width, width, bias: false)
    value = try loader.linear("value", width, width, bias: false)
    output = try loader.linear("output", width, width, bias: false)
  }

  /// x: the pictures' visual tokens one behind the other, `sizes` of each → [pictures · queries, hidden].
  func callAsFunction(_ x: Tensor, sizes: [Int], _ engine: Engine) -> Tensor {
    let count = latents.rows
    var spans: [Range<Int>] = []
    var visualRows: [Int] = []
    var latentRows: [Int] = []
    for size in sizes {
      let first = spans.last?.upperBound ?? 0
      spans.append(first..<first + size + count)
      visualRows += first..<first + size
      latentRows += first + size..<first + size + count
    }
    let queries = latents.rows(Array(repeating: 0..<count, count: sizes.count).flatMap { $0 }, engine)
    let empty = Tensor.zeros(rows: spans.last?.upperBound ?? 0, columns: x.columns)
    let joined = replacing(latentRows, of: replacing(visualRows, of: empty, by: x, engine), by: queries, engine)
    let parts = products(of: attentionNorm(joined, engine), with: [query, key, value], engine)
    let mixed = attendWithin(
      spans, AttentionInput(query: (parts[0], 0), key: (parts[1], 0), value: (parts[2], 0)), heads, engine)
    return adding(queries, output(gathering(mixed, latentRows, engine), engine), engine)
  }
}
