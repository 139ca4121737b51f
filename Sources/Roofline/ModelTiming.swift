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
    let tokens = (0..<Int32(Self.context)).map { $0 % Int32(sizes.vocabulary) }
    let context = max(1, min(Self.context, sizes.maximumPositions - 16))
    let prompt = language.embed(Array(tokens.prefix(context)))
    let cache = sizes.makeCache(capacity: context + 16)
    func read(_ x: Tensor, _ cache: KVCache) -> Tensor {
      language.hiddenStates(
        x, spans: [DecoderSpan(cache: cache, positions: (0..<x.rows).map { Position(cache.length + $0) })], engine)
    }
    _ = read(prompt, cache)
    var prefills: [Double] = []
    var passes = Self.rowCounts.map { _ in [Double]() }
    var reads: [Double] = []
    let probe = ReadProbe()
    let start = ContinuousClock.now
    // Every round times every count, so that a machine that drifts meets all alike; the first warms up.
    var rounds = 0
    while rounds < 3 || ((ContinuousClock.now - start) / .seconds(1) < seconds && rounds < 50) {
      for (index, rows) in Self.rowCounts.enumerated() {
        let taken = timed {
          let hidden = read(language.embed(Array(tokens.prefix(rows))), cache)
          _ = language.logits(hidden, engine)
        }
        cache.truncate(to: context)
        if rounds > 0 { passes[index].append(taken) }
      }
      var bytes = 0.0
      let reading = timed { bytes = probe.read(engine) }
      if rounds > 0 { reads.append(bytes / reading / 1e9) }
      // What was read has driven all else from the caches: the next round begins as it would without it.
      _ = language.logits(read(language.embed(Array(tokens.prefix(1))), cache), engine)
      cache.truncate(to: context)
      if rounds < 2 {
        let fresh = sizes.makeCache(capacity: context)
        prefills.append(
          timed {
            let hidden = read(prompt, fresh)
            _ = language.logits(hidden.rows(context - 1..<context), engine)
          })
      }
      rounds += 1
    }
    forward = zip(Self.rowCounts, passes).map { ($0, median($1) * 1000) }
    readBandwidth = median(reads)
    prefill = Double(context) / median(prefills)
    bytesPerToken = language.weightBytes + sizes.cacheBytes(tokens: context)
    operationsPerToken =
      2 * Double(language.layerWeights) + Double(4 * context / 2 * sizes.heads * sizes.headWidth * sizes.layers)
    vision = parts.vision.map { Self.encode($0, engine) }
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
