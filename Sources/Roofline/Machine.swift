import CKernels
import Tensors

/// What this machine does at most, with these threads and this build of the kernels.
package struct Machine: Sendable {
  /// Read bandwidth, 10⁹ bytes a second.
  package let readBandwidth: Double
  /// Multiplications and additions of f32 in registers, 10⁹ a second.
  package let arithmetic: Double
  /// Seconds to hand out work to all threads and have it back.
  package let forkJoin: Double
  package let threads: Int
  /// The instruction set that the kernels use.
  package let instructions: String

  /// Measures for about a second.
  package init(_ engine: Engine) {
    threads = engine.threads
    instructions = [MP_AVX2: "avx2", MP_AVX512: "avx512", MP_NEON: "neon"][mp_instructions()] ?? "generic"
    let reader = ReadProbe()
    readBandwidth = Self.best { reader.read(engine) / 1e9 }
    arithmetic = Self.best { () -> Double in
      let sums = Tensor(rows: 1, columns: engine.threads)
      let rounds = 4_000_000
      var operations = 0.0
      sums.withMutable { sums in
        engine.parallel(engine.threads) { _ = mp_multiply_add(rounds, sums + $0) }
        operations = mp_multiply_add(1, sums) * Double(rounds * engine.threads)
      }
      return operations / 1e9
    }
    let forks = 10_000
    let seconds = timed { for _ in 0..<forks { engine.parallel(engine.threads) { _ in } } }
    forkJoin = seconds / Double(forks)
  }

  /// The best rate of several tries, since other programs can only slow one down.
  private static func best(_ work: () -> Double) -> Double {
    (0..<8).map { _ in
      var amount = 0.0
      let seconds = timed { amount = work() }
      return amount / seconds
    }.max() ?? 0
  }
}

/// Memory that no cache holds, to read from end to end.
struct ReadProbe {
  private let buffer: Tensor

  init() {
    buffer = Tensor(rows: 1 << 16, columns: 2048)
    buffer.withMutable { values in for index in 0..<buffer.count { values[index] = Float(index) } }
  }

  /// Reads all of it; returns how many bytes that were.
  func read(_ engine: Engine) -> Double {
    let piece = buffer.count * 4 / engine.threads
    buffer.withValues { values in
      let start = UnsafeRawPointer(values)
      engine.parallel(engine.threads) { _ = mp_read_streams(start + $0 * piece, piece) }
    }
    return Double(piece * engine.threads)
  }
}

/// Seconds that a piece of work takes.
func timed(_ body: () -> Void) -> Double {
  let start = ContinuousClock.now
  body()
  return (ContinuousClock.now - start) / .seconds(1)
}

func median(_ values: [Double]) -> Double { values.isEmpty ? 0 : values.sorted()[values.count / 2] }
