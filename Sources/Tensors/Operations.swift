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
    let y = Tensor(rows: x.rows, columns: x.columns)
    x.withValues { input in
      y.withMutable { output in
        for row in 0..<x.rows {
          mp_rms_norm(input + row * x.columns, weight, epsilon, x.columns, output + row * x.columns)
        }
      }
    }
    return y
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

/// silu(gate) · up, into gate.
package func siluMultiply(_ gate: Tensor, _ up: Tensor, _ engine: Engine) {
  gate.withMutable { gateValues in
    up.withValues { upValues in
      engine.parallel(gate.rows) { row in
        mp_silu_multiply(gateValues + row * gate.columns, upValues + row * gate.columns, gate.columns)
      }
    }
  }
}

/// The exact Gaussian error linear unit, in place.
package func gelu(_ x: Tensor, _ engine: Engine) {
  x.withMutable { values in
    engine.parallel(x.rows) { mp_gelu(values + $0 * x.columns, x.columns) }
  }
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

/// Attention of one query head's row over keys and values that lie at regular strides.
///
/// The sums run in the order of the keys: the result depends on nothing but this query and its keys.
package func attend(
  _ query: UnsafePointer<Float>, keys: UnsafePointer<Float>, keyStride: Int, values: UnsafePointer<Float>,
  valueStride: Int, count: Int, width: Int, scale: Float, out: UnsafeMutablePointer<Float>
) {
  withUnsafeTemporaryAllocation(of: Float.self, capacity: count) { scores in
    mp_attend(
      query, keys, keyStride, values, valueStride, count, width, scale, scores.baseAddress, out)
  }
}
