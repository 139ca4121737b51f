import CKernels

/// Rotates every head of every row in place: `heads` heads of width 2 · angles.columns at the start of each row.
package func rotate(
  _ x: Tensor, heads: Int, cosine: Tensor, sine: Tensor, columnOffset: Int = 0, _ engine: Engine
) {
  turn(x, heads, cosine, sine, columnOffset, engine)
  guard let tape = engine.tape, tape.wants(x) else { return }
  tape.record(x) { [unowned tape] gradient in
    // The gradient turns back.
    let back = gradient.copied()
    turn(back, heads, cosine, scaling(sine, by: -1), columnOffset, engine)
    tape.add(back, to: x)
  }
}

private func turn(
  _ x: Tensor, _ heads: Int, _ cosine: Tensor, _ sine: Tensor, _ columnOffset: Int, _ engine: Engine
) {
  let half = cosine.columns
  x.withMutable { values in
    cosine.withValues { cosine in
      sine.withValues { sine in
        engine.parallel(x.rows, work: 2 * x.count) { row in
          mp_rotate(
            values + row * x.columns + columnOffset, heads, half * 2, cosine + row * half, sine + row * half)
        }
      }
    }
  }
}

/// Averages rectangles of grids' rows, from the upper left: [height · width, columns] → [outHeight · outWidth, columns] for
/// each of the grids that lie one behind the other. Rows and columns of a grid that fill no rectangle are left out.
package func averagePool(
  _ x: Tensor, height: Int, width: Int, outHeight: Int, outWidth: Int, _ engine: Engine
) -> Tensor {
  let (tall, wide) = (height / outHeight, width / outWidth)
  let grids = x.rows / (height * width)
  let result = Tensor.zeros(rows: grids * outHeight * outWidth, columns: x.columns)
  let share = 1 / Float(tall * wide)
  func forEachPair(_ body: (_ pooled: Int, _ place: Int) -> Void) {
    for row in 0..<grids * outHeight * tall {
      let (grid, inGrid) = (row / (outHeight * tall), row % (outHeight * tall))
      for column in 0..<outWidth * wide {
        let pooled = (grid * outHeight + inGrid / tall) * outWidth + column / wide
        body(pooled * x.columns, ((grid * height + inGrid) * width + column) * x.columns)
      }
    }
  }
  result.withMutable { out in
    x.withValues { values in forEachPair { mp_add(out + $0, values + $1, x.columns) } }
    mp_scale(out, share, result.count)
  }
  if let tape = engine.tape, tape.wants(x) {
    tape.record(result) { [unowned tape] gradient in
      let spread = Tensor.zeros(rows: x.rows, columns: x.columns)
      spread.withMutable { out in
        gradient.withValues { values in forEachPair { mp_add(out + $1, values + $0, x.columns) } }
        mp_scale(out, share, spread.count)
      }
      tape.add(spread, to: x)
    }
  }
  return result
}

/// cap · tanh(x / cap) in place.
package func softCap(_ x: Tensor, _ cap: Float, _ engine: Engine) {
  x.withMutable { values in
    engine.parallel(x.rows, work: 16 * x.count) { mp_soft_cap(values + $0 * x.columns, cap, x.columns) }
  }
  guard let tape = engine.tape, tape.wants(x) else { return }
  tape.record(x) { [unowned tape, y = x.copied()] gradient in
    let result = Tensor(rows: y.rows, columns: y.columns)
    result.withMutable { out in
      y.withValues { y in gradient.withValues { mp_soft_cap_backward(y, cap, $0, out, result.count) } }
    }
    tape.add(result, to: x)
  }
}

/// x · factor as a new tensor.
package func scaling(_ x: Tensor, by factor: Float) -> Tensor {
  let result = x.copied()
  result.withMutable { mp_scale($0, factor, x.count) }
  return result
}

/// x + y as a new tensor.
package func adding(_ x: Tensor, _ y: Tensor, _ engine: Engine) -> Tensor {
  let result = Tensor(rows: x.rows, columns: x.columns)
  result.withMutable { out in
    x.withValues { left in
      y.withValues { right in
        engine.parallel(x.rows, work: x.count) { row in
          let place = row * x.columns
          mp_sum(left + place, right + place, out + place, x.columns)
        }
      }
    }
  }
  if let tape = engine.tape, tape.wants(x) || tape.wants(y) {
    tape.record(result) { [unowned tape] gradient in
      tape.add(gradient, to: x)
      tape.add(gradient, to: y)
    }
  }
  return result
}

/// Some rows of x, in this order, as a new tensor.
package func gathering(_ x: Tensor, _ rows: [Int], _ engine: Engine) -> Tensor {
  let result = x.gathering(rows)
  if let tape = engine.tape, tape.wants(x) {
    tape.record(result) { [unowned tape] gradient in
      tape.add(gradient.scattered(to: rows, of: x.rows), to: x)
    }
  }
  return result
}

/// x with rows of another tensor in the places of its own, as a new tensor.
package func replacing(_ rows: [Int], of x: Tensor, by other: Tensor, _ engine: Engine?) -> Tensor {
  let result = x.copied()
  result.write(other, to: rows)
  if let tape = engine?.tape, tape.wants(x) || tape.wants(other) {
    tape.record(result) { [unowned tape] gradient in
      tape.add(gradient.gathering(rows), to: other)
      let rest = gradient.copied()
      rest.write(Tensor.zeros(rows: rows.count, columns: x.columns), to: rows)
      tape.add(rest, to: x)
    }
  }
  return result
}

extension Weight {
  /// These rows of the weight, each value times `scale`: [rows, columns]. Rows that there are not become zeros.
  ///
  /// - Parameter engine: whose tape records it, nil for none.
  package func rows(_ rows: [Int], scale: Float = 1, _ engine: Engine?) -> Tensor {
    let result = Tensor(rows: rows.count, columns: columns)
    result.withMutable { out in
      for (place, row) in rows.enumerated() {
        let place = out + place * columns
        if (0..<self.rows).contains(row) { copyRow(row, to: place) } else { place.update(repeating: 0, count: columns) }
        if scale != 1 { mp_scale(place, scale, columns) }
      }
    }
    if let tape = engine?.tape, let parameter, parameter.isTrained {
      tape.record(result) { gradient in
        let known = rows.indices.filter { (0..<self.rows).contains(rows[$0]) }
        let scaled = scale == 1 ? gradient : scaling(gradient, by: scale)
        parameter.add(scaled.gathering(known).scattered(to: known.map { rows[$0] }, of: self.rows))
      }
    }
    return result
  }
}

extension Tensor {
  /// Puts another's rows into these places.
  fileprivate func write(_ other: Tensor, to rows: [Int]) {
    withMutable { out in
      other.withValues { values in
        for (row, place) in rows.enumerated() {
          (out + place * columns).update(from: values + row * columns, count: columns)
        }
      }
    }
  }

  /// Rows added to these rows of a tensor of `count` rows that is else zero.
  package func scattered(to rows: [Int], of count: Int) -> Tensor {
    let result = Tensor.zeros(rows: count, columns: columns)
    result.withMutable { out in
      withValues { values in
        for (row, place) in rows.enumerated() { mp_add(out + place * columns, values + row * columns, columns) }
      }
    }
    return result
  }
}
