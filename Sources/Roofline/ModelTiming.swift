import Models
import Tensors

/// How fast a model is, beside what the machine allows.
package struct ModelTiming: Sendable {
  package let shape: String
  package let weights: String
  /// Read bandwidth while it was measured, in its turn: machines drift. 10⁹ bytes a second.
  package let readBandwidth: Double
  /// Bytes that a token reads: weights of the layers and the head, keys and values.
  package let bytesPerToken: Int
  /// Milliseconds of a pass over n rows of one sequence behind 512 tokens, logits of all rows.
  package let forward: [(rows: Int, milliseconds: Double)]
  /// Tokens a second of a prompt of 512.
  package let prefill: Double
  /// Multiplications and additions that a prompt's token takes.
  package let operationsPerToken: Double
  /// Seconds that a picture of 448 by 448 pixels takes in the encoder, nil without one.
  package let vision: Double?

  /// The row counts that are timed.
  package static let rowCounts = Array(1...16)
  /// Tokens before the rows that are timed, and of the prompt that is.
  static let context = 512

  /// Seconds a token of plain decoding.
  package var token: Double { (forward.first?.milliseconds ?? 0) / 1000 }

  /// The share of the read bandwidth that plain decoding reaches.
  package var roof: Double { token > 0 ? Double(bytesPerToken) / token / 1e9 / readBandwidth : 0 }

  /// The share of the f32 peak that a prompt reaches.
  package func prefillShare(_ machine: Machine) -> Double { prefill * operationsPerToken / 1e9 / machine.arithmetic }

  /// Times a model for about `seconds`.
  package init(
    shape: String, weights: String, _ parts: ModelParts, seconds: Double, _ engine: Engine
  ) {
    self.shape = shape
    self.weights = weights
    let language = parts.language
    let sizes = language.configuration
    let context = max(1, min(Self.context, sizes.maximumPositions - 16))
    let samples = Samples(language, context: context, seconds: seconds, engine)
    forward = zip(Self.rowCounts, samples.passes).map { ($0, median($1) * 1000) }
    readBandwidth = median(samples.reads)
    prefill = Double(context) / median(samples.prefills)
    bytesPerToken = language.weightBytes + sizes.cacheBytes(tokens: context)
    operationsPerToken =
      2 * sizes.layerWeights + Double(4 * context / 2 * sizes.heads * sizes.headWidth * sizes.layers)
    vision = parts.vision.map { Self.encode($0, engine) }
  }

  /// What was timed, round by round.
  private struct Samples {
    /// Seconds of a prompt, and of a pass by `rowCounts`.
    var prefills: [Double] = []
    var passes = ModelTiming.rowCounts.map { _ in [Double]() }
    /// Read bandwidth, 10⁹ bytes a second.
    var reads: [Double] = []
    private let language: any LanguageModel
    private let context: Int
    private let engine: Engine

    init(_ language: any LanguageModel, context: Int, seconds: Double, _ engine: Engine) {
      (self.language, self.context, self.engine) = (language, context, engine)
      let cache = language.configuration.makeCache(capacity: context + 16)
      _ = logits(ofRows: context, cache)
      let probe = ReadProbe()
      let start = ContinuousClock.now
      // Every round times every count, so that a machine that drifts meets all alike; the first warms up.
      var rounds = 0
      while rounds < 3 || ((ContinuousClock.now - start) / .seconds(1) < seconds && rounds < 50) {
        takeRound(cache, probe, warmsUp: rounds == 0, readsPrompt: rounds < 2)
        rounds += 1
      }
    }

    private mutating func takeRound(_ cache: KVCache, _ probe: ReadProbe, warmsUp: Bool, readsPrompt: Bool) {
      for (index, rows) in ModelTiming.rowCounts.enumerated() {
        let taken = timed { _ = logits(ofRows: rows, cache) }
        cache.truncate(to: context)
        if !warmsUp { passes[index].append(taken) }
      }
      var bytes = 0.0
      let reading = timed { bytes = probe.read(engine) }
      if !warmsUp { reads.append(bytes / reading / 1e9) }
      // What was read has driven all else from the caches: the next round begins as it would without it.
      _ = logits(ofRows: 1, cache)
      cache.truncate(to: context)
      if readsPrompt {
        let fresh = language.configuration.makeCache(capacity: context)
        prefills.append(timed { _ = logits(ofRows: context, last: 1, fresh) })
      }
    }

    /// Reads rows behind what the cache holds: the logits of the last ones, nil for all.
    private func logits(ofRows rows: Int, last: Int? = nil, _ cache: KVCache) -> Tensor {
      let tokens = (0..<Int32(rows)).map { $0 % Int32(language.configuration.vocabulary) }
      let positions = (0..<rows).map { Position(cache.length + $0) }
      let hidden = language.hiddenStates(
        language.embed(tokens), spans: [DecoderSpan(cache: cache, positions: positions)], engine)
      return language.logits(last.map { hidden.rows(rows - $0..<rows) } ?? hidden, engine)
    }
  }

  private static func encode(_ model: any VisionModel, _ engine: Engine) -> Double {
    let layout = model.imagePlan.layout
    guard let target = try? model.imagePlan.target(height: 448, width: 448) else { return 0 }
    let grid = PatchGrid(height: target.usedHeight / layout.size, width: target.usedWidth / layout.size)
    let patches = Tensor(rows: grid.patches, columns: layout.width)
    patches.withMutable { for index in 0..<patches.count { $0[index] = Float(index % 97) / 97 - 0.5 } }
    return median((0..<2).map { _ in timed { _ = model.features(patches, grid: grid, engine) } })
  }
}
