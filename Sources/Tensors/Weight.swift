import CKernels

/// What products are computed with.
package enum WeightFormat: String, Sendable, CaseIterable {
  case f32
  case f16
  case bf16
  /// Bytes in groups of 32 with a half scale; inputs in 16 bits.
  case q8
  /// Half bytes in groups of 32 with scale and minimum, inputs in 8 bits.
  case q4

  /// The kernels' number for it.
  var number: Int32 {
    switch self {
    case .f32: Int32(MP_F32)
    case .f16: Int32(MP_F16)
    case .bf16: Int32(MP_BF16)
    case .q8: Int32(MP_Q8)
    case .q4: Int32(MP_Q4)
    }
  }

  /// Whether making it loses what the weights were.
  package var isQuantised: Bool { self == .q8 || self == .q4 }

  /// Bytes of a weight of this shape.
  package func byteCount(rows: Int, columns: Int) -> Int { (rows + 15) / 16 * mp_panel_bytes(number, columns) }
}

/// A weight of shape [rows, columns], packed for the kernels: panels of 16 interleaved rows.
///
/// It keeps alive whatever owns its memory: its own panels or a mapped file of them.
package final class Weight: @unchecked Sendable {
  package let rows: Int
  package let columns: Int
  package let format: WeightFormat
  /// Where the weight is being trained: its rows of floats, which are packed anew for every product.
  package let parameter: Parameter?
  let start: UnsafeRawPointer
  private let owner: any Sendable & AnyObject

  /// A view of packed panels.
  init(rows: Int, columns: Int, format: WeightFormat, start: UnsafeRawPointer, owner: any Sendable & AnyObject) {
    self.rows = rows
    self.columns = columns
    self.format = format
    self.start = start
    self.owner = owner
    parameter = nil
  }

  /// A weight in training.
  package init(_ parameter: Parameter) {
    rows = parameter.values.rows
    columns = parameter.values.columns
    format = .f32
    self.parameter = parameter
    owner = parameter
    start = parameter.values.withValues { UnsafeRawPointer($0) }
  }

  /// Packs stored rows.
  ///
  /// - Parameters:
  ///   - format: nil for the one that is nearest to how they are stored.
  ///   - importance: how much a column's error counts where that decides about scales; nil for all alike.
  ///   - engine: whose threads share the work.
  package convenience init(
    _ stored: StoredTensor, as format: WeightFormat? = nil, importance: [Float]? = nil, _ engine: Engine
  ) {
    let format = format ?? stored.nearestFormat
    let count = format.byteCount(rows: stored.rows, columns: stored.columns)
    let storage = TensorStorage(count: (count + 3) / 4)
    let out = UnsafeMutableRawPointer(storage.start)
    let panelBytes = mp_panel_bytes(format.number, stored.columns)
    let panels = (stored.rows + 15) / 16
    let distinct = min(panels, (stored.period ?? stored.rows + 15) / 16)
    let padding = max(0, mp_whole_columns(format.number, stored.columns) - stored.columns)
    let importance = importance.map { $0 + repeatElement(0, count: padding) }
    engine.parallel(distinct) { panel in
      stored.pack(panel, as: format, importance, to: out + panel * panelBytes, panelBytes)
    }
    engine.parallel(panels - distinct) { index in
      let panel = distinct + index
      (out + panel * panelBytes).copyMemory(from: out + panel % distinct * panelBytes, byteCount: panelBytes)
    }
    stored.letGo()
    self.init(
      rows: stored.rows, columns: stored.columns, format: format, start: UnsafeRawPointer(out), owner: storage)
  }

  /// A weight of this shape without its values: to count what a model takes, never to compute with.
  package convenience init(weighing stored: StoredTensor, as format: WeightFormat? = nil) {
    let nothing = TensorStorage(count: 0)
    self.init(
      rows: stored.rows, columns: stored.columns, format: format ?? stored.nearestFormat,
      start: UnsafeRawPointer(nothing.start), owner: nothing)
  }

  /// Bytes that the weight takes.
  package var byteCount: Int { format.byteCount(rows: rows, columns: columns) }

  /// The packed panels.
  package func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
    try withExtendedLifetime(owner) { try body(UnsafeRawBufferPointer(start: start, count: byteCount)) }
  }

  /// The values of one row as floats.
  package func copyRow(_ row: Int, to out: UnsafeMutablePointer<Float>) {
    if let parameter {
      parameter.values.withValues { out.update(from: $0 + row * columns, count: columns) }
      return
    }
    let panel = start + row / 16 * mp_panel_bytes(format.number, columns)
    withExtendedLifetime(owner) { mp_unpack_row(format.number, panel, Int32(row % 16), columns, out) }
  }

  /// All values as floats.
  package var values: [Float] {
    [Float](unsafeUninitializedCapacity: rows * columns) { buffer, filled in
      if let out = buffer.baseAddress { for row in 0..<rows { copyRow(row, to: out + row * columns) } }
      filled = rows * columns
    }
  }
}

extension StoredTensor {
  /// The format that holds every value, or for the blocks that none holds, q8.
  package var nearestFormat: WeightFormat {
    switch encoding {
    case .elements(.f32): .f32
    case .elements(.f16): .f16
    case .elements(.bf16): .bf16
    case .blocks(let number, _, _): exactFormat(number) ?? .q8
    }
  }

  private func exactFormat(_ number: Int32) -> WeightFormat? {
    WeightFormat.allCases.first { $0.number == mp_block_format(number) }
  }

  /// Packs 16 rows; those beyond the last are zeros.
  fileprivate func pack(
    _ panel: Int, as format: WeightFormat, _ importance: [Float]?, to out: UnsafeMutableRawPointer, _ panelBytes: Int
  ) {
    let present = panel * 16..<min(rows, panel * 16 + 16)
    if case .blocks(let number, _, _) = encoding, exactFormat(number) == format {
      out.initializeMemory(as: UInt8.self, repeating: 0, count: panelBytes)
      for row in present {
        withRow(row) { mp_pack_blocks(number, $0, columns, Int32(row % 16), out) }
      }
      return
    }
    let whole = mp_whole_columns(format.number, columns)
    withUnsafeTemporaryAllocation(of: Float.self, capacity: 32 * whole) { scratch in
      guard let wide = scratch.baseAddress else { return }
      wide.update(repeating: 0, count: 16 * whole)
      for row in present { copyRow(row, to: wide + row % 16 * whole) }
      mp_interleave(wide, whole, whole, wide + 16 * whole)
      mp_pack_panel(format.number, wide + 16 * whole, importance, columns, out)
    }
  }
}
