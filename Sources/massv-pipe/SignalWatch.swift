import Foundation
import Pipeline
import Synchronization

/// SIGINT and SIGTERM ask the run to end after the record in hand; a second one ends it at once.
final class SignalWatch: @unchecked Sendable {
  private let last = Mutex<Int32?>(nil)
  /// Kept alive as long as the watch; written by `init` alone.
  private var sources: [any DispatchSourceSignal] = []

  init(_ context: RunContext) {
    for number in [SIGINT, SIGTERM] {
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler { [weak self] in
        guard let self else { return }
        if self.received != nil { _exit(128 + number) }
        self.last.withLock { $0 = number }
        context.end()
        complain("ending after the records in hand; once more to end at once")
      }
      source.resume()
      sources.append(source)
    }
  }

  /// The signal that asked for the end, nil if none came.
  var received: Int32? { last.withLock { $0 } }
}
