import JSON

/// One safetensors file, mapped: its tensors by name.
///
/// The header is checked whole before any tensor is handed out: lengths, offsets, overlaps, shapes, duplicate names.
/// Source: the format's description in huggingface/safetensors.
package struct SafetensorsFile: Sendable {
  /// A tensor's place in the file.
  package struct Entry: Sendable {
    package let name: String
    /// The format's own name of the element type.
    package let typeName: String
    /// The element type where weights can be of it.
    package let type: ElementType?
    package let shape: [Int]
    let bytes: Range<Int>
  }

  package let file: MappedFile
  package let entries: [Entry]
  /// The texts of `__metadata__`.
  package let metadata: [String: String]
  private let dataStart: Int
  private static let maximumHeader = 100_000_000
  private static let elementSizes = [
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2, "I32": 4,
    "U32": 4, "F32": 4, "F64": 8, "I64": 8, "U64": 8,
  ]

  /// Maps and checks a file.
  package init(path: String) throws(WeightError) {
    file = try MappedFile(path: path)
    guard file.bytes.count >= 8 else {
      throw WeightError(
        "\(path): byte 0: expected a safetensors header length of 8 bytes, the file has \(file.bytes.count)")
    }
    if file.bytes.starts(with: "version https://git-lfs".utf8) {
      throw WeightError("\(path): expected weights, found a Git LFS pointer to them: \"git lfs pull\" fetches them")
    }
    let length = file.bytes.loadUnaligned(as: UInt64.self).littleEndian
    guard length >= 2, length <= UInt64(min(Self.maximumHeader, file.bytes.count - 8)) else {
      throw WeightError(
        "\(path): byte 0: expected a header length within the file (\(file.bytes.count) bytes), found \(length)")
    }
    dataStart = 8 + Int(length)
    let header: JSONValue
    do {
      header = try JSONValue(parsing: UnsafeRawBufferPointer(rebasing: file.bytes[8..<dataStart]))
    } catch {
      throw WeightError("\(path): byte \(8 + error.offset): header: \(error.message)")
    }
    metadata = Self.texts(header["__metadata__"])
    entries = try Self.checkedEntries(header, path: path, dataCount: file.bytes.count - dataStart)
  }

  private static func texts(_ value: JSONValue?) -> [String: String] {
    guard case .object(let members)? = value else { return [:] }
    return Dictionary(members.compactMap { name, value in value.string.map { (name, $0) } }) { $1 }
  }

  private static func checkedEntries(
    _ header: JSONValue, path: String, dataCount: Int
  ) throws(WeightError) -> [Entry] {
    guard case .object(let members) = header else {
      throw WeightError("\(path): byte 8: expected a JSON object, found \(header.kind)")
    }
    var entries: [Entry] = []
    for (name, value) in members where name != "__metadata__" {
      entries.append(try entry(name, value, path: path, dataCount: dataCount))
    }
    let sorted = entries.sorted { $0.bytes.lowerBound < $1.bytes.lowerBound }
    for (first, second) in zip(sorted, sorted.dropFirst()) where first.bytes.upperBound > second.bytes.lowerBound {
      throw WeightError("\(path): tensors \"\(first.name)\" and \"\(second.name)\" overlap")
    }
    return entries
  }

  private static func entry(
    _ name: String, _ value: JSONValue, path: String, dataCount: Int
  ) throws(WeightError) -> Entry {
    let place = "\(path): tensor \"\(name.prefix(200))\""
    guard let typeName = value["dtype"]?.string, let shapeValues = value["shape"]?.array,
      let offsets = value["data_offsets"]?.array, offsets.count == 2,
      let begin = offsets[0].int, let end = offsets[1].int
    else { throw WeightError("\(place): expected dtype, shape and two data_offsets") }
    guard let elementSize = Self.elementSizes[typeName] else {
      throw WeightError("\(place): unknown element type \(typeName.prefix(40))")
    }
    guard begin >= 0, begin <= end, end <= dataCount else {
      throw WeightError(
        "\(place): expected offsets within the data (\(dataCount) bytes), found \(begin) to \(end)"
          + (end > dataCount ? ": is the file cut short?" : ""))
    }
    var count = 1
    var shape: [Int] = []
    for dimension in shapeValues {
      guard let size = dimension.int, size >= 0 else {
        throw WeightError("\(place): expected whole dimensions, found \(dimension.kind)")
      }
      let (product, overflow) = count.multipliedReportingOverflow(by: size)
      guard !overflow, product <= 1 << 48 else { throw WeightError("\(place): its shape is too large") }
      count = product
      shape.append(size)
    }
    guard count * elementSize == end - begin else {
      throw WeightError(
        "\(place): shape \(shape) of \(typeName) takes \(count * elementSize) bytes, its offsets span \(end - begin)")
    }
    return Entry(
      name: name, typeName: typeName, type: ElementType(rawValue: typeName), shape: shape, bytes: begin..<end)
  }

  /// A tensor's bytes, as long as the file is mapped.
  package func bytes(_ entry: Entry) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(
      rebasing: file.bytes[dataStart + entry.bytes.lowerBound..<dataStart + entry.bytes.upperBound])
  }

  /// A tensor's elements as a matrix of its first dimension by the rest.
  ///
  /// - Throws: where the elements are no F32, F16 or BF16.
  package func tensor(_ entry: Entry) throws(WeightError) -> StoredTensor {
    guard let type = entry.type else {
      throw WeightError(
        "\(file.path): tensor \"\(entry.name)\": expected type F32, F16 or BF16, found \(entry.typeName)")
    }
    let rows = entry.shape.first ?? 1
    let columns = entry.shape.dropFirst().reduce(1, *)
    let start = bytes(entry).baseAddress ?? UnsafeRawPointer(bitPattern: 64).unsafelyUnwrapped
    return StoredTensor(rows: rows, columns: columns, encoding: .elements(type), start: start, owner: file)
  }
}
