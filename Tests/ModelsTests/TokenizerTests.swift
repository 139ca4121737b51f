import Foundation
import JSON
import Models
import Testing

private let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent()
private let published = root.deletingLastPathComponent().appendingPathComponent("shared/data/tokenizers").path

/// A real vocabulary, unpacked from beside the project: nothing of it is part of it.
private func realTokenizer(_ name: String) throws -> Tokenizer {
  let path = FileManager.default.temporaryDirectory.path + "/massv-pipe-test-\(UUID().uuidString).json"
  defer { try? FileManager.default.removeItem(atPath: path) }
  let unpack = Process()
  unpack.executableURL = URL(fileURLWithPath: "/bin/sh")
  unpack.arguments = ["-c", "gzip -dc '\(published)/\(name)_tokenizer.json.gz' > '\(path)'"]
  try unpack.run()
  unpack.waitUntilExit()
  return try Tokenizer(path: path)
}

@Test(
  .enabled(if: FileManager.default.fileExists(atPath: published), "no real vocabulary beside the project"),
  arguments: [("qwen2", 151_665), ("gemma3", 262_144)])
func idsAndTextsEqualTheReferenceOnTheMultilingualSample(name: String, count: Int) throws {
  let tokenizer = try realTokenizer(name)
  #expect(tokenizer.count == count)
  let lines = try String(contentsOfFile: published + "/\(name)_sample.jsonl", encoding: .utf8).split(separator: "\n")
  for (number, line) in lines.enumerated() {
    let item = try JSONValue(parsing: Array(line.utf8))
    let text = try #require(item["text"]?.string)
    let ids = tokenizer.encode(text)
    #expect(ids.map(Int.init) == item["ids"]?.array?.compactMap(\.int), "line \(number + 1)")
    #expect(tokenizer.decode(ids, keepingSpecials: true) == text, "line \(number + 1)")
    var decoder = StreamingDecoder(tokenizer)
    let streamed = ids.map { decoder.append($0) }.joined() + decoder.finish()
    #expect(streamed == tokenizer.decode(ids, keepingSpecials: true), "line \(number + 1)")
  }
  #expect(lines.count == 2000)
}
