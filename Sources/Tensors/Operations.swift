import CKernels

/// Root-mean-square norm of each row: x / √(mean(x²) + ε) · weight.
package struct RMSNorm: Sendable {
  package let weight: [Float]
  package let epsilon: Float

  package init(weight: [Float], epsilon: Float) {
    self.weight = weight
    self.epsilon = epsilon
  }

  /// x [rows, width] → [rows, width].
  package func callAsFunction(_ x: Tensor) -> Tensor {
    x.mappingRows { mp_rms_norm($0, weight, epsilon, x.columns, $1) }
  }
}

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
  package func callAsFunction(_ x: Tensor) -> Tensor {
    x.mappingRows { mp_layer_norm($0, weight, bias, epsilon, x.columns, $1) }
  }
}

extension Tensor {
  /// Each row through a kernel that reads one row and writes another of the same width.
  fileprivate func mappingRows(_ kernel: (UnsafePointer<Float>, UnsafeMutablePointer<Float>) -> Void) -> Tensor {
    let result = Tensor(rows: rows, columns: columns)
    withValues { input in
      result.withMutable { output in
        for row in 0..<rows { kernel(input + row * columns, output + row * columns) }
      }
    }
    return result
  }
}

/// Rotates every head of every row in place: `heads` heads of width 2 · angles.columns at the start of each row.
package func rotate(_ x: Tensor, heads: Int, cosine: Tensor, sine: Tensor, columnOffset: Int = 0) {
  let half = cosine.columns
  x.withMutable { values in
    cosine.withValues { cosine in
      sine.withValues { sine in
        for row in 0..<x.rows {
          mp_rotate(
            values + row * x.columns + columnOffset, heads, half * 2, cosine + row * half, sine + row * half)
        }
      }
    }
  }
}

/// An activation, by the names of configuration files.
package enum Activation: String, Sendable {
  case silu
  /// The exact form, with erf.
  case gelu
  case geluTanh = "gelu_pytorch_tanh"
  case quickGELU = "quick_gelu"

  /// In place.
  package func apply(to x: Tensor, _ engine: Engine) {
    let kernel: (UnsafeMutablePointer<Float>, Int) -> Void =
      switch self {
      case .silu: preconditionFailure("silu stands before a product alone: see multiply")
      case .gelu: { mp_gelu($0, $1) }
      case .geluTanh: { mp_gelu_tanh($0, $1) }
      case .quickGELU: { mp_quick_gelu($0, $1) }
      }
    x.withMutable { values in
      engine.parallel(x.rows, work: 16 * x.count) { kernel(values + $0 * x.columns, x.columns) }
    }
  }

  /// activation(gate) · up, into gate; silu and geluTanh alone have kernels for it.
  package func multiply(_ gate: Tensor, _ up: Tensor, _ engine: Engine) {
    let kernel = self == .silu ? mp_silu_multiply : mp_gelu_tanh_multiply
    gate.withMutable { gateValues in
      up.withValues { upValues in
        engine.parallel(gate.rows, work: 16 * gate.count) { row in
          kernel(gateValues + row * gate.columns, upValues + row * gate.columns, gate.columns)
        }
      }
    }
  }
}

/// Averages squares of `by`² rows of a square grid: [side², width] → [(side / by)², width].
package func averagePool(_ x: Tensor, side: Int, by size: Int) -> Tensor {
  let outSide = side / size
  let result = Tensor(rows: outSide * outSide, columns: x.columns)
  let share = 1 / Float(size * size)
  result.withMutable { out in
    x.withValues { values in
      out.update(repeating: 0, count: result.count)
      for row in 0..<outSide * size {
        for column in 0..<outSide * size {
          let place = out + (row / size * outSide + column / size) * x.columns
          mp_add(place, values + (row * side + column) * x.columns, x.columns)
        }
      }
      for i in 0..<result.count { out[i] *= share }
    }
  }
  return result
}

/// cap · tanh(x / cap) in place.
package func softCap(_ x: Tensor, _ cap: Float, _ engine: Engine) {
  x.withMutable { values in
    engine.parallel(x.rows, work: 16 * x.count) { mp_soft_cap(values + $0 * x.columns, cap, x.columns) }
  }
}

/// x · factor as a new tensor.
package func scaling(_ x: Tensor, by factor: Float) -> Tensor {
  let result = Tensor(rows: x.rows, columns: x.columns)
  result.withMutable { out in
    x.withValues { values in for i in 0..<x.count { out[i] = values[i] * factor } }
  }
  return result
}

/// x + y as a new tensor.
package func adding(_ x: Tensor, _ y: Tensor) -> Tensor {
  let sum = Tensor(rows: x.rows, columns: x.columns)
  sum.withMutable { out in
    x.withValues { out.update(from: $0, count: x.count) }
    y.withValues { mp_add(out, $0, y.count) }
  }
  return sum
}
