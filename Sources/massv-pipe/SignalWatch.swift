import Foundation
import Pipeline
import Synchronization

/// What the handler may touch: set once, before it is installed.
nonisolated(unsafe) private var watchedContext: RunContext?
private let lastSignal = Atomic<Int32>(0)

/// SIGINT and SIGTERM ask the run to end after the record in hand; a second one ends it at once, and so does the first where
/// models still load.
///
/// A plain handler rather than a dispatch source: it works where the system has no more threads to give.
struct SignalWatch {
  init(_ context: RunContext) {
    watchedContext = context
    lastSignal.store(0, ordering: .relaxed)
    // A parent may have left them blocked.
    var both = sigset_t()
    sigemptyset(&both)
    sigaddset(&both, SIGINT)
    sigaddset(&both, SIGTERM)
    pthread_sigmask(SIG_UNBLOCK, &both, nil)
    for number in [SIGINT, SIGTERM] {
      signal(number) { number in
        // What was interrupted may be about to read it.
        let kept = errno
        defer { errno = kept }
        let isSecond = lastSignal.exchange(number, ordering: .relaxed) != 0
        if isSecond || watchedContext?.hasBegun != true { _exit(128 + number) }
        watchedContext?.end()
        let message: StaticString = "massv-pipe: ending after the records in hand; once more to end at once\n"
        write(STDERR_FILENO, message.utf8Start, message.utf8CodeUnitCount)
      }
    }
  }

  /// The signal that asked for the end, nil if none came.
  var received: Int32? {
    let number = lastSignal.load(ordering: .relaxed)
    return number == 0 ? nil : number
  }
}
