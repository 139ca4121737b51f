import CKernels
import COpenBLAS
import Foundation

/// The machine's processors as the operations use them: a pool of threads.
///
/// No result depends on the number of threads: work is cut at boundaries fixed by its own shape.
package final class Engine: @unchecked Sendable {
  package let threads: Int
  private let pool: OpaquePointer?

  package init(threads: Int) {
    self.threads = max(1, threads)
    pool = mp_pool_create(Int32(self.threads))
    // Our own threads share out BLAS calls; its threads would fight them.
    openblas_set_num_threads(1)
  }

  deinit { if let pool { mp_pool_destroy(pool) } }

  /// Whether the process may still map what BLAS takes for each of its threads.
  ///
  /// OpenBLAS asks for it again and again without end where it is refused, so it is asked before.
  package static func hasRoom(threads: Int) -> Bool {
    let size = (max(1, threads) + 1) * (128 << 20)
    guard let place = mmap(nil, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
      place != MAP_FAILED
    else { return false }
    munmap(place, size)
    return true
  }

  /// Work below so many multiplications is done before another thread has begun.
  private static let smallWork = 50_000

  /// Runs body(0) … body(count - 1) on all threads, in no particular order.
  ///
  /// - Parameter work: about how many multiplications all of it takes; little work stays on the calling thread.
  package func parallel(_ count: Int, work: Int = .max, _ body: (Int) -> Void) {
    guard let pool, work > Self.smallWork else { return (0..<count).forEach(body) }
    withoutActuallyEscaping(body) { escapable in
      withUnsafePointer(to: escapable) { pointer in
        mp_pool_run(
          pool, { context, index in context?.assumingMemoryBound(to: ((Int) -> Void).self).pointee(index) },
          UnsafeMutableRawPointer(mutating: pointer), count)
      }
    }
  }
}

/// Which way a product takes. Both compute each row alone; they round differently, so a row's way is chosen by what
/// it is (a prompt's row, a decoded token), never by how many rows there are.
package enum ProductPath: Sendable {
  /// Few rows, each weight read once: decoding.
  case decode
  /// Many rows of one record: prompts and pictures, through BLAS in tiles of fixed shape.
  case bulk
}
