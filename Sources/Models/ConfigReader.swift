import Foundation
import JSON
import Tensors

/// A model folder that cannot be used: which file, what was expected, what was found.
package struct ModelError: Error, Sendable, CustomStringConvertible {
  package let message: String

  package init(_ message: String) { self.message = message }

  package var description: String { message }
}

/// One JSON file of a model folder, read with messages that name file and key.
package struct ConfigReader: Sendable {
  /// The file, or `FILE key.key` for a part of it.
  package let place: String
  package let json: JSONValue

  /// Tokenizers of large vocabularies have some 30 MB.
  private static let largestFile = 1 << 28

  /// Reads a file that must be there.
  package init(path: String) throws(ModelError) {
    let file: MappedFile
    do throws(WeightError) { file = try MappedFile(path: path) } catch {
      throw ModelError("\(path): cannot be read" + error.message.dropFirst(path.count))
    }
    guard file.bytes.count <= Self.largestFile else {
      throw ModelError("\(path): expected at most \(Self.largestFile) bytes, found \(file.bytes.count)")
    }
    place = path
    do { json = try withExtendedLifetime(file) { try JSONValue(parsing: file.bytes) } } catch {
      throw ModelError("\(path): \(error)")
    }
    guard case .object = json else { throw ModelError("\(path): expected a JSON object, found \(json.kind)") }
  }

  /// Reads a file that may be missing.
  package static func optional(path: String) throws(ModelError) -> ConfigReader? {
    FileManager.default.fileExists(atPath: path) ? try ConfigReader(path: path) : nil
  }

  /// A part of a file, or a file's worth of settings from elsewhere.
  package init(place: String, json: JSONValue) {
    self.place = place
    self.json = json
  }

  /// The object under this key, nil where there is none.
  package func object(_ key: String) -> ConfigReader? {
    guard let value = json[key], case .object = value else { return nil }
    return ConfigReader(place: "\(place) \(key)", json: value)
  }

  private func wrong(_ key: String, _ expected: String) -> ModelError {
    ModelError("\(place): \"\(key)\": expected \(expected), found \(json[key]?.kind ?? "nothing")")
  }

  private func present(_ key: String) -> JSONValue? {
    guard let value = json[key], !value.isNull else { return nil }
    return value
  }

  /// A whole number from 1 to `maximum`, or the default where the key is absent or null.
  ///
  /// Sizes stay so small that products of three of them are numbers still.
  package func count(
    _ key: String, default fallback: Int? = nil, atMost maximum: Int = 1 << 20
  ) throws(ModelError) -> Int {
    guard let value = present(key) else {
      if let fallback { return fallback }
      throw wrong(key, "a whole number")
    }
    guard let number = value.int, (1...maximum).contains(number) else {
      throw wrong(key, "a whole number from 1 to \(maximum)")
    }
    return number
  }

  /// A finite number, or the default where the key is absent or null.
  package func number(_ key: String, default fallback: Double? = nil) throws(ModelError) -> Double {
    guard let value = present(key) else {
      if let fallback { return fallback }
      throw wrong(key, "a number")
    }
    guard let number = value.double else { throw wrong(key, "a number") }
    return number
  }

  /// A finite number, nil where the key is absent or null.
  package func optionalNumber(_ key: String) throws(ModelError) -> Double? {
    present(key) == nil ? nil : try number(key)
  }

  /// A list of strings, nil where the key is absent or null.
  package func texts(_ key: String) throws(ModelError) -> [String]? {
    guard let value = present(key) else { return nil }
    let list = (value.array ?? []).map(\.string)
    guard value.array != nil, !list.contains(nil) else { throw wrong(key, "a list of strings") }
    return list.compactMap { $0 }
  }

  package func flag(_ key: String, default fallback: Bool) throws(ModelError) -> Bool {
    guard let value = present(key) else { return fallback }
    guard let flag = value.bool else { throw wrong(key, "true or false") }
    return flag
  }

  package func text(_ key: String) throws(ModelError) -> String? {
    guard let value = present(key) else { return nil }
    guard let text = value.string else { throw wrong(key, "a string") }
    return text
  }

  /// A whole number or a list of them.
  package func integers(_ key: String) throws(ModelError) -> [Int]? {
    guard let value = present(key) else { return nil }
    if let one = value.int { return [one] }
    guard let list = value.array else { throw wrong(key, "whole numbers") }
    var integers: [Int] = []
    for element in list {
      guard let integer = element.int else { throw wrong(key, "whole numbers") }
      integers.append(integer)
    }
    return integers
  }

  /// A list of exactly `count` numbers, or the default.
  package func numbers(_ key: String, count: Int, default fallback: [Double]) throws(ModelError) -> [Double] {
    guard let value = present(key) else { return fallback }
    let list = (value.array ?? []).compactMap(\.double)
    guard list.count == count else { throw wrong(key, "\(count) numbers") }
    return list
  }

  /// An error about a key of this file.
  package func invalid(_ key: String, expected: String) -> ModelError { wrong(key, expected) }
}
