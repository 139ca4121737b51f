import Foundation
import JSON
import Models
import Testing

private let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent().path

/// Small tokenizers of each kind, with texts that are hard on them.
@Test func smallTokenizersAnswerAsTheReference() throws {
  let text = try String(contentsOfFile: root + "/Tests/Fixtures/expected/tokenizers.jsonl", encoding: .utf8)
  var tokenizers: [String: Tokenizer] = [:]
  var compared = 0
  for line in text.split(separator: "\n") {
    let item = try JSONValue(parsing: Array(line.utf8))
    let folder = try #require(item["tokenizer"]?.string)
    let tokenizer = try tokenizers[folder] ?? Tokenizer(folder: root + "/Tests/Fixtures/models/" + folder)
    tokenizers[folder] = tokenizer
    let input = try #require(item["text"]?.string)
    let expected = try #require(item["ids"]?.array).compactMap(\.int)
    // What goes before every text goes before it once, even where the text begins with it.
    let ids = item["add_special_tokens"]?.bool == true ? tokenizer.encodePrompt(input) : tokenizer.encode(input)
    let hasItself = expected.count > 1 && expected[0] == expected[1] && ids.map(Int.init) == Array(expected.dropFirst())
    #expect(ids.map(Int.init) == expected || hasItself, "\(folder): \(input)")
    #expect(tokenizer.decode(expected.map { Int32($0) }) == item["decoded"]?.string, "\(folder): \(input)")
    compared += 1
  }
  #expect(compared > 100 && tokenizers.count >= 3)
}

@Test func byteTokensDecodeAsInTheReference() throws {
  let text = try String(contentsOfFile: root + "/Tests/Fixtures/expected/decoding.jsonl", encoding: .utf8)
  let lines = text.split(separator: "\n")
  for line in lines {
    let item = try JSONValue(parsing: Array(line.utf8))
    let tokenizer = try Tokenizer(
      folder: root + "/Tests/Fixtures/models/" + (try #require(item["tokenizer"]?.string)))
    let ids = try #require(item["ids"]?.array).compactMap(\.int).map { Int32($0) }
    #expect(tokenizer.decode(ids) == item["decoded"]?.string, "\(ids)")
  }
  #expect(lines.count > 10)
}
