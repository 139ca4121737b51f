import CKernels

/// Root-mean-square norm of each row: x / √(mean(x²) + ε) · weight.
package struct RMSNorm: Sendable {
  package let weight: WeightVector
  package let epsilon: Float

  package init(weight: WeightVector, epsilon: Float) {
    self.weight = weight
    self.epsilon = epsilon
  }

  /// x [rows, width] → [rows, width].
  package func callAsFunction(_ x: Tensor, _ engine: Engine) -> Tensor {
    let weight = weight.values
    let y = x.mappingRows(engine) { mp_rms_norm($0, weight, epsilon, x.columns, $1) }
    if let tape = engine.tape, tape.wants(x) || self.weight.isTrained {
      tape.record(y) { [unowned tape] in tape.add(backward(x, weight, $0, engine), to: x) }
    }
    return y
  }

  /// The gradient of x; that of the weight goes to its parameter.
  private func backward(_ x: Tensor, _ weight: [Float], _ gradient: Tensor, _ engine: Engine) -> Tensor {
    let result = Tensor(rows: x.rows, columns: x.columns)
    // Sums over rows run in blocks of fixed size: they do not depend on the threads.
    let blocks = (x.rows + rowsInBlock - 1) / rowsInBlock
    let sums = Tensor.zeros(rows: self.weight.isTrained ? blocks : 0, columns: x.columns)
    sums.withMutable { sums in
      x.withValues { input in
        gradient.withValues { gradient in
          result.withMutable { output in
            engine.parallel(blocks, work: 8 * x.count) { block in
              for row in block * rowsInBlock..<min(x.rows, (block + 1) * rowsInBlock) {
                let place = row * x.columns
                mp_rms_norm_backward(
                  input + place, weight, epsilon, x.columns, gradient + place, output + place,
                  self.weight.isTrained ? sums + block * x.columns : nil)
              }
            }
          }
        }
      }
    }
    self.weight.parameter?.add(sums.columnSums())
    return result
  }
}

/// Rows whose sums one task gathers.
private let rowsInBlock = 64

/// Layer norm of each row: (x − mean) / √(variance + ε) · weight + bias.
package struct LayerNorm: Sendable {
  package let weight: [Float]
  package let bias: [Float]
  package let epsilon: Float

  package init(weight: [Float], bias: [Float], epsilon: Float) {
    self.weight = weight
    self.bias = bias
    self.epsilon = epsilon
  }

  /// x [rows, width] → [rows, width].
  package func callAsFunction(_ x: Tensor, _ engine: Engine) -> Tensor {
    x.mappingRows(engine) { mp_layer_norm($0, weight, bias, epsilon, x.columns, $1) }
  }
}

extension Tensor {
  /// Each row through a kernel that reads one row and writes another of the same width.
  fileprivate func mappingRows(
    _ engine: Engine, _ kernel: (UnsafePointer<Float>, UnsafeMutablePointer<Float>) -> Void
  ) -> Tensor {
    let result = Tensor(rows: rows, columns: columns)
    withValues { input in
      result.withMutable { output in
        engine.parallel(rows, work: 2 * count) { kernel(input + $0 * columns, output + $0 * columns) }
      }
    }
    return result
  }

  /// The sum of all rows, one after the other: [1, columns].
  func columnSums() -> Tensor {
    let sums = Tensor.zeros(rows: 1, columns: columns)
    sums.withMutable { out in
      withValues { values in for row in 0..<rows { mp_add(out, values + row * columns, columns) } }
    }
    return sums
  }
}
