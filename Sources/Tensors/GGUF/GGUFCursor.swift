/// Reads a GGUF header byte by byte; whatever does not fit into the file is an error with its place.
struct GGUFCursor {
  let path: String
  let bytes: UnsafeRawBufferPointer
  private(set) var at = 0

  init(path: String, bytes: UnsafeRawBufferPointer) {
    self.path = path
    self.bytes = bytes
  }

  func failure(_ message: String) -> WeightError { WeightError("\(path): byte \(at): \(message)") }

  var left: Int { bytes.count - at }

  mutating func number<N: FixedWidthInteger>(_ type: N.Type = N.self) throws(WeightError) -> N {
    let size = MemoryLayout<N>.size
    guard left >= size else { throw failure("expected \(size) bytes, the file has \(left) more") }
    defer { at += size }
    return N(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: N.self))
  }

  /// A count of things that take at least `size` bytes each.
  mutating func count(of what: String, atLeast size: Int) throws(WeightError) -> Int {
    let place = at
    let value: UInt64 = try number()
    guard value <= UInt64(left / max(1, size)) else {
      at = place
      throw failure("expected a count of \(what) that fits into the file, found \(value)")
    }
    return Int(value)
  }

  mutating func string() throws(WeightError) -> String {
    let length = try count(of: "bytes", atLeast: 1)
    defer { at += length }
    return String(decoding: bytes[at..<at + length], as: UTF8.self)
  }
}

/// A value of a GGUF file's metadata.
package enum GGUFValue: Sendable {
  case integer(Int)
  case number(Double)
  case flag(Bool)
  case string(String)
  case array([GGUFValue])

  package var integer: Int? { if case .integer(let value) = self { value } else { nil } }
  package var string: String? { if case .string(let value) = self { value } else { nil } }
  package var flag: Bool? { if case .flag(let value) = self { value } else { nil } }
  package var array: [GGUFValue]? { if case .array(let value) = self { value } else { nil } }
  package var number: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .number(let value): value
    default: nil
    }
  }

  /// What kind of value this is, for messages.
  package var kind: String {
    switch self {
    case .integer(let value): "\(value)"
    case .number(let value): "\(value)"
    case .flag(let value): "\(value)"
    case .string(let value): "\"\(value.prefix(60))\""
    case .array(let values): "a list of \(values.count)"
    }
  }

  /// Vocabularies have a million tokens at most, and each value takes many times the memory that it takes in the file.
  private static let longestList = 1 << 24
  private static let sizes = [1, 1, 2, 2, 4, 4, 4, 1, 8, 0, 8, 8, 8]

  /// Reads a value of the type with this number.
  init(_ type: UInt32, _ cursor: inout GGUFCursor, depth: Int = 0) throws(WeightError) {
    switch type {
    case 0: self = .integer(Int(try cursor.number(UInt8.self)))
    case 1: self = .integer(Int(try cursor.number(Int8.self)))
    case 2: self = .integer(Int(try cursor.number(UInt16.self)))
    case 3: self = .integer(Int(try cursor.number(Int16.self)))
    case 4: self = .integer(Int(try cursor.number(UInt32.self)))
    case 5: self = .integer(Int(try cursor.number(Int32.self)))
    case 6: self = .number(Double(Float(bitPattern: try cursor.number(UInt32.self))))
    case 7: self = .flag(try cursor.number(UInt8.self) != 0)
    case 8: self = .string(try cursor.string())
    case 9: self = try Self.array(&cursor, depth: depth)
    case 10:
      let value = try cursor.number(UInt64.self)
      self = Int(exactly: value).map { .integer($0) } ?? .number(Double(value))
    case 11: self = .integer(Int(try cursor.number(Int64.self)))
    case 12: self = .number(Double(bitPattern: try cursor.number(UInt64.self)))
    default: throw cursor.failure("unknown type of value \(type)")
    }
  }

  private static func array(_ cursor: inout GGUFCursor, depth: Int) throws(WeightError) -> GGUFValue {
    guard depth < 4 else { throw cursor.failure("lists nested deeper than 4 levels") }
    let type: UInt32 = try cursor.number()
    guard type < sizes.count else { throw cursor.failure("unknown type of value \(type)") }
    // A list's own header takes 12 bytes.
    let count = try cursor.count(of: "values", atLeast: type == 9 ? 12 : sizes[Int(type)])
    guard count <= longestList else {
      throw cursor.failure("a list of \(count) values, expected at most \(longestList)")
    }
    var values: [GGUFValue] = []
    values.reserveCapacity(count)
    for _ in 0..<count { values.append(try GGUFValue(type, &cursor, depth: depth + 1)) }
    return .array(values)
  }
}
