import CKernels
import COpenBLAS

/// y = x Wᵀ + b: a weight of shape [outputs, inputs] and an optional bias of [outputs].
package struct Linear: Sendable {
  package let weight: Weight
  package let bias: [Float]?

  package init(weight: Weight, bias: [Float]?) {
    self.weight = weight
    self.bias = bias
  }

  /// Output columns that one task computes.
  private static let decodeTile = 64
  private static let bulkTile = 128
  /// Rows that go through one BLAS call.
  private static let bulkRows = 512

  /// x [rows, inputs] → [rows, outputs].
  package func callAsFunction(_ x: Tensor, _ path: ProductPath, _ engine: Engine) -> Tensor {
    precondition(x.columns == weight.columns, "a product of unequal widths")
    let y = Tensor(rows: x.rows, columns: weight.rows)
    if x.rows == 0 { return y }
    switch path {
    case .decode: decode(x, y, engine)
    case .bulk: bulk(x, y, engine)
    }
    return y
  }

  private func decode(_ x: Tensor, _ y: Tensor, _ engine: Engine) {
    let k = weight.columns
    let n = weight.rows
    let kernel =
      switch weight.type {
      case .f32: mp_linear_f32
      case .f16: mp_linear_f16
      case .bf16: mp_linear_bf16
      }
    x.withValues { input in
      y.withMutable { output in
        bias.withPointer { bias in
          nonisolated(unsafe) let bias = bias
          let tiles = (n + Self.decodeTile - 1) / Self.decodeTile
          engine.parallel(tiles, work: x.rows * n * k) { tile in
            let first = tile * Self.decodeTile
            kernel(
              input, k, Int32(x.rows), weight.start, k, first, min(n, first + Self.decodeTile), bias, output, n)
          }
        }
      }
    }
  }

  private func bulk(_ x: Tensor, _ y: Tensor, _ engine: Engine) {
    let n = weight.rows
    x.withValues { input in
      y.withMutable { output in
        let tiles = (n + Self.bulkTile - 1) / Self.bulkTile
        engine.parallel(tiles, work: x.rows * n * weight.columns) { tile in
          let first = tile * Self.bulkTile
          multiplyTile(first..<min(n, first + Self.bulkTile), input, x.rows, output)
        }
      }
    }
  }

  private func multiplyTile(
    _ columns: Range<Int>, _ input: UnsafePointer<Float>, _ rows: Int, _ output: UnsafeMutablePointer<Float>
  ) {
    let k = weight.columns
    let n = weight.rows
    withUnsafeTemporaryAllocation(of: Float.self, capacity: columns.count * k) { panel in
      guard let panelStart = panel.baseAddress else { return }
      weight.widen(from: columns.lowerBound * k, count: columns.count * k, to: panelStart)
      for start in stride(from: 0, to: rows, by: Self.bulkRows) {
        let count = min(Self.bulkRows, rows - start)
        let out = output + start * n + columns.lowerBound
        cblas_sgemm(
          CblasRowMajor, CblasNoTrans, CblasTrans, Int32(count), Int32(columns.count), Int32(k), 1, input + start * k,
          Int32(k), panelStart, Int32(k), 0, out, Int32(n))
        guard let bias else { continue }
        for row in 0..<count {
          for column in columns { output[(start + row) * n + column] += bias[column] }
        }
      }
    }
  }
}

extension Optional where Wrapped == [Float] {
  fileprivate func withPointer(_ body: (UnsafePointer<Float>?) -> Void) {
    guard let self else { return body(nil) }
    self.withUnsafeBufferPointer { body($0.baseAddress) }
  }
}
