import CKernels
import Foundation

/// How numbers are stored in a file or a cache.
package enum ElementType: String, Sendable {
  case f32 = "F32"
  case f16 = "F16"
  case bf16 = "BF16"

  /// Bytes of one element.
  package var size: Int { self == .f32 ? 4 : 2 }
}

/// An immutable matrix as a file holds it: rows of numbers, or of llama.cpp's blocks of numbers.
///
/// It keeps alive whatever owns its memory: a mapped file or values in memory.
package struct StoredTensor: @unchecked Sendable {
  /// What a row is made of.
  package enum Encoding: Sendable, Equatable {
    case elements(ElementType)
    /// One of ggml's block formats by its number: how many weights share how many bytes.
    case blocks(number: Int32, weights: Int, bytes: Int)
  }

  package let rows: Int
  package let columns: Int
  package let encoding: Encoding
  private let start: UnsafeRawPointer
  private let owner: any Sendable & AnyObject
  /// The stored row that stands for each, nil where they stand in their own order.
  private let order: [Int]?
  /// The rows repeat after so many, nil where all may differ.
  let period: Int?

  /// A view of stored rows.
  init(
    rows: Int, columns: Int, encoding: Encoding, start: UnsafeRawPointer, owner: any Sendable & AnyObject,
    order: [Int]? = nil, period: Int? = nil
  ) {
    self.rows = rows
    self.columns = columns
    self.encoding = encoding
    self.start = start
    self.owner = owner
    self.order = order
    self.period = period
  }

  /// Given values.
  package init(_ tensor: Tensor) {
    let storage = TensorStorage(count: tensor.count)
    tensor.withValues { storage.start.update(from: $0, count: tensor.count) }
    self.init(
      rows: tensor.rows, columns: tensor.columns, encoding: .elements(.f32), start: UnsafeRawPointer(storage.start),
      owner: storage)
  }

  /// Tensors of one width one below the other: as they are stored where all are stored alike, else in f32.
  package init(stacking parts: [StoredTensor]) {
    let rows = parts.reduce(0) { $0 + $1.rows }
    let columns = parts.first?.columns ?? 0
    let isAlike = parts.allSatisfy { $0.encoding == parts[0].encoding && $0.columns == columns }
    let encoding = isAlike ? parts.first?.encoding ?? .elements(.f32) : .elements(.f32)
    let bytes = Self.rowBytes(encoding, columns)
    let storage = TensorStorage(count: (rows * bytes + 3) / 4)
    var place = UnsafeMutableRawPointer(storage.start)
    for part in parts {
      for row in 0..<part.rows {
        if isAlike {
          part.withRow(row) { place.copyMemory(from: $0, byteCount: bytes) }
        } else {
          part.copyRow(row, to: place.assumingMemoryBound(to: Float.self))
        }
        place += bytes
      }
    }
    self.init(
      rows: rows, columns: columns, encoding: encoding, start: UnsafeRawPointer(storage.start), owner: storage)
  }

  /// `rows` rows that repeat those of a pattern, in f32: weights for measuring, that take no time to make.
  package init(repeating pattern: Tensor, rows: Int) {
    let whole = StoredTensor(pattern)
    self.init(
      rows: rows, columns: whole.columns, encoding: whole.encoding, start: whole.start, owner: whole.owner,
      order: (0..<rows).map { $0 % whole.rows }, period: whole.rows)
  }

  /// The same rows in another order: row i is what was row order[i].
  package func reordered(_ order: [Int]) -> StoredTensor {
    precondition(order.count == rows && self.order == nil, "an order names every row once")
    return StoredTensor(
      rows: rows, columns: columns, encoding: encoding, start: start, owner: owner, order: order)
  }

  /// Rows and columns exchanged, in f32.
  package func transposed() -> StoredTensor {
    let source = values
    let result = Tensor(rows: columns, columns: rows)
    result.withMutable { out in
      for row in 0..<rows { for column in 0..<columns { out[column * rows + row] = source[row * columns + column] } }
    }
    return StoredTensor(result)
  }

  private static func rowBytes(_ encoding: Encoding, _ columns: Int) -> Int {
    switch encoding {
    case .elements(let type): columns * type.size
    case .blocks(_, let weights, let bytes): columns / weights * bytes
    }
  }

  /// Reads a row as it is stored.
  func withRow<R>(_ row: Int, _ body: (UnsafeRawPointer) -> R) -> R {
    withExtendedLifetime(owner) { body(start + (order?[row] ?? row) * Self.rowBytes(encoding, columns)) }
  }

  /// Gives pages of a mapped file back to the system, once the values are elsewhere: they are read again when touched.
  func letGo() {
    guard let file = owner as? MappedFile, order == nil else { return }
    file.letGo(UnsafeRawBufferPointer(start: start, count: rows * Self.rowBytes(encoding, columns)))
  }

  /// The values of one row as floats.
  package func copyRow(_ row: Int, to out: UnsafeMutablePointer<Float>) {
    withRow(row) { source in
      switch encoding {
      case .elements(.f32): UnsafeMutableRawPointer(out).copyMemory(from: source, byteCount: columns * 4)
      case .elements(.bf16): mp_widen_bf16(source, out, columns)
      case .elements(.f16): mp_widen_f16(source, out, columns)
      case .blocks(let number, _, _): _ = mp_dequantize(number, source, out, columns)
      }
    }
  }

  /// Whether another tensor of these rows and columns has the same values.
  package func holdsSame(as other: StoredTensor) -> Bool {
    let (own, others) = (Tensor(rows: 1, columns: columns), Tensor(rows: 1, columns: columns))
    let size = encoding == other.encoding ? Self.rowBytes(encoding, columns) : columns * 4
    return (0..<rows).allSatisfy { row in
      if encoding == other.encoding {
        return withRow(row) { left in other.withRow(row) { memcmp(left, $0, size) == 0 } }
      }
      return own.withMutable { left in
        others.withMutable { right in
          copyRow(row, to: left)
          other.copyRow(row, to: right)
          return memcmp(left, right, size) == 0
        }
      }
    }
  }

  /// All values as floats.
  package var values: [Float] {
    [Float](unsafeUninitializedCapacity: rows * columns) { buffer, filled in
      if let out = buffer.baseAddress { for row in 0..<rows { copyRow(row, to: out + row * columns) } }
      filled = rows * columns
    }
  }
}
