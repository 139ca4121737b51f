import Synchronization

/// What all stages of one run share: its options, its counters, and the wish to end.
package final class RunContext: Sendable {
  /// The command line's options for a run.
  package struct Options: Sendable {
    package var resume = false
    package var limit: Int?
    /// Worker threads, 1 or more.
    package var threads = 1
    /// Bytes that records in flight may take, nil without bound.
    package var memory: Int?

    package init() {}
  }

  package let options: Options
  package let meter: Meter
  package let files: RunFiles
  /// Whether this is handed to links that are built a second time: what is counted once, when a link is built, has been.
  package let isRepeating: Bool
  private let wishes: Wishes
  private let endings: Endings
  fileprivate let stretches: Stretches

  package init(options: Options, meter: Meter = Meter()) {
    self.options = options
    self.meter = meter
    files = RunFiles()
    isRepeating = false
    wishes = Wishes()
    endings = Endings()
    stretches = Stretches()
  }

  private init(repeating context: RunContext) {
    options = context.options
    meter = context.meter
    files = context.files
    isRepeating = true
    wishes = context.wishes
    endings = context.endings
    stretches = context.stretches
  }

  /// The same run, for links that are built again: they pass over nothing.
  package var repeating: RunContext { isRepeating ? self : RunContext(repeating: self) }

  private final class Wishes: Sendable {
    let end = Atomic<Bool>(false)
    let hasBegun = Atomic<Bool>(false)
  }

  private final class Endings: Sendable {
    let bodies = Mutex<[@Sendable () throws(RunFailure) -> Void]>([])
  }

  /// Has something done where the chain that is being built comes to its end without an error: a link behind may ask for no
  /// more before the input ends.
  package func atEnd(_ body: @escaping @Sendable () throws(RunFailure) -> Void) {
    endings.bodies.withLock { $0.append(body) }
  }

  /// Does what was to be done at the chain's end, all of it; nothing of it behind an error.
  func endChain(after failure: RunFailure? = nil) throws(RunFailure) {
    let bodies = endings.bodies.withLock { bodies in
      defer { bodies = [] }
      return bodies
    }
    // That nobody reads on is no error: the other outputs are whole.
    var first = failure
    if failure == nil || failure?.kind == .closedPipe {
      for body in bodies {
        do throws(RunFailure) { try body() } catch { first = first ?? error }
      }
    }
    if let first { throw first }
  }

  /// Whether the models are loaded and records are pulled: until then nothing has been written that could be lost.
  package var hasBegun: Bool { wishes.hasBegun.load(ordering: .relaxed) }

  func begin() { wishes.hasBegun.store(true, ordering: .relaxed) }

  /// Whether a signal asked the run to end after the record in hand.
  package var isEnding: Bool { wishes.end.load(ordering: .relaxed) }

  /// Asks the run to end after the record in hand. Safe to call from a signal handler's thread.
  package func end() { wishes.end.store(true, ordering: .relaxed) }

  /// Adds what an output holds already. Outputs are opened before the first record is pulled.
  package func add(_ point: ResumePoint) { stretches.state.withLock { $0.points.append(($0.current, point)) } }

  /// For a stage to ask how many records it passes over, when it is built: sources, and stages that change the order or
  /// number of records, are `reordering`.
  package func passOver(reordering: Bool) -> PassOver {
    if isRepeating { return PassOver(context: self, stretch: nil) }
    return stretches.state.withLock { state in
      if reordering {
        state.followed.insert(state.current)
        state.count += 1
        state.current = state.count
      }
      return PassOver(context: self, stretch: state.current)
    }
  }

  /// Builds a side chain, such as a tee's branch, and comes back to the present stretch behind it.
  package func aside<Link>(_ build: () throws(RunFailure) -> Link) throws(RunFailure) -> Link {
    let current = stretches.state.withLock { $0.current }
    defer { stretches.state.withLock { $0.current = current } }
    return try build()
  }
}

/// The stretches of a pipe between links that change the order or number of records: within one, all links number records
/// alike.
private final class Stretches: Sendable {
  struct State {
    /// Stretches so far; 0 is what lies before any source.
    var count = 0
    /// The one that is being built.
    var current = 0
    /// Those behind which another begins: it needs all of their records.
    var followed: Set<Int> = []
    /// Where the outputs of a resumed run left off, and where they stand; none in any other run.
    var points: [(stretch: Int, point: ResumePoint)] = []
  }
  let state = Mutex(State())
}

/// What a stage passes over of the records that a resumed run's outputs have already.
///
/// Records are counted as the outputs see them. So the last stage that changes their order or number passes over them,
/// at its own output; those before it read everything, and those behind it meet none of them.
package struct PassOver: Sendable {
  fileprivate let context: RunContext
  /// The stretch that the stage begins or is part of, nil where it passes over nothing.
  fileprivate let stretch: Int?

  /// The outputs in the stage's stretch; none where another stretch follows it.
  private var points: [ResumePoint] {
    guard let stretch else { return [] }
    return context.stretches.state.withLock { state in
      state.followed.contains(stretch) ? [] : state.points.filter { $0.stretch == stretch }.map(\.point)
    }
  }

  /// How many records every resumed output has already, 0 where a later stage passes over them. To be asked once records
  /// are pulled: outputs are opened before.
  package var count: Int { points.map(\.records).min() ?? 0 }

  /// Throws where a record that an output ends with is another one here.
  package func check(key: String, index: Int) throws(RunFailure) {
    for point in points { try point.check(key: key, index: index) }
  }

  /// Throws where the stream ended before all that is passed over was seen.
  package func checkEnd(after records: Int) throws(RunFailure) {
    guard !context.isEnding, records < count, let point = points.first else { return }
    throw RunFailure(
      .unreadable, "\(point.output): cannot be resumed: it has \(count) records, the input only \(records)")
  }
}

/// What an output of an earlier run holds already.
package struct ResumePoint: Sendable, Equatable {
  /// The output's name, for messages.
  package var output: String
  /// Input records that are done.
  package var records: Int
  /// The last one's key, nil where the output does not tell.
  package var lastKey: String?

  package init(output: String, records: Int, lastKey: String?) {
    self.output = output
    self.records = records
    self.lastKey = lastKey
  }

  /// Throws where the record at the point's end is not the one that the output ends with.
  package func check(key: String, index: Int) throws(RunFailure) {
    guard index == records - 1, let lastKey, lastKey != key else { return }
    throw RunFailure(
      .unreadable,
      "\(output): cannot be resumed: its last record is \"\(lastKey)\", record \(index) of the input is \"\(key)\"")
  }
}
