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
    let y = weight.withValues { weight in
      x.mappingRows(engine) { mp_rms_norm($0, weight, epsilon, x.columns, $1) }
    }
    if let tape = engine.tape, tape.wants(x) || self.weight.isTrained {
      tape.record(y) { [unowned tape] in tape.add(backward(x, weight, $0, engine), to: x) }
    }
    return y
  }

  /// The gradient of x; that of the weight goes to its parameter.
  private func backward(_ x: Tensor, _ weight: Tensor, _ gradient: Tensor, _ engine: Engine) -> Tensor {
    let wanted = self.weight.isTrained
    return weight.withValues { weight in
      x.goingBack(gradient, [self.weight], engine) { input, gradient, output, sums in
        mp_rms_norm_backward(input, weight, epsilon, x.columns, gradient, output, wanted ? sums[0] : nil)
      }
    }
  }
}

/// Rows whose sums one task gathers.
private let rowsInBlock = 64

/// Layer norm of each row: (x − mean) / √(variance + ε) · weight + bias.
package struct LayerNorm: Sendable {
  package let weight: WeightVector
  package let bias: WeightVector
  package let epsilon: Float

  package init(weight: WeightVector, bias: WeightVector, epsilon: Float) {
    self.weight = weight
    self.bias = bias
    self.epsilon = epsilon
  }

  /// x [rows, width] → [rows, width].
  package func callAsFunction(_ x: Tensor, _ engine: Engine) -> Tensor {
    let (weight, bias) = (weight.values, bias.values)
    let y = weight.withValues { weight in
      bias.withValues { bias in
        x.mappingRows(engine) { mp_layer_norm($0, weight, bias, epsilon, x.columns, $1) }
      }
    }
    if let tape = engine.tape, tape.wants(x) || self.weight.isTrained || self.bias.isTrained {
      tape.record(y) { [unowned tape] in tape.add(backward(x, weight, $0, engine), to: x) }
    }
    return y
  }

  private func backward(_ x: Tensor, _ weight: Tensor, _ gradient: Tensor, _ engine: Engine) -> Tensor {
    let wanted = (weight: self.weight.isTrained, bias: bias.isTrained)
    return weight.withValues { weight in
      x.goingBack(gradient, [self.weight, bias], engine) { input, gradient, output, sums in
        mp_layer_norm_backward(
          input, weight, epsilon, x.columns, gradient, output, wanted.weight ? sums[0] : nil,
          wanted.bias ? sums[1] : nil)
      }
    }
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

  /// The gradient of each row, by a kernel that also adds to the gradients of vectors of weights.
  ///
  /// Sums over rows run in blocks of fixed size: they do not depend on the threads.
  fileprivate func goingBack(
    _ gradient: Tensor, _ vectors: [WeightVector], _ engine: Engine,
    _ kernel: (
      _ input: UnsafePointer<Float>, _ gradient: UnsafePointer<Float>, _ output: UnsafeMutablePointer<Float>,
      _ sums: [UnsafeMutablePointer<Float>]
    ) -> Void
  ) -> Tensor {
    let result = Tensor(rows: rows, columns: columns)
    let blocks = (rows + rowsInBlock - 1) / rowsInBlock
    let sums = vectors.map { Tensor.zeros(rows: $0.isTrained ? blocks : 0, columns: columns) }
    withValues { input in
      gradient.withValues { gradient in
        result.withMutable { output in
          engine.parallel(blocks, work: 8 * count) { block in
            let totals = sums.map { $0.withMutable { $0 + block * columns } }
            for row in block * rowsInBlock..<min(rows, (block + 1) * rowsInBlock) {
              kernel(input + row * columns, gradient + row * columns, output + row * columns, totals)
            }
          }
        }
      }
    }
    for (vector, sum) in zip(vectors, sums) where vector.isTrained { vector.parameter?.add(sum.columnSums()) }
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
