import Foundation

/// Rows of 32-bit floats: what flows between the operations.
///
/// A tensor shares its memory when copied. Operations write only tensors that they have just made, so a tensor that
/// was handed on never changes; `withMutable` is for the maker alone.
package struct Tensor: @unchecked Sendable {
  package let rows: Int
  package let columns: Int
  private let storage: TensorStorage

  /// Uninitialised rows.
  package init(rows: Int, columns: Int) {
    self.rows = rows
    self.columns = columns
    storage = TensorStorage(count: rows * columns)
  }

  /// Rows taken from an array of rows * columns values in row order.
  package init(rows: Int, columns: Int, values: [Float]) {
    precondition(values.count == rows * columns, "values do not fill the tensor")
    self.init(rows: rows, columns: columns)
    values.withUnsafeBufferPointer { source in
      if let base = source.baseAddress { storage.start.update(from: base, count: values.count) }
    }
  }

  package var count: Int { rows * columns }

  /// What the tape knows the tensor by: its memory, which a reshape shares.
  var identity: ObjectIdentifier { ObjectIdentifier(storage) }

  /// The same values in memory of their own.
  package func copied() -> Tensor {
    let copy = Tensor(rows: rows, columns: columns)
    copy.withMutable { out in withValues { out.update(from: $0, count: count) } }
    return copy
  }

  /// Zeros.
  package static func zeros(rows: Int, columns: Int) -> Tensor {
    let result = Tensor(rows: rows, columns: columns)
    result.withMutable { $0.update(repeating: 0, count: result.count) }
    return result
  }

  /// The first value. Whoever reads or writes through it keeps the tensor alive meanwhile.
  var start: UnsafeMutablePointer<Float> { storage.start }

  /// Reads the values in row order.
  package func withValues<R>(_ body: (UnsafePointer<Float>) -> R) -> R {
    withExtendedLifetime(storage) { body(UnsafePointer(storage.start)) }
  }

  /// Writes the values in row order. Only for whoever made the tensor, before handing it on.
  package func withMutable<R>(_ body: (UnsafeMutablePointer<Float>) -> R) -> R {
    withExtendedLifetime(storage) { body(storage.start) }
  }

  /// The values in row order.
  package var values: [Float] {
    withValues { Array(UnsafeBufferPointer(start: $0, count: count)) }
  }

  /// How many of the first rows are the same as another's of the same width, bit by bit.
  ///
  /// - Parameter most: rows that both have.
  package func rowsAlike(_ other: Tensor, most: Int) -> Int {
    withValues { own in
      other.withValues { others in
        (0..<most).first { memcmp(own + $0 * columns, others + $0 * columns, columns * 4) != 0 } ?? most
      }
    }
  }

  /// A copy of some rows.
  package func rows(_ range: Range<Int>) -> Tensor {
    let part = Tensor(rows: range.count, columns: columns)
    part.withMutable { out in
      withValues { out.update(from: $0 + range.lowerBound * columns, count: part.count) }
    }
    return part
  }

  /// A copy of these rows, in this order.
  package func gathering(_ indices: [Int]) -> Tensor {
    let result = Tensor(rows: indices.count, columns: columns)
    result.withMutable { out in
      withValues { source in
        for (row, index) in indices.enumerated() {
          (out + row * columns).update(from: source + index * columns, count: columns)
        }
      }
    }
    return result
  }

  /// The same values with other rows: rows * columns must stay.
  package func reshaped(rows: Int, columns: Int) -> Tensor {
    precondition(rows * columns == count, "a reshape keeps the count")
    return Tensor(rows: rows, columns: columns, storage: storage)
  }

  private init(rows: Int, columns: Int, storage: TensorStorage) {
    self.rows = rows
    self.columns = columns
    self.storage = storage
  }

  /// Several tensors of one width, one below the other.
  package static func stacking(_ parts: [Tensor]) -> Tensor {
    if parts.count == 1 { return parts[0] }
    let result = Tensor(rows: parts.reduce(0) { $0 + $1.rows }, columns: parts.first?.columns ?? 0)
    var row = 0
    for part in parts {
      result.withMutable { out in
        part.withValues { (out + row * result.columns).update(from: $0, count: part.count) }
      }
      row += part.rows
    }
    return result
  }
}
