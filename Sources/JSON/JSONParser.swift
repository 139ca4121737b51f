/// Reads one JSON text, byte by byte.
struct JSONParser {
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
    while at < bytes.count, bytes[at] == 0x20 || bytes[at] == 0x0A || bytes[at] == 0x0D || bytes[at] == 0x09 { at += 1 }
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
    // By bytes: Swift takes canonically equal strings for one key.
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
    while at < bytes.count, Self.continuesNumber(bytes[at]) { at += 1 }
    let text = String(decoding: bytes[start..<at], as: UTF8.self)
    guard let value = Double(text), value.isFinite, Self.isPlainNumber(text) else {
      at = start
      throw failure("expected a finite number, found \"\(text.prefix(40))\"")
    }
    return .number(text)
  }

  private static func continuesNumber(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."),
      UInt8(ascii: "e"), UInt8(ascii: "E"):
      true
    default: false
    }
  }

  /// What JSON allows and Swift's reader of numbers does not tell apart: no leading zeros, digits around the point.
  private static func isPlainNumber(_ text: String) -> Bool {
    let digits = Array(text.utf8.drop { $0 == UInt8(ascii: "-") })
    guard let first = digits.first, let last = digits.last, (48...57).contains(first), (48...57).contains(last) else {
      return false
    }
    guard let point = digits.firstIndex(of: UInt8(ascii: ".")) else {
      return first != 48 || digits.count == 1 || digits[1] | 0x20 == UInt8(ascii: "e")
    }
    return (48...57).contains(digits[point + 1]) && (first != 48 || point == 1)
  }

  mutating func parseString() throws(JSONError) -> String {
    at += 1
    let start = at
    while at < bytes.count, bytes[at] != UInt8(ascii: "\""), bytes[at] != UInt8(ascii: "\\"), bytes[at] >= 0x20 {
      at += 1
    }
    if at < bytes.count, bytes[at] == UInt8(ascii: "\"") {
      at += 1
      return try checked(bytes[start..<at - 1])
    }
    return try parseEscapedString(from: start)
  }

  private func checked(_ text: some Sequence<UInt8>) throws(JSONError) -> String {
    guard let string = String(validating: text, as: UTF8.self) else { throw failure("a string that is not UTF-8") }
    return string
  }

  /// The rest of a string whose first part, from `start` on, needed no unescaping.
  private mutating func parseEscapedString(from start: Int) throws(JSONError) -> String {
    var text = Array(bytes[start..<at])
    while at < bytes.count {
      let byte = bytes[at]
      at += 1
      switch byte {
      case UInt8(ascii: "\""): return try checked(text)
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
    guard at + 4 <= bytes.count, bytes[at..<at + 4].allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
      let code = UInt32(String(decoding: bytes[at..<at + 4], as: UTF8.self), radix: 16)
    else { throw failure("expected four hexadecimal digits") }
    at += 4
    return code
  }
}
