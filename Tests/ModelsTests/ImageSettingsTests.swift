import Foundation
import JSON
import Models
import Testing

private func plan(_ settings: String) throws -> ImagePlan {
  let reader = ConfigReader(place: "preprocessor_config.json", json: try JSONValue(parsing: Array(settings.utf8)))
  return try ImagePlan.own(reader, layout: PatchLayout(size: 14, merge: 2, frames: 2))
}

@Test func stepsThatAreSwitchedOffAreLeftOut() throws {
  #expect(try plan("{}").rescale == 1 / 255)
  #expect(try plan(#"{"do_rescale": false}"#).rescale == 1)
  let raw = try plan(#"{"do_normalize": false, "image_mean": [0.1, 0.2, 0.3]}"#)
  #expect(raw.mean == [0, 0, 0] && raw.deviation == [1, 1, 1])
  #expect(throws: ModelError.self) { try plan(#"{"do_resize": false}"#) }
  #expect(throws: ModelError.self) { try plan(#"{"resample": 0}"#) }
}

@Test func theNewerOfTwoFilesCounts() throws {
  let folder = FileManager.default.temporaryDirectory.path + "/massv-pipe-test-" + UUID().uuidString
  try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: folder) }
  func write(_ name: String, _ text: String) throws {
    try text.write(toFile: folder + "/" + name, atomically: true, encoding: .utf8)
  }
  try write("preprocessor_config.json", #"{"resample": 1}"#)
  #expect(try ImagePlan.settings(folder: folder).count("resample") == 1)
  try write("processor_config.json", #"{"processor_class": "X"}"#)
  #expect(try ImagePlan.settings(folder: folder).count("resample") == 1)
  try write("processor_config.json", #"{"image_processor": {"resample": 2}}"#)
  #expect(try ImagePlan.settings(folder: folder).count("resample") == 2)
}

/// llava-hub's folder with other settings for pictures, or other halves; its tower reads 42×42 pixels.
private func llava(_ file: String, _ changes: [String: Any]) throws -> Llava {
  let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().path
  let folder = FileManager.default.temporaryDirectory.path + "/massv-pipe-test-" + UUID().uuidString
  try FileManager.default.copyItem(atPath: root + "/Fixtures/models/llava-hub", toPath: folder)
  defer { try? FileManager.default.removeItem(atPath: folder) }
  let path = URL(fileURLWithPath: folder + "/" + file)
  var json = try #require(try JSONSerialization.jsonObject(with: Data(contentsOf: path)) as? [String: Any])
  for (key, value) in changes {
    if let part = value as? [String: Any], let old = json[key] as? [String: Any], key.hasSuffix("config") {
      json[key] = old.merging(part) { $1 }
    } else {
      json[key] = value
    }
  }
  try JSONSerialization.data(withJSONObject: json).write(to: path)
  return try Llava(ModelFiles(path: folder))
}

@Test func llavasPicturesHaveTheSizeThatIsWritten() throws {
  let file = "preprocessor_config.json"
  let side = try llava(file, [:]).configuration.vision.imageSize
  let square: ImagePlan.Sizing = .fixed(height: side, width: side)
  #expect(try llava(file, ["size": ["height": side, "width": side]]).imagePlan.sizing == square)
  let longer: ImagePlan.Sizing = .shortestEdge(side + 14, cropHeight: side, cropWidth: side)
  #expect(try llava(file, ["size": side + 14]).imagePlan.sizing == longer)
  #expect(try llava(file, ["size": ["shortest_edge": side + 14], "crop_size": side]).imagePlan.sizing == longer)
  for wrong: [String: Any] in [
    ["size": ["height": side, "width": side + 1]], ["size": side - 1], ["do_pad": true], ["crop_size": side + 1],
    ["size": ["shortest_edge": side, "longest_edge": 2 * side]], ["size": side + 14, "do_center_crop": false],
  ] { #expect(throws: ModelError.self, "\(wrong)") { try llava(file, wrong) } }
}

@Test func llavasHalvesAreThoseItKnows() throws {
  let all = try llava("config.json", ["text_config": ["model_type": "mistral", "sliding_window": NSNull()]])
  #expect(all.configuration.language.sizes.maximumPositions > 8)
  // Within the window it is as if there were none.
  let some = try llava("config.json", ["text_config": ["model_type": "mistral", "sliding_window": 8]])
  #expect(some.configuration.language.sizes.maximumPositions == 8)
  for wrong: [String: Any] in [
    ["text_config": ["model_type": "granite"]], ["vision_config": ["model_type": "siglip_vision_model"]],
  ] { #expect(throws: ModelError.self, "\(wrong)") { try llava("config.json", wrong) } }
}
