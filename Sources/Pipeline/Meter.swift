import Synchronization

/// The run's raw counters: what `--stats` writes and the progress line shows. Ratios are computed by whoever prints.
///
/// One meter serves a whole run; every stage may add to it from any thread.
package final class Meter: Sendable {
  /// Counts and seconds by name, as they stand at one moment.
  package struct Reading: Sendable {
    package var counts: [String: Int] = [:]
    package var seconds: [String: Double] = [:]
    /// Free-form remarks by name, such as what `gamma=auto` settled on.
    package var notes: [String: String] = [:]

    /// The count under this name, 0 if nothing was counted.
    package subscript(_ name: String) -> Int { counts[name] ?? 0 }
  }

  private let state = Mutex(Reading())

  package init() {}

  /// Adds to a counter: `records`, `failed`, `tokens`, `drafted`, `accepted`, `rounds`.
  package func count(_ name: String, _ amount: Int = 1) {
    state.withLock { $0.counts[name, default: 0] += amount }
  }

  /// Adds time to a stage or phase: `decode`, `encode`, `prefill`, `draft`, `verify`.
  package func add(seconds: Duration, to name: String) {
    let value = Double(seconds.components.seconds) + Double(seconds.components.attoseconds) * 1e-18
    state.withLock { $0.seconds[name, default: 0] += value }
  }

  /// Sets a remark.
  package func note(_ name: String, _ text: String) {
    state.withLock { $0.notes[name] = text }
  }

  /// The counters as they stand.
  package var reading: Reading { state.withLock { $0 } }
}
