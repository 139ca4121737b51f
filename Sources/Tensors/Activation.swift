import CKernels

/// An activation, by the names of configuration files.
package enum Activation: String, Sendable {
  case silu
  /// The exact form, with erf.
  case gelu
  case geluTanh = "gelu_pytorch_tanh"
  case quickGELU = "quick_gelu"

  /// In place.
  package func apply(to x: Tensor, _ engine: Engine) {
    if let tape = engine.tape, tape.wants(x) { record(x, x.copied(), on: tape, engine) }
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

  /// - Parameter before: what stood in `x` before.
  private func record(_ x: Tensor, _ before: Tensor, on tape: Tape, _ engine: Engine) {
    precondition(self != .quickGELU, "CLIP's towers are not trained")
    let kernel = self == .gelu ? mp_gelu_backward : mp_gelu_tanh_backward
    tape.record(x) { [unowned tape] gradient in
      let result = Tensor(rows: x.rows, columns: x.columns)
      result.withMutable { out in
        before.withValues { before in
          gradient.withValues { gradient in
            engine.parallel(x.rows, work: 32 * x.count) { row in
              let place = row * x.columns
              kernel(before + place, gradient + place, out + place, x.columns)
            }
          }
        }
      }
      tape.add(result, to: x)
    }
  }

  /// activation(gate) · up, into gate; silu and geluTanh alone have kernels for it.
  package func multiply(_ gate: Tensor, _ up: Tensor, _ engine: Engine) {
    if let tape = engine.tape, tape.wants(gate) || tape.wants(up) {
      recordProduct(gate, up, gate.copied(), on: tape, engine)
    }
    let kernel = self == .silu ? mp_silu_multiply : mp_gelu_tanh_multiply
    gate.withMutable { gateValues in
      up.withValues { upValues in
        engine.parallel(gate.rows, work: 16 * gate.count) { row in
          kernel(gateValues + row * gate.columns, upValues + row * gate.columns, gate.columns)
        }
      }
    }
  }

  /// - Parameter before: what stood in `gate` before.
  private func recordProduct(_ gate: Tensor, _ up: Tensor, _ before: Tensor, on tape: Tape, _ engine: Engine) {
    let kernel = self == .silu ? mp_silu_multiply_backward : mp_gelu_tanh_multiply_backward
    tape.record(gate) { [unowned tape] gradient in
      let gateGradient = Tensor(rows: gate.rows, columns: gate.columns)
      let upGradient = Tensor(rows: gate.rows, columns: gate.columns)
      before.withValues { before in
        up.withValues { up in
          gradient.withValues { gradient in
            gateGradient.withMutable { gateOut in
              upGradient.withMutable { upOut in
                engine.parallel(gate.rows, work: 32 * gate.count) { row in
                  let place = row * gate.columns
                  kernel(before + place, up + place, gradient + place, gateOut + place, upOut + place, gate.columns)
                }
              }
            }
          }
        }
      }
      tape.add(gateGradient, to: gate)
      tape.add(upGradient, to: up)
    }
  }
}
