import Foundation
import Images
import JSON
import Models
import Tensors
import Testing

/// The reference's tensors for one model.
private struct Expected {
  let file: SafetensorsFile

  init(_ name: String) throws {
    file = try SafetensorsFile(path: Place.root + "/Tests/Fixtures/expected/\(name).safetensors")
  }

  func values(_ name: String) throws -> [Float]? {
    guard let entry = file.entries.first(where: { $0.name == name }) else { return nil }
    return try file.tensor(entry).values
  }
}

/// The largest difference relative to the largest expected value.
private func difference(_ found: [Float], _ expected: [Float]) -> Float {
  guard found.count == expected.count else { return .infinity }
  let scale = expected.map(abs).max() ?? 1
  return zip(found, expected).map { abs($0 - $1) }.max().map { $0 / max(scale, 1e-6) } ?? 0
}

/// A picture as the model's encoder and projector see it.
func see(
  _ bytes: [UInt8], _ vision: any VisionModel, _ engine: Engine
) throws -> (pixels: [Float], features: Tensor, merged: Tensor, grid: PatchGrid) {
  let picture = try Picture(decoding: bytes)
  let plan = vision.imagePlan
  let target = try plan.target(height: picture.height, width: picture.width)
  let used = picture.resized(
    width: target.width, height: target.height, try #require(Resampling(rawValue: Int32(plan.resample)))
  ).cropped(top: target.top, left: target.left, height: target.usedHeight, width: target.usedWidth)
  let scale = PixelScale(rescale: plan.rescale, mean: plan.mean, deviation: plan.deviation)
  let layout = plan.layout
  let patches = used.mergedPatches(size: layout.size, merge: layout.merge, frames: layout.frames, scale: scale)
  let grid = PatchGrid(height: used.height / layout.size, width: used.width / layout.size)
  let features = vision.features(
    Tensor(rows: grid.patches, columns: layout.width, values: patches), grid: grid, engine)
  // One patch as large as the picture is the picture's planes.
  let pixels = used.height == used.width ? used.mergedPatches(size: used.width, merge: 1, frames: 1, scale: scale) : []
  return (pixels, features, vision.project(features, engine), grid)
}

private let families = [
  ("qwen25vl-hub", Place.target), ("qwen25vl-v5", Place.root + "/Tests/Fixtures/models/qwen25vl-v5"),
  ("gemma3-hub", Place.root + "/Tests/Fixtures/models/gemma3-hub"),
  ("gemma3-v5", Place.root + "/Tests/Fixtures/models/gemma3-v5"),
  ("llava-hub", Place.root + "/Tests/Fixtures/models/llava-hub"),
  ("llava-v5", Place.root + "/Tests/Fixtures/models/llava-v5"),
]

@Test(arguments: families)
private func featuresVisualTokensAndFirstLogitsEqualTheReference(name: String, folder: String) throws {
  let model = try TargetModel(ModelFiles(path: folder))
  let vision = try #require(model.vision)
  let expected = try Expected(name)
  let engine = Engine(threads: 2)
  let photos = try photographs()
  let text = try String(contentsOfFile: Place.root + "/Tests/Fixtures/expected/\(name).jsonl", encoding: .utf8)
  var compared = (features: 0, logits: 0)
  for line in try text.split(separator: "\n").map({ try JSONValue(parsing: Array($0.utf8)) }) {
    let id = try #require(line["id"]?.string)
    let prompt = try #require(line["input_ids"]?.array).compactMap(\.int).map { Int32($0) }
    var x = model.language.embed(prompt)
    var places = vision.positions(prompt, grid: nil)
    var block: Range<Int>?
    switch try PictureSource(line["image"], photos: photos) {
    case .skip: continue
    case .text: break
    case .image(let bytes):
      let seen = try see(bytes, vision, engine)
      if let pixels = try expected.values(id + ".pixels") { #expect(difference(seen.pixels, pixels) < 1e-6, "\(id)") }
      if let features = try expected.values(id + ".features") {
        #expect(difference(seen.features.values, features) < 1e-4, "\(id)")
        compared.features += 1
      }
      if let merged = try expected.values(id + ".merged") {
        #expect(difference(seen.merged.values, merged) < 1e-4, "\(id)")
      }
      x = model.language.embed(prompt, visual: seen.merged, placeholder: vision.imageToken)
      places = vision.positions(prompt, grid: seen.grid)
      if vision.isBidirectional, let first = prompt.firstIndex(of: vision.imageToken) {
        block = first..<first + seen.merged.rows
      }
    }
    let cache = model.language.configuration.makeCache(capacity: prompt.count)
    let span = DecoderSpan(cache: cache, positions: places.positions, bidirectional: block)
    let hidden = model.language.hiddenStates(x, spans: [span], engine)
    let logits = model.language.logits(hidden.rows(hidden.rows - 1..<hidden.rows), engine)
    let reference = try #require(try expected.values(id + ".first_logits"))
    // Tight enough to tell one form of GELU from the other.
    #expect(difference(logits.values, reference) < 1e-4, "\(id)")
    compared.logits += 1
  }
  print("\(name): \(compared.features) pictures' features and \(compared.logits) prompts' logits compared")
  #expect(compared.logits >= 27)
}
