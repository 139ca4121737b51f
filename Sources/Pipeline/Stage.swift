/// A link of the pull chain.
///
/// A link asks the one before it for a record when it is asked for one itself, so order, memory and back-pressure
/// follow from the pull. A link belongs to one thread at a time.
package protocol Stage: AnyObject {
  /// The next record, or nil at the end of the stream.
  ///
  /// What is wrong with one record travels inside it (`Record.failure`); what is thrown ends the run.
  func next() throws(RunFailure) -> Record?

  /// Whether `next` can answer without waiting for input: a stage with work in hand then does that first.
  var isReady: Bool { get }
}

extension Stage {
  package var isReady: Bool { true }
}

/// A link that does one thing to each record: what most stages are.
///
/// A record that failed before passes untouched; a `StageFailure` thrown by `body` becomes the record's failure.
package final class Transform: Stage {
  private let name: String
  private let upstream: any Stage
  private let meter: Meter
  private let body: (inout Record) throws(StageFailure) -> Void

  /// - Parameters:
  ///   - name: the stage's name in the catalogue, under which its seconds are counted.
  ///   - body: the work on one record.
  package init(
    _ name: String, upstream: any Stage, meter: Meter,
    body: @escaping (inout Record) throws(StageFailure) -> Void
  ) {
    self.name = name
    self.upstream = upstream
    self.meter = meter
    self.body = body
  }

  package var isReady: Bool { upstream.isReady }

  package func next() throws(RunFailure) -> Record? {
    guard var record = try upstream.next() else { return nil }
    if record.failure != nil { return record }
    let started = ContinuousClock.now
    do {
      try body(&record)
    } catch {
      record.failure = error
    }
    meter.add(seconds: ContinuousClock.now - started, to: name)
    return record
  }
}
