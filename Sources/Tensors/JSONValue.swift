/// A JSON text that could not be read: where, what was expected, what was found.
package struct JSONError: Error, CustomStringConvertible {
  /// The byte at which reading stopped.
  package let offset: Int
  package let message: String

  package var description: String { "byte \(offset): \(message)" }
}

/// A JSON value read strictly: duplicate keys, trailing text and nesting beyond 64 levels are errors.
///
/// Objects keep the order of the file. Not for large texts such as tokenizers: every value is boxed.
package indirect enum JSONValue: Sendable {
  case null
  case bool(Bool)
  /// A number and, where it is whole and fits, its exact integer.
  case number(Double, exact: Int?)
  case string(String)
  case array([JSONValue])
  case object([(key: String, value: JSONValue)])

  /// Reads a whole text.
  package init(parsing bytes: UnsafeRawBufferPointer) throws(JSONError) {
    var parser = JSONParser(bytes: bytes)
    self = try parser.parseDocument()
  }

  /// Reads a whole text.
  package init(parsing bytes: [UInt8]) throws(JSONError) {
    var result: Result<JSONValue, JSONError> = .success(.null)
    bytes.withUnsafeBytes { buffer in
      do throws(JSONError) { result = .success(try JSONValue(parsing: buffer)) } catch { result = .failure(error) }
    }
    self = try result.get()
  }

  /// The member of an object, nil where this is none or has no such key.
  package subscript(_ key: String) -> JSONValue? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.key == key }?.value
  }

  package var string: String? { if case .string(let value) = self { value } else { nil } }
  package var int: Int? { if case .number(_, let exact) = self { exact } else { nil } }
  package var double: Double? { if case .number(let value, _) = self { value } else { nil } }
  package var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  package var array: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
  package var isNull: Bool { if case .null = self { true } else { false } }

  /// What kind of value this is, for messages.
  package var kind: String {
    switch self {
    case .null: "null"
    case .bool(let value): "\(value)"
    case .number(let value, let exact): exact.map { "\($0)" } ?? "\(value)"
    case .string(let value): "\"\(value.prefix(60))\""
    case .array(let values): "a list of \(values.count)"
    case .object(let members): "an object of \(members.count)"
    }
  }
}

private struct JSONParser {
  let bytes: UnsafeRawBufferPointer
  var at = 0

  init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  func failure(_ message: String) -> JSONError { JSONError(offset: at, message: message) }

  var found: String {
    at < bytes.count ? "found '\(Character(Unicode.Scalar(bytes[at])))'" : "the text ends"
  }

  mutating func parseDocument() throws(JSONError) -> JSONValue {
    let value = try parseValue(depth: 0)
    skipSpace()
    if at < bytes.count { throw failure("expected the end of the text, \(found)") }
    return value
  }

  mutating func skipSpace() {
    while at < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[at]) { at += 1 }
  }

  mutating func take(_ byte: UInt8) -> Bool {
    skipSpace()
    guard at < bytes.count, bytes[at] == byte else { return false }
    at += 1
    return true
  }

  mutating func parseValue(depth: Int) throws(JSONError) -> JSONValue {
    if depth > 64 { throw failure("nested deeper than 64 levels") }
    skipSpace()
    guard at < bytes.count else { throw failure("expected a value, the text ends") }
    switch bytes[at] {
    case UInt8(ascii: "{"): return try parseObject(depth: depth)
    case UInt8(ascii: "["): return try parseArray(depth: depth)
    case UInt8(ascii: "\""): return .string(try parseString())
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try parseNumber()
    default: return try parseWord()
    }
  }

  mutating func parseWord() throws(JSONError) -> JSONValue {
    for (word, value) in [("null", JSONValue.null), ("true", .bool(true)), ("false", .bool(false))] {
      let end = at + word.utf8.count
      if end <= bytes.count, bytes[at..<end].elementsEqual(word.utf8) {
        at = end
        return value
      }
    }
    throw failure("expected a value, \(found)")
  }

  mutating func parseObject(depth: Int) throws(JSONError) -> JSONValue {
    at += 1
    var members: [(key: String, value: JSONValue)] = []
    var seen: Set<[UInt8]> = []
    if take(UInt8(ascii: "}")) { return .object(members) }
    repeat {
      skipSpace()
      guard at < bytes.count, bytes[at] == UInt8(ascii: "\"") else { throw failure("expected a key, \(found)") }
      let key = try parseString()
      if !seen.insert(Array(key.utf8)).inserted { throw failure("duplicate key \"\(key.prefix(200))\"") }
      if !take(UInt8(ascii: ":")) { throw failure("expected ':', \(found)") }
      members.append((key, try parseValue(depth: depth + 1)))
    } while take(UInt8(ascii: ","))
    if !take(UInt8(ascii: "}")) { throw failure("expected ',' or '}', \(found)") }
    return .object(members)
  }

  mutating func parseArray(depth: Int) throws(JSONError) -> JSONValue {
    at += 1
    var values: [JSONValue] = []
    if take(UInt8(ascii: "]")) { return .array(values) }
    repeat { values.append(try parseValue(depth: depth + 1)) } while take(UInt8(ascii: ","))
    if !take(UInt8(ascii: "]")) { throw failure("expected ',' or ']', \(found)") }
    return .array(values)
  }

  mutating func parseNumber() throws(JSONError) -> JSONValue {
    let start = at
    let allowed = Set("+-0123456789.eE".utf8)
    while at < bytes.count, allowed.contains(bytes[at]) { at += 1 }
    let text = String(decoding: bytes[start..<at], as: UTF8.self)
    guard let value = Double(text), value.isFinite else {
      at = start
      throw failure("expected a finite number, found \"\(text.prefix(40))\"")
    }
    return .number(value, exact: Int(text) ?? Int(exactly: value))
  }

  mutating func parseString() throws(JSONError) -> String {
    at += 1
    var text: [UInt8] = []
    while at < bytes.count {
      let byte = bytes[at]
      at += 1
      switch byte {
      case UInt8(ascii: "\""):
        guard let string = String(validating: text, as: UTF8.self) else { throw failure("a string that is not UTF-8") }
        return string
      case UInt8(ascii: "\\"): try parseEscape(into: &text)
      case 0..<0x20: throw failure("a control character in a string")
      default: text.append(byte)
      }
    }
    throw failure("a string without its closing quote")
  }

  mutating func parseEscape(into text: inout [UInt8]) throws(JSONError) {
    guard at < bytes.count else { throw failure("a string without its closing quote") }
    let byte = bytes[at]
    at += 1
    let simple: [UInt8: UInt8] = [0x22: 0x22, 0x5C: 0x5C, 0x2F: 0x2F, 0x62: 8, 0x66: 12, 0x6E: 10, 0x72: 13, 0x74: 9]
    if let plain = simple[byte] {
      text.append(plain)
      return
    }
    guard byte == UInt8(ascii: "u") else { throw failure("an unknown escape") }
    var code = try parseHex()
    if (0xD800..<0xDC00).contains(code), at + 1 < bytes.count, bytes[at] == 0x5C, bytes[at + 1] == 0x75 {
      let mark = at
      at += 2
      let low = try parseHex()
      if (0xDC00..<0xE000).contains(low) {
        code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
      } else {
        at = mark
      }
    }
    let scalar = Unicode.Scalar(code) ?? "\u{FFFD}"
    text.append(contentsOf: String(Character(scalar)).utf8)
  }

  mutating func parseHex() throws(JSONError) -> UInt32 {
    guard at + 4 <= bytes.count,
      let code = UInt32(String(decoding: bytes[at..<at + 4], as: UTF8.self), radix: 16)
    else { throw failure("expected four hexadecimal digits") }
    at += 4
    return code
  }
}
