import Foundation

/// Runs the links before it on a thread of their own, a bounded number of records ahead.
///
/// Order stays as it is. The thread starts at the first pull and rests while the queue holds `records` records or
/// `bytes` bytes, so memory stays bounded however slow the links behind are.
package final class ReadAhead: Stage {
  private let shared: Shared
  private var isStarted = false

  /// - Parameters:
  ///   - records: how many records may wait, 1 or more.
  ///   - bytes: how many bytes the waiting records may hold; one record always may.
  package init(_ upstream: any Stage, records: Int, bytes: Int, context: RunContext) {
    shared = Shared(upstream, records: max(1, records), bytes: bytes, context: context)
  }

  deinit { shared.stop() }

  package var isReady: Bool {
    start()
    return shared.isReady
  }

  package func next() throws(RunFailure) -> Record? {
    start()
    return try shared.take()
  }

  private func start() {
    if isStarted { return }
    isStarted = true
    if !shared.startThread() { shared.readsInPlace = true }
  }

  /// The queue and what guards it. The upstream link is touched by the filling thread alone.
  private final class Shared: @unchecked Sendable {
    private let upstream: any Stage
    private let records: Int
    private let bytes: Int
    private let context: RunContext
    private let condition = NSCondition()
    private var queue: [Record] = []
    private var queuedBytes = 0
    private var end: Result<Void, RunFailure>?
    private var isStopped = false
    /// Where no thread could be had, records are read when they are asked for.
    var readsInPlace = false

    init(_ upstream: any Stage, records: Int, bytes: Int, context: RunContext) {
      self.upstream = upstream
      self.records = records
      self.bytes = bytes
      self.context = context
    }

    /// Starts the filling thread; false where the system has none to give.
    func startThread() -> Bool {
      var attributes = pthread_attr_t()
      pthread_attr_init(&attributes)
      defer { pthread_attr_destroy(&attributes) }
      pthread_attr_setstacksize(&attributes, 4 << 20)
      pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
      let this = Unmanaged.passRetained(self)
      var thread = pthread_t()
      let status = pthread_create(
        &thread, &attributes,
        { argument in
          if let argument { Unmanaged<Shared>.fromOpaque(argument).takeRetainedValue().fill() }
          return nil
        }, this.toOpaque())
      if status != 0 { this.release() }
      return status == 0
    }

    var isReady: Bool {
      if readsInPlace { return upstream.isReady }
      return isFilled
    }

    private var isFilled: Bool { condition.withLock { !queue.isEmpty || end != nil || context.isEnding } }

    func stop() {
      condition.withLock {
        isStopped = true
        condition.broadcast()
      }
    }

    func fill() {
      while waitForRoom() {
        do throws(RunFailure) {
          guard let record = try upstream.next() else { return finish(.success(())) }
          condition.withLock {
            queue.append(record)
            queuedBytes += record.footprint
            condition.signal()
          }
        } catch {
          return finish(.failure(error))
        }
      }
    }

    private func waitForRoom() -> Bool {
      condition.withLock {
        while !isStopped, !queue.isEmpty, queue.count >= records || queuedBytes >= bytes { condition.wait() }
        return !isStopped
      }
    }

    private func finish(_ result: Result<Void, RunFailure>) {
      condition.withLock {
        end = result
        condition.signal()
      }
    }

    func take() throws(RunFailure) -> Record? {
      if readsInPlace { return context.isEnding ? nil : try upstream.next() }
      condition.lock()
      defer { condition.unlock() }
      while queue.isEmpty {
        if let end {
          try end.get()
          return nil
        }
        // The filling thread may be waiting for input that never comes: a signal still ends the run.
        if context.isEnding { return nil }
        _ = condition.wait(until: Date(timeIntervalSinceNow: 0.1))
      }
      if context.isEnding { return nil }
      let record = queue.removeFirst()
      queuedBytes -= record.footprint
      condition.signal()
      return record
    }
  }
}
