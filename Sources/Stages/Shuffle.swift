import Pipeline

/// `shuffle`: records in another order, through a buffer from which one is drawn and replaced by the next.
enum Shuffle {
  static let definition = StageDefinition(
    StageDeclaration(
      "shuffle", .link, "records in a random order, by drawing from a buffer of them",
      parameters: [
        ParameterDeclaration("buffer", .integer(1...(1 << 30)), default: "1024", "records to draw from"),
        ParameterDeclaration("seed", .integer(Int.min...Int.max), default: "0", "fixes the order"),
        ParameterDeclaration(
          "max-bytes", .bytes, default: "1G", "bytes that the buffer may hold; one record always may"),
      ])
  ) { inputs, context throws(RunFailure) in
    Renumbered(ShuffleStage(inputs, context), context)
  }
}

private final class ShuffleStage: Stage {
  private let upstream: any Stage
  private let context: RunContext
  private let maximumRecords: Int
  private let maximumBytes: Int
  private var draws: SplitMix
  private var buffer: [Record] = []
  private var bytes = 0
  /// The first record of the next epoch: no record comes twice before all have come once.
  private var waiting: Record?
  private var isAtEnd = false

  init(_ inputs: StageInputs, _ context: RunContext) {
    upstream = inputs.upstream
    self.context = context
    maximumRecords = inputs.arguments.integer("buffer")
    maximumBytes = inputs.arguments.integer("max-bytes")
    draws = SplitMix(state: UInt64(bitPattern: Int64(inputs.arguments.integer("seed"))))
  }

  var isReady: Bool { isAtEnd || upstream.isReady }

  func next() throws(RunFailure) -> Record? {
    try fill()
    // Where the run ends, the buffer lacks what would have come: a draw from it would be another one than in a whole run.
    if buffer.isEmpty || context.isEnding { return nil }
    let place = draws.next(below: buffer.count)
    buffer.swapAt(place, buffer.count - 1)
    let record = buffer.removeLast()
    bytes -= record.footprint
    return record
  }

  private func fill() throws(RunFailure) {
    while !isAtEnd, buffer.isEmpty || (buffer.count < maximumRecords && bytes < maximumBytes) {
      var next = waiting
      waiting = nil
      if next == nil { next = try upstream.next() }
      guard let record = next else {
        isAtEnd = true
        return
      }
      if let first = buffer.first, first.epoch != record.epoch {
        waiting = record
        return
      }
      buffer.append(record)
      bytes += record.footprint
    }
  }
}

/// SplitMix64: the same numbers from the same seed, whatever the standard library's own generators become.
private struct SplitMix {
  var state: UInt64

  /// A number from 0 to one below the bound.
  mutating func next(below bound: Int) -> Int {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
    return Int((z ^ z >> 31).multipliedFullWidth(by: UInt64(bound)).high)
  }
}
