import Foundation
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
  private let wantsEnd = Atomic<Bool>(false)
  private let resumePoints = Mutex<[ResumePoint]>([])
  fileprivate let reorderings = Atomic<Int>(0)

  package init(options: Options, meter: Meter = Meter()) {
    self.options = options
    self.meter = meter
  }

  /// Whether a signal asked the run to end after the record in hand.
  package var isEnding: Bool { wantsEnd.load(ordering: .relaxed) }

  /// Asks the run to end after the record in hand. Safe to call from a signal handler's thread.
  package func end() { wantsEnd.store(true, ordering: .relaxed) }

  /// Says something to the user, on standard error.
  package func say(_ message: String) { FileHandle.standardError.write(Data("massv-pipe: \(message)\n".utf8)) }

  /// Adds what an output holds already. Outputs are opened before the first record is pulled.
  package func add(_ point: ResumePoint) { resumePoints.withLock { $0.append(point) } }

  /// Where the outputs of a resumed run left off; empty in any other run.
  package var resume: [ResumePoint] { resumePoints.withLock { $0 } }

  /// For a stage to ask how many records it passes over, when it is built: sources, and stages that change the order or
  /// number of records, are `reordering`.
  package func passOver(reordering: Bool) -> PassOver {
    if reordering { reorderings.add(1, ordering: .relaxed) }
    return PassOver(context: self, reorderings: reorderings.load(ordering: .relaxed))
  }
}

/// What a stage passes over of the records that a resumed run's outputs have already.
///
/// Records are counted as the outputs see them. So the last stage that changes their order or number passes over them,
/// at its own output; those before it read everything, and those behind it meet none of them.
package struct PassOver: Sendable {
  fileprivate let context: RunContext
  fileprivate let reorderings: Int

  private var isLast: Bool { context.reorderings.load(ordering: .relaxed) == reorderings }

  /// How many records every resumed output has already, 0 where a later stage passes over them. To be asked once records
  /// are pulled: outputs are opened before.
  package var count: Int { isLast ? context.resume.map(\.records).min() ?? 0 : 0 }

  /// Throws where a record that an output ends with is another one here.
  package func check(key: String, index: Int) throws(RunFailure) {
    if isLast { for point in context.resume { try point.check(key: key, index: index) } }
  }

  /// Throws where the stream ended before all that is passed over was seen.
  package func checkEnd(after records: Int) throws(RunFailure) {
    guard !context.isEnding, records < count, let point = context.resume.first else { return }
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
