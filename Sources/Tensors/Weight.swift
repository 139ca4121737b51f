import CKernels

/// How numbers are stored.
package enum ElementType: String, Sendable {
  case f32 = "F32"
  case f16 = "F16"
  case bf16 = "BF16"

  /// Bytes of one element.
  package var size: Int { self == .f32 ? 4 : 2 }
}

/// An immutable weight of shape [rows, columns] in a format that the kernels compute with.
///
/// It keeps alive whatever owns its memory: a mapped file or converted values.
package struct Weight: @unchecked Sendable {
  package let rows: Int
  package let columns: Int
  package let type: ElementType
  let start: UnsafeRawPointer
  private let owner: any Sendable & AnyObject

  /// A view of stored elements.
  init(rows: Int, columns: Int, type: ElementType, start: UnsafeRawPointer, owner: any Sendable & AnyObject) {
    self.rows = rows
    self.columns = columns
    self.type = type
    self.start = start
    self.owner = owner
  }

  /// A weight of given values.
  package init(_ tensor: Tensor) {
    let storage = TensorStorage(count: tensor.count)
    tensor.withValues { storage.start.update(from: $0, count: tensor.count) }
    self.init(
      rows: tensor.rows, columns: tensor.columns, type: .f32, start: UnsafeRawPointer(storage.start), owner: storage)
  }

  /// The weight with rows and columns exchanged, in f32.
  package func transposed() -> Weight {
    let source = values
    let result = Tensor(rows: columns, columns: rows)
    result.withMutable { out in
      for row in 0..<rows { for column in 0..<columns { out[column * rows + row] = source[row * columns + column] } }
    }
    return Weight(result)
  }

  /// Bytes that the weight takes.
  package var byteCount: Int { rows * columns * type.size }

  /// The values of one row as floats.
  package func copyRow(_ row: Int, to out: UnsafeMutablePointer<Float>) {
    widen(from: row * columns, count: columns, to: out)
  }

  /// `count` values from element `first` on, as floats.
  func widen(from first: Int, count: Int, to out: UnsafeMutablePointer<Float>) {
    let source = start + first * type.size
    withExtendedLifetime(owner) {
      switch type {
      case .f32: UnsafeMutableRawPointer(out).copyMemory(from: source, byteCount: count * 4)
      case .bf16: mp_widen_bf16(source, out, count)
      case .f16: mp_widen_f16(source, out, count)
      }
    }
  }

  /// All values as floats.
  package var values: [Float] {
    [Float](unsafeUninitializedCapacity: rows * columns) { buffer, filled in
      if let out = buffer.baseAddress { widen(from: 0, count: rows * columns, to: out) }
      filled = rows * columns
    }
  }

  /// The weight in another format: itself where it already has it, else a copy in memory.
  package func converted(to wanted: ElementType) -> Weight {
    if type == wanted { return self }
    let wide = TensorStorage(count: rows * columns)
    widen(from: 0, count: rows * columns, to: wide.start)
    if wanted == .f32 {
      return Weight(rows: rows, columns: columns, type: .f32, start: UnsafeRawPointer(wide.start), owner: wide)
    }
    let narrow = TensorStorage(count: (rows * columns + 1) / 2)
    let target = UnsafeMutableRawPointer(narrow.start)
    let kernel = wanted == .f16 ? mp_narrow_f16 : mp_narrow_bf16
    kernel(wide.start, target.assumingMemoryBound(to: UInt16.self), rows * columns)
    return Weight(rows: rows, columns: columns, type: wanted, start: UnsafeRawPointer(target), owner: narrow)
  }
}
