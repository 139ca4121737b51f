import Foundation
import JSON
import Models
import Speculation
import Tensors
import Testing

private let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent().path
private let expectedFolder = root + "/Tests/Fixtures/expected/"

private struct Target: CustomTestStringConvertible, Sendable {
  let name: String
  let folder: String
  var testDescription: String { name }
}

private let targets = [
  Target(name: "qwen25vl-hub", folder: root + "/Tests/Fixtures/models/random-target"),
  Target(name: "qwen25vl-v5", folder: root + "/Tests/Fixtures/models/qwen25vl-v5"),
]

private func model(_ folder: String, format: WeightFormat? = nil) throws -> Qwen25VL {
  try Qwen25VL(ModelFiles(path: folder, format: format))
}

private struct Expected {
  let file: SafetensorsFile
  init(_ name: String) throws { file = try SafetensorsFile(path: expectedFolder + name + ".safetensors") }
  func values(_ name: String) throws -> Tensor? {
    guard let entry = file.entries.first(where: { $0.name == name }) else { return nil }
    let weight = try file.tensor(entry)
    return Tensor(rows: weight.rows, columns: weight.columns, values: weight.values)
  }
}

private func lines(_ name: String) throws -> [JSONValue] {
  try String(contentsOfFile: expectedFolder + name + ".jsonl", encoding: .utf8).split(separator: "\n")
    .map { try JSONValue(parsing: Array($0.utf8)) }
}

/// The largest difference relative to the largest expected value.
private func difference(_ found: [Float], _ expected: [Float]) -> Float {
  let scale = expected.map(abs).max() ?? 1
  return zip(found, expected).map { abs($0 - $1) }.max().map { $0 / scale } ?? 0
}

/// Greedy decoding of the target alone; returns the tokens and the first step's logits.
private func greedy(
  _ model: Qwen25VL, _ line: JSONValue, visual: Tensor?, grid: PatchGrid?, stops: Set<Int32>, tokenizerCount: Int
) throws -> (tokens: [Int32], firstLogits: [Float]) {
  let engine = Engine(threads: 2)
  let prompt = try #require(line["input_ids"]?.array).compactMap(\.int).map { Int32($0) }
  let limit = try #require(line["max_new_tokens"]?.int)
  var settings = SamplingSettings(vocabulary: tokenizerCount)
  settings.repetitionPenalty = Float(line["repetition_penalty"]?.double ?? 1)
  let cache = model.language.configuration.makeCache(capacity: prompt.count + limit)
  var x = model.language.embed(prompt)
  if let visual {
    var row = 0
    x = Tensor.stacking(
      prompt.enumerated().map { index, token in
        guard token == model.configuration.imageToken else { return x.rows(index..<index + 1) }
        row += 1
        return visual.rows(row - 1..<row)
      })
  }
  var (positions, next) = model.positions(prompt, grid: grid)
  var tokens: [Int32] = []
  var firstLogits: [Float] = []
  while tokens.count < limit {
    let hidden = model.language.hiddenStates(
      x, spans: [DecoderSpan(cache: cache, positions: positions)], engine)
    let logits = model.language.logits(hidden.rows(hidden.rows - 1..<hidden.rows), engine)
    if tokens.isEmpty { firstLogits = logits.values }
    let row = logits.withValues { settings.process($0, seen: Set(prompt + tokens)) }
    let token = Int32(row.indices.max { row[$0] < row[$1] || (row[$0] == row[$1] && $0 > $1) } ?? 0)
    tokens.append(token)
    if stops.contains(token) { break }
    x = model.language.embed([token])
    positions = [Position(next)]
    next += 1
  }
  return (tokens, firstLogits)
}

@Test(arguments: targets) private func greedyTokensAndLogitsEqualTheReference(target: Target) throws {
  let model = try model(target.folder)
  let expected = try Expected(target.name)
  let defaults = try GenerationDefaults(
    folder: target.folder, config: try ConfigReader(path: target.folder + "/config.json"))
  var compared = (text: 0, pictures: 0)
  for line in try lines(target.name) {
    let id = try #require(line["id"]?.string)
    guard line["input_ids"]?.array != nil else { continue }
    let visual = try expected.values(id + ".merged")
    let grid = line["image"]?["grid_thw"]?.array ?? line["grid_thw"]?.array
    if line["image"]?.isNull == false, visual == nil || grid == nil { continue }
    let sides = grid?.compactMap(\.int)
    let result = try greedy(
      model, line, visual: visual, grid: sides.map { PatchGrid(height: $0[1], width: $0[2]) },
      stops: defaults.endOfSequence, tokenizerCount: 428)
    #expect(result.tokens.map(Int.init) == line["tokens"]?.array?.compactMap(\.int), "\(id)")
    let logits = try #require(try expected.values(id + ".first_logits")).values
    #expect(difference(result.firstLogits, logits) < 1e-3, "\(id)")
    if visual == nil { compared.text += 1 } else { compared.pictures += 1 }
  }
  #expect(compared.text >= 6)
  print("\(target.name): \(compared.text) text and \(compared.pictures) picture prompts compared")
}

@Test(arguments: targets) private func theVisionTowerEqualsTheReference(target: Target) throws {
  let model = try model(target.folder)
  let expected = try Expected(target.name)
  var compared = 0
  for line in try lines(target.name) {
    let id = try #require(line["id"]?.string)
    guard let patches = try expected.values(id + ".patches"),
      let sides = line["grid_thw"]?.array?.compactMap(\.int)
    else { continue }
    let features = model.features(patches, grid: PatchGrid(height: sides[1], width: sides[2]), Engine(threads: 2))
    let before = try #require(try expected.values(id + ".pre_merger"))
    #expect(difference(features.values, before.values) < 1e-4, "\(id)")
    let merged = try #require(try expected.values(id + ".merged"))
    #expect(difference(model.project(features, Engine(threads: 1)).values, merged.values) < 1e-4, "\(id)")
    compared += 1
  }
  #expect(compared > 0)
  print("\(target.name): \(compared) pictures compared from patches on")
}

@Test(arguments: targets) private func theMergerEqualsTheReference(target: Target) throws {
  let model = try model(target.folder)
  let expected = try Expected(target.name)
  var compared = 0
  for entry in expected.file.entries where entry.name.hasSuffix(".pre_merger") {
    let before = try #require(try expected.values(entry.name))
    let width = model.configuration.vision.featureWidth
    let after = model.project(before.reshaped(rows: before.count / width, columns: width), Engine(threads: 2))
    let merged = try #require(try expected.values(String(entry.name.dropLast(".pre_merger".count)) + ".merged"))
    #expect(difference(after.values, merged.values) < 1e-4, "\(entry.name)")
    compared += 1
  }
  #expect(compared > 0)
}

@Test func picturesAreBroughtToTheSizesOfTheReference() throws {
  let text = try String(contentsOfFile: expectedFolder + "smart_resize.json", encoding: .utf8)
  let cases = try #require(try JSONValue(parsing: Array(text.utf8)).array)
  for item in cases {
    let numbers = try ["h", "w", "factor", "min", "max"].map { try #require(item[$0]?.int) }
    let size = try? ImagePlan.smartResize(
      height: numbers[0], width: numbers[1], factor: numbers[2], minimumPixels: numbers[3], maximumPixels: numbers[4])
    #expect(size?.height == item["height"]?.int && size?.width == item["width"]?.int, "\(numbers)")
  }
  #expect(cases.count == 300)
}
