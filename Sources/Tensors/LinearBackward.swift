import CKernels

// The gradients of y = x Wᵀ + b are products as well, by the same kernels: dx = dy W and dW = dyᵀ x. Every sum runs in an
// order that shapes alone fix, so a training run gives the same bits on any number of threads.

extension Linear {
  /// Records y as made from x.
  func record(_ x: Tensor, _ y: Tensor, on tape: Tape, _ engine: Engine) {
    let weight = weight
    let bias = bias
    guard tape.wants(x) || weight.parameter?.isTrained == true || bias?.isTrained == true else { return }
    let plain = engine.recording(on: nil)
    tape.record(y) { [unowned tape] gradient in
      if let parameter = weight.parameter, parameter.isTrained {
        parameter.add(Self.weightGradient(x, gradient, plain))
      }
      if let bias, bias.isTrained { bias.parameter?.add(gradient.columnSums()) }
      if tape.wants(x) { tape.add(weight.inputGradient(gradient, plain), to: x) }
    }
  }

  /// Rows whose products are added up at once: they stay in the cache.
  private static let rowsTogether = 1024

  /// dyᵀ x: [outputs, inputs].
  private static func weightGradient(_ x: Tensor, _ gradient: Tensor, _ engine: Engine) -> Tensor {
    var total: Tensor?
    for first in stride(from: 0, to: x.rows, by: rowsTogether) {
      let rows = first..<min(x.rows, first + rowsTogether)
      let columns = Linear(weight: Weight(columnsOf: x, rows: rows, engine), bias: nil)
      let part = columns(gradient.transposed(rows: rows, engine), engine)
      guard let total else {
        total = part
        continue
      }
      total.withMutable { out in
        part.withValues { part in
          engine.parallel(total.rows, work: total.count) {
            mp_add(out + $0 * total.columns, part + $0 * total.columns, total.columns)
          }
        }
      }
    }
    return total ?? Tensor.zeros(rows: gradient.columns, columns: x.columns)
  }
}

extension Weight {
  /// dy W: [rows, inputs].
  fileprivate func inputGradient(_ gradient: Tensor, _ engine: Engine) -> Tensor {
    let rowMajor = parameter?.values ?? Tensor(rows: rows, columns: columns, values: values)
    let columns = Weight(columnsOf: rowMajor, rows: 0..<rows, engine)
    return Linear(weight: columns, bias: nil)(gradient, engine)
  }

  /// The weight as the kernels read it: a parameter's values are packed.
  func packed(_ engine: Engine) -> Weight {
    guard let parameter else { return self }
    return Weight(panels: rows, of: columns, engine) { panel, out in
      parameter.values.withValues {
        mp_panels_of_rows($0 + panel * 16 * columns, columns, min(16, rows - panel * 16), columns, out)
      }
    }
  }

  /// A weight whose rows are the columns of some rows of a matrix.
  fileprivate convenience init(columnsOf x: Tensor, rows range: Range<Int>, _ engine: Engine) {
    self.init(panels: x.columns, of: range.count, engine) { panel, out in
      x.withValues {
        mp_panels_of_columns(
          $0 + range.lowerBound * x.columns + panel * 16, x.columns, range.count, min(16, x.columns - panel * 16), out)
      }
    }
  }

  /// Panels of floats that a kernel fills one by one.
  private convenience init(
    panels rows: Int, of columns: Int, _ engine: Engine, _ fill: (Int, UnsafeMutablePointer<Float>) -> Void
  ) {
    let panels = (rows + 15) / 16
    let storage = TensorStorage(count: panels * 16 * columns)
    engine.parallel(panels, work: rows * columns) { fill($0, storage.start + $0 * 16 * columns) }
    self.init(rows: rows, columns: columns, format: .f32, start: UnsafeRawPointer(storage.start), owner: storage)
  }
}

extension Tensor {
  /// Some rows with columns and rows exchanged: [columns, rows].
  fileprivate func transposed(rows range: Range<Int>, _ engine: Engine) -> Tensor {
    let result = Tensor(rows: columns, columns: range.count)
    let side = 64
    result.withMutable { out in
      withValues { values in
        engine.parallel((columns + side - 1) / side, work: 4 * result.count) { block in
          let first = block * side
          mp_transpose(
            values + range.lowerBound * columns + first, columns, range.count, min(side, columns - first),
            out + first * range.count, range.count)
        }
      }
    }
    return result
  }
}
