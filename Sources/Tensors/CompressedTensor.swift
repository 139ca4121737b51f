import CKernels

/// A matrix of whole numbers with scales, as the package compressed-tensors stores it.
///
/// `NAME_scale`, one for the matrix, for each row or for groups of a row's columns, beside `NAME` in I8, or beside
/// `NAME_packed`: 4 or 8 bits a weight, the lowest first, with `NAME_shape`. `NAME_zero_point` says which whole number is
/// zero. Source: the formats `int-quantized` and `pack-quantized` of vllm-project/compressed-tensors.
struct CompressedTensor: Sendable {
  /// A tensor and the file that it is in.
  struct Part: Sendable {
    let file: SafetensorsFile
    let entry: SafetensorsFile.Entry

    var path: String { file.file.path }
    var bytes: UnsafeRawBufferPointer { file.bytes(entry) }
  }

  let shape: [Int]
  let parts: [String]
  private let numbers: Part
  private let scale: Part
  private let zero: Part?
  private let bits: Int
  private let isPacked: Bool
  private var rows: Int { shape[0] }
  private var columns: Int { shape[1] }
  /// Scales of a row.
  private let groups: Int
  private let hasRowScales: Bool

  /// The matrix of this name; nil where its weights stand in the file as they are.
  init?(_ name: String, in all: [String: Part]) throws(WeightError) {
    guard let scale = all[name + "_scale"] else { return nil }
    let whole = all[name].flatMap { $0.entry.typeName == "I8" ? $0 : nil }
    guard let numbers = whole ?? all[name + "_packed"] else { return nil }
    let place = "\(numbers.path): tensor \"\(name)\""
    guard all[name + "_g_idx"] == nil else {
      throw WeightError("\(place): its columns stand in another order (\"\(name)_g_idx\"), which is not read")
    }
    (self.numbers, self.scale, zero) = (numbers, scale, all[name + "_zero_point"])
    isPacked = whole == nil
    if isPacked {
      (shape, bits) = try Self.packedShape(numbers, all[name + "_shape"], place)
    } else {
      (shape, bits) = (numbers.entry.shape, 8)
    }
    guard shape.count == 2, shape[0] > 0, shape[1] > 0 else {
      throw WeightError("\(place): expected a matrix of whole numbers, found shape \(shape)")
    }
    let scales = scale.entry.shape
    hasRowScales = scales.first == shape[0]
    groups = scales.count == 2 ? scales[1] : 1
    let isWhole = scales.allSatisfy { $0 == 1 }
    guard isWhole || hasRowScales && scales.count <= 2, groups > 0, shape[1] % groups == 0 else {
      throw WeightError(
        "\(place): expected one scale, one a row or one for each of the equal groups of its columns, found scales of "
          + "shape \(scales) for \(shape)")
    }
    // Scales of inputs are passed over: inputs are not quantised as the file says.
    let inputs = name.hasSuffix("weight") ? name.dropLast("weight".count) + "input" : ""
    parts =
      ["", "_packed", "_scale", "_zero_point", "_shape"].map { name + $0 }.filter { all[$0] != nil }
      + ["_scale", "_zero_point"].map { inputs + $0 }
    if let zero { try Self.check(zero, isPacked ? [(shape[0] * bits + 31) / 32, groups] : scales, isPacked, place) }
  }

  private static func check(
    _ zero: Part, _ shape: [Int], _ isPacked: Bool, _ place: String
  ) throws(WeightError) {
    let type = isPacked ? "I32" : "I8"
    guard zero.entry.typeName == type, zero.entry.shape == shape else {
      throw WeightError(
        "\(place): expected zero points in \(type) of shape \(shape), found \(zero.entry.typeName) of "
          + "\(zero.entry.shape)")
    }
  }

  private static func packedShape(
    _ packed: Part, _ shape: Part?, _ place: String
  ) throws(WeightError) -> (shape: [Int], bits: Int) {
    let words = packed.entry.shape
    guard packed.entry.typeName == "I32", words.count == 2 else {
      throw WeightError("\(place): expected I32 words of a matrix, found \(packed.entry.typeName) of \(words)")
    }
    guard let shape, shape.entry.typeName == "I64", shape.entry.shape == [2] else {
      throw WeightError("\(place): expected its shape, two numbers in I64")
    }
    let sizes = shape.bytes
    let (rows, columns) = (
      sizes.loadUnaligned(as: Int64.self), sizes.loadUnaligned(fromByteOffset: 8, as: Int64.self)
    )
    guard rows == words[0], (1...1 << 40).contains(columns),
      let bits = [4, 8].first(where: { (Int(columns) * $0 + 31) / 32 == words[1] })
    else {
      throw WeightError(
        "\(place): expected words of \(rows)×\(columns) weights of 4 or 8 bits, found \(words[0])×\(words[1])")
    }
    return ([Int(rows), Int(columns)], bits)
  }

  var path: String { numbers.path }

  /// What the format is called: the whole numbers' type.
  var format: String { isPacked ? "I\(bits) packed" : "I8" }

  /// Bytes of numbers, scales and zero points.
  var byteCount: Int { [numbers, scale, zero].reduce(0) { $0 + ($1?.entry.bytes.count ?? 0) } }

  /// The weights: as Q8_0, which holds them with scales in f16, where groups and scales are such that it can; else in f32.
  func load() throws(WeightError) -> StoredTensor {
    let scales = try scale.file.tensor(scale.entry).values
    let zeros = zeroPoints()
    let width = columns / groups
    // Scales too small for f16 become what is nearest to them, those too large would become no numbers.
    let isBlocks = width % 32 == 0 && (zero == nil || bits == 4) && scales.allSatisfy { abs($0) <= 65504 }
    let bytes = isBlocks ? columns / 32 * 34 : columns * 4
    let storage = TensorStorage(count: (rows * bytes + 3) / 4)
    var row = [Int32](repeating: 0, count: columns)
    for index in 0..<rows {
      read(index, into: &row)
      let out = UnsafeMutableRawPointer(storage.start) + index * bytes
      for group in 0..<groups {
        let place = (hasRowScales ? index * groups : 0) + group
        let zero = zeros.isEmpty ? 0 : zeros[place]
        let range = group * width..<(group + 1) * width
        if isBlocks {
          Self.write(row, range, scales[place], zero, out)
        } else {
          for column in range {
            out.storeBytes(of: Float(row[column] - zero) * scales[place], toByteOffset: 4 * column, as: Float.self)
          }
        }
      }
    }
    numbers.file.file.letGo(numbers.bytes)
    let encoding: StoredTensor.Encoding =
      isBlocks ? .blocks(number: Int32(MP_GGML_Q8_0), weights: 32, bytes: 34) : .elements(.f32)
    return StoredTensor(
      rows: rows, columns: columns, encoding: encoding, start: UnsafeRawPointer(storage.start), owner: storage)
  }

  private static func write(
    _ row: [Int32], _ range: Range<Int>, _ scale: Float, _ zero: Int32, _ out: UnsafeMutableRawPointer
  ) {
    var half: UInt16 = 0
    withUnsafePointer(to: scale) { mp_narrow_f16($0, &half, 1) }
    for first in stride(from: range.lowerBound, to: range.upperBound, by: 32) {
      let block = out + first / 32 * 34
      block.storeBytes(of: half, as: UInt16.self)
      for column in 0..<32 {
        block.storeBytes(
          of: Int8(truncatingIfNeeded: row[first + column] - zero), toByteOffset: 2 + column, as: Int8.self)
      }
    }
  }

  /// The whole numbers of a row.
  private func read(_ row: Int, into out: inout [Int32]) {
    let bytes = numbers.bytes
    guard isPacked else {
      for column in 0..<columns {
        out[column] = Int32(bytes.load(fromByteOffset: row * columns + column, as: Int8.self))
      }
      return
    }
    let start = row * numbers.entry.shape[1] * 4
    for column in 0..<columns { out[column] = packed(bytes, from: start, column) }
  }

  /// A number among those packed from a byte on; stored half their range higher.
  private func packed(_ bytes: UnsafeRawBufferPointer, from start: Int, _ index: Int) -> Int32 {
    let byte = Int32(bytes[start + index * bits / 8])
    return bits == 8 ? byte - 128 : (byte >> Int32(index % 2 * 4) & 15) - 8
  }

  /// Zero points in the order of the scales; none where zero is 0.
  private func zeroPoints() -> [Int32] {
    guard let zero else { return [] }
    let bytes = zero.bytes
    guard isPacked else { return bytes.map { Int32(Int8(bitPattern: $0)) } }
    let count = hasRowScales ? rows : 1
    return (0..<count * groups).map { place in
      // Packed along the rows: a word holds what stands in one column.
      let (row, group) = (place / groups, place % groups)
      let word = row * bits / 32
      return packed(bytes, from: (word * groups + group) * 4, row - word * 32 / bits)
    }
  }
}
