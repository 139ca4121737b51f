import Foundation
import JSON
import Models
import Pipeline
import Samples
import Testing

private let models = Place.root + "/Tests/Fixtures/models/gguf/"

private func lines(_ path: String) throws -> [JSONValue] {
  try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map {
    try JSONValue(parsing: Array($0.utf8))
  }
}

/// Answers of a model to rendered prompts, each with an image or none.
private func answers(
  model: String, _ cases: [(rendered: String, image: [UInt8]?)], maximumTokens: Int, _ scratch: Scratch
) throws -> [[Int]] {
  let shard = try scratch.shard(
    "cases.tar",
    cases.enumerated().map { index, item in
      ("r\(index)", (item.image.map { [("jpg", $0)] } ?? []) + [("txt", Array(item.rendered.utf8))])
    })
  let sight = cases.contains { $0.image != nil } ? "| decode | encode model=m" : ""
  let failure = try run(
    """
    let m = model \(model)
    read shards="\(shard)" \(sight) | prompt model=m field=txt raw=true
    | generate model=m temperature=0 repetition-penalty=1 max-tokens=\(maximumTokens)
    | emit fields=[key, token_ids] path="\(scratch.file("out.jsonl"))"
    """)
  #expect(failure == nil)
  return try scratch.lines(of: "out.jsonl").map { line in
    #expect(line["error"] == nil, "\(line["error"]?["message"]?.string ?? "")")
    return line["token_ids"]?.array?.compactMap(\.int) ?? []
  }
}

@Test func quantisedFilesAnswerAsTheReferenceWithTheirValues() throws {
  let scratch = try Scratch()
  for line in try lines(Place.root + "/Tests/Fixtures/expected/gguf-answers.jsonl") {
    let id = try #require(line["id"]?.string)
    var model = "path=\"\(models)\(try #require(line["model"]?.string))\""
    if let vision = line["mmproj"]?.string { model += " vision=\"\(models)\(vision)\"" }
    let expected = try #require(line["tokens"]?.array).compactMap(\.int)
    guard case .skip = try PictureSource(line["image"], photos: [:]) else {
      var image: [UInt8]?
      if case .image(let bytes) = try PictureSource(line["image"], photos: [:]) { image = bytes }
      let rendered = try #require(line["rendered"]?.string)
      let found = try answers(model: model, [(rendered, image)], maximumTokens: expected.count, scratch)
      #expect(found == [expected], "\(id)")
      continue
    }
  }
}

/// Without its mmproj file, the language half of a model that sees is spoken to as the whole is.
@Test func theLanguageHalfKeepsItsTemplate() throws {
  let models = Place.root + "/Tests/Fixtures/models/"
  let turn = ChatTurn(text: "What is red?", hasImage: false)
  for (file, folder) in [("qwen2vl-text", "random-target"), ("gemma3-text", "gemma3-hub")] {
    let half = try TargetModel(ModelFiles(path: models + "gguf/\(file).gguf", engine: nil))
    let whole = try TargetModel(ModelFiles(path: models + folder, engine: nil))
    #expect(half.vision == nil && whole.vision != nil)
    #expect(half.family.render(turn) == whole.family.render(turn), "\(file)")
  }
}

/// A real model: variables name its GGUF file and what `make_gemma270m.py` wrote for it.
private let realModel = ProcessInfo.processInfo.environment["MASSV_GEMMA270M"]
private let realReference = ProcessInfo.processInfo.environment["MASSV_GEMMA270M_REFERENCE"]

@Test(
  .enabled(if: realModel != nil && realReference != nil, "MASSV_GEMMA270M and MASSV_GEMMA270M_REFERENCE name no files"))
func aRealModelWritesTheReferencesTokens() throws {
  let scratch = try Scratch()
  let cases = try lines(try #require(realReference))
  let model = try TargetModel(ModelFiles(path: try #require(realModel)))
  for line in cases {
    let ids = model.tokenizer.encodePrompt(try #require(line["rendered"]?.string))
    #expect(ids.map(Int.init) == line["ids"]?.array?.compactMap(\.int), "\(line["id"]?.string ?? "")")
  }
  let found = try answers(
    model: "path=\"\(try #require(realModel))\" weights=f32", cases.map { ($0["rendered"]?.string ?? "", nil) },
    maximumTokens: 48,
    scratch)
  for (line, tokens) in zip(cases, found) {
    let expected = try #require(line["tokens"]?.array).compactMap(\.int)
    let gaps = try #require(line["gaps"]?.array).compactMap(\.double)
    // Token for token up to the first near-tie.
    let clear = gaps.prefix { $0 > 0.002 }.count
    #expect(Array(tokens.prefix(clear)) == Array(expected.prefix(clear)), "\(line["id"]?.string ?? "")")
  }
  #expect(cases.count >= 20)
}
