/// One GGUF file, mapped: its metadata, and its tensors by name.
///
/// The header is checked whole before any tensor is handed out: counts, lengths, types, shapes, offsets, names.
package final class GGUFFile: Sendable {
  /// A block format: how many weights share how many bytes.
  package struct Format: Sendable {
    package let number: UInt32
    package let name: String
    package let weights: Int
    package let bytes: Int

    /// The formats that are read.
    static let all = [
      Format(number: 0, name: "F32", weights: 1, bytes: 4), Format(number: 1, name: "F16", weights: 1, bytes: 2),
      Format(number: 2, name: "Q4_0", weights: 32, bytes: 18), Format(number: 6, name: "Q5_0", weights: 32, bytes: 22),
      Format(number: 8, name: "Q8_0", weights: 32, bytes: 34),
      Format(number: 12, name: "Q4_K", weights: 256, bytes: 144),
      Format(number: 13, name: "Q5_K", weights: 256, bytes: 176),
      Format(number: 14, name: "Q6_K", weights: 256, bytes: 210),
      Format(number: 30, name: "BF16", weights: 1, bytes: 2),
    ]
  }

  /// A tensor's place.
  package struct Entry: Sendable {
    package let name: String
    /// Sizes from the slowest to the fastest dimension, as other files have them.
    package let shape: [Int]
    package let format: Format
    /// Within the data.
    package let bytes: Range<Int>
  }

  package let metadata: [String: GGUFValue]
  package let entries: [Entry]
  private let file: MappedFile
  private let dataStart: Int

  package var path: String { file.path }

  /// Maps a file and reads its header.
  package init(path: String) throws(WeightError) {
    file = try MappedFile(path: path)
    var cursor = GGUFCursor(path: path, bytes: file.bytes)
    guard try cursor.number(UInt32.self) == 0x4655_4747 else {
      throw WeightError("\(path): expected a GGUF file, found one that begins otherwise")
    }
    let version: UInt32 = try cursor.number()
    guard (2...3).contains(version) else { throw cursor.failure("expected GGUF version 2 or 3, found \(version)") }
    let tensors = try cursor.count(of: "tensors", atLeast: 24)
    let values = try cursor.count(of: "metadata values", atLeast: 13)
    metadata = try Self.metadata(values, &cursor)
    let alignment = metadata["general.alignment"]?.integer ?? 32
    guard alignment > 0, alignment <= 1 << 20, alignment & (alignment - 1) == 0 else {
      throw WeightError("\(path): general.alignment: expected a power of two, found \(alignment)")
    }
    if let parts = metadata["split.count"]?.integer, parts > 1 {
      throw WeightError("\(path): expected a whole model, found one of \(parts) parts")
    }
    var heads: [Head] = []
    for _ in 0..<tensors { heads.append(try Head(&cursor)) }
    let start = (cursor.at + alignment - 1) / alignment * alignment
    dataStart = start
    entries = try Self.entries(heads, path: path, dataCount: max(0, file.bytes.count - start), alignment: alignment)
  }

  private static func metadata(_ count: Int, _ cursor: inout GGUFCursor) throws(WeightError) -> [String: GGUFValue] {
    var metadata: [String: GGUFValue] = [:]
    for _ in 0..<count {
      let key = try cursor.string()
      let type: UInt32 = try cursor.number()
      if metadata.updateValue(try GGUFValue(type, &cursor), forKey: key) != nil {
        throw cursor.failure("the key \"\(key.prefix(200))\" stands twice")
      }
    }
    return metadata
  }

  /// A tensor's description as it stands in the file.
  private struct Head {
    let name: String
    let shape: [Int]
    let weights: Int
    let format: Format
    let offset: UInt64

    init(_ cursor: inout GGUFCursor) throws(WeightError) {
      name = try cursor.string()
      let place = "tensor \"\(name.prefix(200))\""
      let dimensions: UInt32 = try cursor.number()
      guard (1...4).contains(dimensions) else {
        throw cursor.failure("\(place): expected 1 to 4 dimensions, found \(dimensions)")
      }
      var shape: [Int] = []
      var weights = 1
      for _ in 0..<dimensions {
        let size: UInt64 = try cursor.number()
        let (product, overflow) = weights.multipliedReportingOverflow(by: Int(min(size, 1 << 50)))
        guard size > 0, !overflow, product <= 1 << 48 else {
          throw cursor.failure("\(place): its shape is too large or empty")
        }
        weights = product
        shape.insert(Int(size), at: 0)
      }
      let number: UInt32 = try cursor.number()
      guard let format = Format.all.first(where: { $0.number == number }) else {
        let known = Format.all.map(\.name).joined(separator: " ")
        throw cursor.failure("\(place): unknown format \(number); known: \(known)")
      }
      guard (shape.last ?? 0) % format.weights == 0 else {
        throw cursor.failure("\(place): rows of \(shape.last ?? 0) are no whole blocks of \(format.name)")
      }
      self.shape = shape
      self.weights = weights
      self.format = format
      offset = try cursor.number()
    }
  }

  private static func entries(
    _ heads: [Head], path: String, dataCount: Int, alignment: Int
  ) throws(WeightError) -> [Entry] {
    var entries: [Entry] = []
    var names: Set<String> = []
    for head in heads {
      let place = "\(path): tensor \"\(head.name.prefix(200))\""
      guard names.insert(head.name).inserted else { throw WeightError("\(place) stands twice") }
      let size = head.weights / head.format.weights * head.format.bytes
      guard head.offset % UInt64(alignment) == 0, size <= dataCount, head.offset <= UInt64(dataCount - size) else {
        throw WeightError(
          "\(place): expected \(size) bytes at a multiple of \(alignment) within the data (\(dataCount) bytes), "
            + "found the offset \(head.offset)")
      }
      let start = Int(head.offset)
      entries.append(Entry(name: head.name, shape: head.shape, format: head.format, bytes: start..<start + size))
    }
    let sorted = entries.sorted { $0.bytes.lowerBound < $1.bytes.lowerBound }
    for (first, second) in zip(sorted, sorted.dropFirst()) where first.bytes.upperBound > second.bytes.lowerBound {
      throw WeightError("\(path): tensors \"\(first.name)\" and \"\(second.name)\" overlap")
    }
    return entries
  }

  /// A tensor as a matrix of its first dimension by the rest.
  package func tensor(_ entry: Entry) -> StoredTensor {
    let start =
      (file.bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 64).unsafelyUnwrapped)
      + (dataStart + entry.bytes.lowerBound)
    let encoding: StoredTensor.Encoding =
      ElementType(rawValue: entry.format.name).map { .elements($0) }
      ?? .blocks(number: Int32(entry.format.number), weights: entry.format.weights, bytes: entry.format.bytes)
    // Blocks lie along the last dimension: a vector of them is one row.
    let rows = entry.format.weights > 1 && entry.shape.count == 1 ? 1 : entry.shape[0]
    return StoredTensor(
      rows: rows, columns: entry.shape.reduce(1, *) / rows, encoding: encoding, start: start, owner: file)
  }
}
