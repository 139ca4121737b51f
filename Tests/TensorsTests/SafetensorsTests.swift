import Foundation
import Tensors
import Testing

private func file(header: String, data: Int = 16, length: UInt64? = nil) -> [UInt8] {
  let bytes = Array(header.utf8)
  return withUnsafeBytes(of: (length ?? UInt64(bytes.count)).littleEndian, Array.init) + bytes
    + [UInt8](repeating: 0, count: data)
}

private func message(_ bytes: [UInt8]) throws -> String? {
  let path = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
  try Data(bytes).write(to: URL(fileURLWithPath: path))
  defer { try? FileManager.default.removeItem(atPath: path) }
  do {
    _ = try SafetensorsFile(path: path)
    return nil
  } catch {
    return error.message
  }
}

private let good = #"{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}"#

@Test func aSoundFileOpens() throws { #expect(try message(file(header: good)) == nil) }

private struct Hostile: CustomTestStringConvertible, Sendable {
  let bytes: [UInt8]
  let expected: String
  var testDescription: String { expected }
  init(_ bytes: [UInt8], _ expected: String) {
    self.bytes = bytes
    self.expected = expected
  }
}

@Test(arguments: [
  Hostile(file(header: good, length: 1 << 60), "header length"),
  Hostile(file(header: good, data: 8), "within the data"),
  Hostile(file(header: #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#), "within the data"),
  Hostile(file(header: #"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,16]}}"#), "takes 12 bytes"),
  Hostile(file(header: #"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,16]}}"#), "too large"),
  Hostile(file(header: #"{"a":{"dtype":"Q9","shape":[4],"data_offsets":[0,16]}}"#), "unknown element type"),
  Hostile(
    file(
      header:
        #"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},"b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}"#
    ), "overlap"
  ),
  Hostile(
    file(
      header:
        #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#
    ), "duplicate key"
  ),
  Hostile(file(header: String(repeating: "[", count: 5000)), "deeper than 64"),
  Hostile(file(header: "[]"), "expected a JSON object"),
])
private func aHostileFileIsAnErrorThatSaysWhy(hostile: Hostile) throws {
  let found = try #require(try message(hostile.bytes))
  #expect(found.contains(hostile.expected), "\(found)")
}

@Test func everyTruncationIsAnError() throws {
  let whole = file(header: good)
  for count in 0..<whole.count { #expect(try message(Array(whole[..<count])) != nil) }
}
