import CKernels

/// The machine's processors as the operations use them: a pool of threads.
///
/// No result depends on the number of threads: work is cut at boundaries fixed by its own shape.
package final class Engine: @unchecked Sendable {
  package let threads: Int
  /// What operations are recorded on; nil in inference.
  package let tape: Tape?
  /// What looks on as products are computed; nil but where weights are weighed.
  package let gauge: InputGauge?
  private let pool: Pool

  private final class Pool {
    let pointer: OpaquePointer?

    init(threads: Int) { pointer = mp_pool_create(Int32(threads)) }

    deinit { if let pointer { mp_pool_destroy(pointer) } }
  }

  package init(threads: Int) {
    self.threads = max(1, threads)
    pool = Pool(threads: self.threads)
    tape = nil
    gauge = nil
  }

  private init(_ engine: Engine, tape: Tape?, gauge: InputGauge?) {
    threads = engine.threads
    pool = engine.pool
    self.tape = tape
    self.gauge = gauge
  }

  /// The same threads, with operations recorded on this tape.
  package func recording(on tape: Tape?) -> Engine { Engine(self, tape: tape, gauge: gauge) }

  /// The same threads, with the inputs of products measured.
  package func measuring(with gauge: InputGauge) -> Engine { Engine(self, tape: tape, gauge: gauge) }

  /// Work below so many multiplications is done before another thread has begun.
  private static let smallWork = 100_000

  /// Whether work of about so many multiplications stays on the calling thread.
  func isSmall(_ work: Int) -> Bool { work <= Self.smallWork }

  /// The results of body(0) … body(count - 1), which run on all threads, in no particular order.
  ///
  /// - Parameter work: about how many multiplications all of it takes; little work stays on the calling thread.
  package func map<R>(_ count: Int, work: Int, _ body: (Int) -> R) -> [R] {
    [R](unsafeUninitializedCapacity: count) { buffer, filled in
      nonisolated(unsafe) let buffer = buffer
      parallel(count, work: work) { buffer.initializeElement(at: $0, to: body($0)) }
      filled = count
    }
  }

  /// Runs body(0) … body(count - 1) on all threads, in no particular order.
  ///
  /// - Parameter work: about how many multiplications all of it takes; little work stays on the calling thread.
  package func parallel(_ count: Int, work: Int = .max, _ body: (Int) -> Void) {
    guard let pool = pool.pointer, !isSmall(work) else {
      for index in 0..<count { body(index) }
      return
    }
    // Several at a time where there are many: threads that call the same closure count its users on one cache line.
    let together = max(1, count / (8 * threads))
    withoutActuallyEscaping(body) { body in
      let some: (Int) -> Void = { task in
        for index in task * together..<min(count, (task + 1) * together) { body(index) }
      }
      withUnsafePointer(to: some) { pointer in
        mp_pool_run(
          pool, { context, index in context?.assumingMemoryBound(to: ((Int) -> Void).self).pointee(index) },
          UnsafeMutableRawPointer(mutating: pointer), (count + together - 1) / together)
      }
    }
  }
}
