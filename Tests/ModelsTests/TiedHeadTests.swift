import Foundation
import Models
import Tensors
import Testing

/// A small text model, with further tensors behind its own: a copy of the embedding as they are stored, or changed by
/// `change`.
private func makeModel(_ names: [String], change: (inout Data) -> Void = { _ in }) throws -> String {
  let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().path
  let folder = FileManager.default.temporaryDirectory.path + "/massv-pipe-test-" + UUID().uuidString
  try FileManager.default.copyItem(atPath: root + "/Fixtures/models/qwen2-text", toPath: folder)
  let path = URL(fileURLWithPath: folder + "/model.safetensors")
  let bytes = try Data(contentsOf: path)
  let data = 8 + Int(bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) })
  var header = try #require(try JSONSerialization.jsonObject(with: bytes[8..<data]) as? [String: Any])
  var entry = try #require(header["model.embed_tokens.weight"] as? [String: Any])
  let place = try #require(entry["data_offsets"] as? [Int])
  var copy = Data(bytes[(data + place[0])..<(data + place[1])])
  change(&copy)
  var end = bytes.count - data
  var values = Data(bytes[data...])
  for name in names {
    entry["data_offsets"] = [end, end + copy.count]
    header[name] = entry
    end += copy.count
    values += copy
  }
  let text = try JSONSerialization.data(withJSONObject: header)
  try (Data(withUnsafeBytes(of: UInt64(text.count).littleEndian, Array.init)) + text + values).write(to: path)
  return folder
}

/// A head that is stored beside a configuration that ties it counts where it is another than the embedding.
@Test func aHeadOfItsOwnCountsWhateverTheConfigurationSays() throws {
  let copied = try makeModel(["lm_head.weight"])
  defer { try? FileManager.default.removeItem(atPath: copied) }
  #expect(try TargetModel(ModelFiles(path: copied)).language.configuration.tiedHead)
  let other = try makeModel(["lm_head.weight"]) { $0[$0.startIndex + 401] ^= 0x40 }
  defer { try? FileManager.default.removeItem(atPath: other) }
  let model = try TargetModel(ModelFiles(path: other))
  #expect(!model.language.configuration.tiedHead)
  #expect(model.language.head.weight.values != model.language.embeddingTable.values)
}

/// Older files keep what positions give.
@Test func frequenciesOfPositionsArePassedOver() throws {
  let folder = try makeModel(["model.layers.0.self_attn.rotary_emb.inv_freq"])
  defer { try? FileManager.default.removeItem(atPath: folder) }
  _ = try TargetModel(ModelFiles(path: folder))
  let surplus = try makeModel(["model.layers.0.self_attn.other"])
  defer { try? FileManager.default.removeItem(atPath: surplus) }
  #expect(throws: WeightError.self) { try TargetModel(ModelFiles(path: surplus)) }
}
