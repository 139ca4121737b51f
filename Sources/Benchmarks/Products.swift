import COpenBLAS
import Foundation
import Tensors

/// Products of 512 rows with a weight of a 1.5B model's feed-forward, beside OpenBLAS's f32 product of the same sizes.
func benchmarkProducts() throws {
  let (rows, outputs, inputs) = (512, 8960, 1536)
  let engine = Engine(threads: ProcessInfo.processInfo.activeProcessorCount)
  func random(_ rows: Int, _ columns: Int, _ scale: Float) -> Tensor {
    var state: UInt32 = 1
    return Tensor(
      rows: rows, columns: columns,
      values: (0..<rows * columns).map { _ in
        state = state &* 1_664_525 &+ 1_013_904_223
        return (Float(state >> 8) / Float(1 << 23) - 1) * scale
      })
  }
  let x = random(rows, inputs, 1)
  let weight = random(outputs, inputs, 0.02)
  openblas_set_num_threads(Int32(engine.threads))
  var sides: [() throws -> Double] = [{ timed { _ = openBLASProduct(x, weight) } }]
  let formats = WeightFormat.allCases
  for format in formats {
    let layer = Linear(weight: Weight(StoredTensor(weight), as: format, engine), bias: nil)
    sides.append { timed { _ = layer(x, engine) } }
  }
  let seconds = try interleaved(7, sides)
  let operations = 2 * Double(rows * outputs * inputs) / 1e9
  print("products: OpenBLAS f32 \(formatted(operations / seconds[0], 0)) GFLOP/s")
  for (format, taken) in zip(formats, seconds.dropFirst()) {
    print("  \(format.rawValue) \(formatted(operations / taken, 0)), \(formatted(seconds[0] / taken)) × OpenBLAS")
  }
}

/// x Wᵀ: x [rows, inputs], weight [outputs, inputs] → [rows, outputs].
private func openBLASProduct(_ x: Tensor, _ weight: Tensor) -> Tensor {
  let result = Tensor(rows: x.rows, columns: weight.rows)
  let (rows, outputs, inputs) = (Int32(x.rows), Int32(weight.rows), Int32(x.columns))
  x.withValues { x in
    weight.withValues { weight in
      result.withMutable {
        cblas_sgemm(
          CblasRowMajor, CblasNoTrans, CblasTrans, rows, outputs, inputs, 1, x, inputs, weight, inputs, 0, $0, outputs)
      }
    }
  }
  return result
}
