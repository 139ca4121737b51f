import Foundation
import JSON
import Tensors
import Testing

private let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .appendingPathComponent("Fixtures").path

private func bytes(hexadecimal text: String) -> [UInt8] {
  let digits = Array(text.utf8)
  return stride(from: 0, to: digits.count, by: 2).compactMap {
    UInt8(String(decoding: digits[$0..<$0 + 2], as: UTF8.self), radix: 16)
  }
}

private func scratch(_ bytes: [UInt8]) throws -> String {
  let path = FileManager.default.temporaryDirectory.path + "/massv-pipe-test-" + UUID().uuidString + ".gguf"
  try Data(bytes).write(to: URL(fileURLWithPath: path))
  return path
}

/// A file with one tensor of these bytes.
private func file(format: UInt32, weights: Int, data: [UInt8]) -> [UInt8] {
  func little(_ value: UInt64, _ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
  }
  var bytes = Array("GGUF".utf8) + little(3, 4) + little(1, 8) + little(0, 8) + little(1, 8) + Array("t".utf8)
  bytes += little(1, 4) + little(UInt64(weights), 8) + little(UInt64(format), 4) + little(0, 8)
  bytes += [UInt8](repeating: 0, count: (32 - bytes.count % 32) % 32)
  return bytes + data
}

@Test func blocksOfEveryFormatHaveTheReferencesValuesToTheBit() throws {
  let data = try Data(contentsOf: URL(fileURLWithPath: fixtures + "/expected/gguf-blocks.json"))
  let formats = try #require(try JSONValue(parsing: Array(data)).array)
  var compared = 0
  for format in formats {
    let name = try #require(format["type"]?.string)
    let number = UInt32(try #require(format["number"]?.int))
    for item in try #require(format["cases"]?.array) {
      let raw = bytes(hexadecimal: try #require(item["raw"]?.string))
      let values = bytes(hexadecimal: try #require(item["values"]?.string))
      let path = try scratch(file(format: number, weights: values.count / 4, data: raw))
      defer { try? FileManager.default.removeItem(atPath: path) }
      let gguf = try GGUFFile(path: path)
      let stored = gguf.tensor(gguf.entries[0])
      let found = stored.values.map(\.bitPattern)
      let expected = stride(from: 0, to: values.count, by: 4).map { at in
        (0..<4).reduce(UInt32(0)) { $0 | UInt32(values[at + $1]) << UInt32(8 * $1) }
      }
      #expect(found == expected, "\(name): \(item["what"]?.string ?? "")")
      // What has a packed format of its own keeps every finite value.
      if ["Q8_0", "Q4_0", "Q5_0", "Q4_K"].contains(name), stored.values.allSatisfy({ $0.isFinite }) {
        #expect(Weight(stored, Engine(threads: 1)).values == stored.values, "\(name)")
      }
      compared += 1
    }
  }
  #expect(formats.count == 9 && compared > 80)
}

@Test func headersAreReadAsTheReferenceReadsThem() throws {
  let data = try Data(contentsOf: URL(fileURLWithPath: fixtures + "/expected/gguf-files.json"))
  guard case .object(let files) = try JSONValue(parsing: Array(data)) else { return }
  #expect(files.count > 5)
  for (name, expected) in files {
    let gguf = try GGUFFile(path: fixtures + "/models/gguf/" + name)
    let tensors = try #require(expected["tensors"]?.array)
    #expect(gguf.entries.map(\.name) == tensors.compactMap { $0["name"]?.string }, "\(name)")
    #expect(gguf.entries.map(\.format.name) == tensors.compactMap { $0["type"]?.string }, "\(name)")
    for (entry, tensor) in zip(gguf.entries, tensors) {
      #expect(entry.shape == tensor["shape"]?.array?.compactMap(\.int).reversed(), "\(name) \(entry.name)")
    }
  }
}

@Test func everyTruncationAndEveryChangedByteEndsInAnErrorOrAFile() throws {
  let whole = Array(try Data(contentsOf: URL(fileURLWithPath: fixtures + "/models/gguf/every-type.gguf")))
  var refused = 0
  let path = try scratch(whole)
  defer { try? FileManager.default.removeItem(atPath: path) }
  let data = try #require(try GGUFFile(path: path).entries.map(\.bytes.upperBound).max())
  // The last tensor ends at most one alignment before the file.
  for length in stride(from: 0, to: whole.count - 64, by: 7) where data > 0 {
    let path = try scratch(Array(whole[..<length]))
    defer { try? FileManager.default.removeItem(atPath: path) }
    #expect(throws: WeightError.self, "cut at \(length)") { try GGUFFile(path: path) }
  }
  for at in 0..<min(3000, whole.count) {
    for value: UInt8 in [0, 0x7F, 0xFF] where whole[at] != value {
      var changed = whole
      changed[at] = value
      let path = try scratch(changed)
      defer { try? FileManager.default.removeItem(atPath: path) }
      do throws(WeightError) {
        let gguf = try GGUFFile(path: path)
        for entry in gguf.entries { _ = gguf.tensor(entry).values.count }
      } catch {
        refused += 1
        #expect(error.description.contains(path))
      }
    }
  }
  #expect(refused > 500)
}
