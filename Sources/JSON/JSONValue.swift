/// A JSON text that could not be read: where, what was expected, what was found.
package struct JSONError: Error, CustomStringConvertible {
  /// The byte at which reading stopped.
  package let offset: Int
  package let message: String

  package var description: String { "byte \(offset): \(message)" }
}

/// A JSON value read strictly: duplicate keys, trailing text and nesting beyond 64 levels are errors.
///
/// Objects keep the order of the file, numbers the digits they were written with.
package enum JSONValue: Sendable {
  case null
  case bool(Bool)
  /// A finite number as it was written.
  case number(String)
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
    // The same letters, not such as look the same.
    return members.first { $0.key == key && $0.key.utf8.elementsEqual(key.utf8) }?.value
  }

  package var string: String? { if case .string(let value) = self { value } else { nil } }
  /// The number where it is whole and fits.
  package var int: Int? {
    guard case .number(let text) = self else { return nil }
    return Int(text) ?? Double(text).flatMap { Int(exactly: $0) }
  }
  package var double: Double? { if case .number(let text) = self { Double(text) } else { nil } }
  package var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  package var array: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
  package var isNull: Bool { if case .null = self { true } else { false } }

  /// What kind of value this is, for messages.
  package var kind: String {
    switch self {
    case .null: "null"
    case .bool(let value): "\(value)"
    case .number(let text): String(text.prefix(60))
    case .string(let value): "\"\(value.prefix(60))\""
    case .array(let values): "a list of \(values.count)"
    case .object(let members): "an object of \(members.count)"
    }
  }
}
