import Foundation
import JSON
import Models
import Tensors
import Testing

/// Published names and shapes, where they lie beside the project; nothing of them is part of it.
private let published = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("shared/data/configs").path

/// A model folder of a published shape: its configuration files, and weights that are a hole in a sparse file.
private final class HollowModel {
  let path: String
  private let source: String

  /// - Parameter configuration: the file that stands for `config.json`; its text where it begins with a brace.
  init(_ name: String, configuration: String = "config.json") throws {
    source = published + "/" + name
    path = FileManager.default.temporaryDirectory.path + "/massv-pipe-test-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    for file in ["generation_config.json", "preprocessor_config.json"]
    where FileManager.default.fileExists(atPath: source + "/" + file) {
      try FileManager.default.copyItem(atPath: source + "/" + file, toPath: path + "/" + file)
    }
    if configuration.hasPrefix("{") {
      try configuration.write(toFile: path + "/config.json", atomically: true, encoding: .utf8)
    } else {
      try FileManager.default.copyItem(atPath: source + "/" + configuration, toPath: path + "/config.json")
    }
    // Two sizes of one family were published with the same processor file.
    if !FileManager.default.fileExists(atPath: path + "/preprocessor_config.json") {
      try "{}".write(toFile: path + "/preprocessor_config.json", atomically: true, encoding: .utf8)
    }
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// Names and shapes as the table has them, in its order.
  func shapes(_ table: String) throws -> [(name: String, shape: [Int])] {
    try String(contentsOfFile: source + "/" + table, encoding: .utf8).split(separator: "\n").map { line in
      let columns = line.split(separator: "\t")
      return (String(columns[0]), columns[1].split(separator: "x").compactMap { Int($0) })
    }
  }

  func write(_ tensors: [(name: String, shape: [Int])]) throws {
    var offset = 0
    var header = JSONWriter()
    header.object { writer in
      for (name, shape) in tensors {
        writer.key(name)
        writer.object { writer in
          writer.key("dtype")
          writer.string("BF16")
          writer.key("shape")
          writer.array { writer in for size in shape { writer.integer(size) } }
          writer.key("data_offsets")
          let end = offset + shape.reduce(2, *)
          writer.array { writer in
            writer.integer(offset)
            writer.integer(end)
          }
          offset = end
        }
      }
    }
    var length = UInt64(header.bytes.count).littleEndian
    let file = path + "/model.safetensors"
    try (Data(bytes: &length, count: 8) + Data(header.bytes)).write(to: URL(fileURLWithPath: file))
    truncate(file, off_t(8 + header.bytes.count + offset))
  }

  func load() throws -> ModelParts {
    let folder = try ModelFiles(path: path, engine: nil)
    return try folder.family.load(folder)
  }

  /// What loading complains of, nil where it does not.
  func complaint() -> String? {
    do {
      _ = try load()
      return nil
    } catch { return "\(error)" }
  }
}

@Suite(
  .enabled(if: FileManager.default.fileExists(atPath: published), "no published configurations beside the project"))
struct PublishedShapesTests {
  @Test(arguments: [
    ("qwen2.5-vl/Qwen2.5-VL-3B-Instruct", "tensor_shapes.reconstructed.tsv"),
    ("qwen2.5-vl/Qwen2.5-VL-3B-Instruct", "tensor_shapes.transformers5-memory-names.tsv"),
    ("qwen2.5-vl/Qwen2.5-VL-7B-Instruct", "tensor_shapes.reconstructed.tsv"),
    ("qwen2.5-vl/Qwen2.5-VL-7B-Instruct", "tensor_shapes.transformers5-memory-names.tsv"),
    ("qwen2.5/Qwen2.5-0.5B-Instruct", "tensor_shapes.transformers5-memory-names.tsv"),
    ("gemma-3/gemma-3-1b-it", "tensor_shapes.published-names.reconstructed.tsv"),
    ("gemma-3/gemma-3-4b-it", "tensor_shapes.published-names.reconstructed.tsv"),
    ("gemma-3/gemma-3-4b-it", "tensor_shapes.transformers5-memory-names.tsv"),
    ("llava-1.5/llava-1.5-7b-hf", "tensor_shapes.published-names.reconstructed.tsv"),
    ("llava-1.5/llava-1.5-7b-hf", "tensor_shapes.transformers5-memory-names.tsv"),
    ("llama-drafters/TinyLlama-1.1B-Chat-v1.0", "tensor_shapes.transformers5-memory-names.tsv"),
    ("llama-drafters/llama-160m", "tensor_shapes.transformers5-memory-names.tsv"),
    ("llama-drafters/llama-68m", "tensor_shapes.transformers5-memory-names.tsv"),
  ])
  func aModelOfAPublishedShapeLoadsByItsNames(name: String, table: String) throws {
    try load(HollowModel(name), table, sees: name.contains("VL") || name.contains("4b") || name.contains("llava"))
  }

  @Test(arguments: ["12b", "27b"]) func reconstructedConfigurationsLoadToo(size: String) throws {
    let model = try HollowModel("gemma-3/gemma-3-\(size)-it", configuration: "config.reconstructed.json")
    try load(model, "tensor_shapes.published-names.reconstructed.tsv", sees: true)
  }

  @Test func theSmallestGemmaLoadsFromItsFacts() throws {
    let configuration = """
      {"model_type": "gemma3_text", "vocab_size": 262144, "hidden_size": 640, "intermediate_size": 2048,
       "num_hidden_layers": 18, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 256,
       "query_pre_attn_scalar": 256, "sliding_window": 512, "max_position_embeddings": 32768}
      """
    let model = try HollowModel("gemma-3/gemma-3-270m-it", configuration: configuration)
    try load(model, "tensor_shapes.published-names.reconstructed.tsv", sees: false)
  }

  private func load(_ model: HollowModel, _ table: String, sees: Bool) throws {
    let shapes = try model.shapes(table)
    #expect(shapes.count > 20)
    try model.write(shapes)
    #expect((try model.load().vision != nil) == sees)
  }

  @Test func whatSparseFilesLeaveOutIsTheClasssDefault() throws {
    for file in ["config.json", "config.resolved-by-transformers-5.23.0.json"] {
      let folder = try HollowModel("gemma-3/gemma-3-4b-it", configuration: file)
      let model = try withExtendedLifetime(folder) { try Gemma3.configuration(ModelFiles(path: folder.path).config) }
      let sizes = model.language.sizes
      #expect(sizes.heads == 8 && sizes.keyValueHeads == 4 && sizes.headWidth == 256 && sizes.vocabulary == 262_208)
      #expect(sizes.windows.filter { $0 == nil }.count == 5 && sizes.windows[0] == 1024 && sizes.windows[5] == nil)
      #expect(model.language.globalRope == RotarySettings(base: 1_000_000, scaling: .linear(factor: 8)))
      #expect(model.language.localRope == RotarySettings(base: 10000) && sizes.epsilon == 1e-6 && sizes.tiedHead)
      #expect(model.tokensPerSide == 16 && model.pool == 4 && model.vision.activation == .geluTanh)
    }
    for file in ["config.json", "config.resolved-by-transformers-5.23.0.json"] {
      let folder = try HollowModel("llava-1.5/llava-1.5-7b-hf", configuration: file)
      let model = try withExtendedLifetime(folder) { try Llava.configuration(ModelFiles(path: folder.path).config) }
      #expect(model.language.sizes.hidden == 4096 && model.language.sizes.layers == 32)
      #expect(model.language.sizes.intermediate == 11008 && model.language.sizes.epsilon == 1e-5)
      #expect(model.depth == 23 && model.dropsClassToken && model.vision.activation == .quickGELU)
    }
  }

  @Test func missingSurplusAndMisshapenTensorsAreErrorsByName() throws {
    let model = try HollowModel("qwen2.5/Qwen2.5-0.5B-Instruct")
    let shapes = try model.shapes("tensor_shapes.transformers5-memory-names.tsv")
    for index in stride(from: 0, to: shapes.count, by: 37) {
      let name = shapes[index].name
      if name == "lm_head.weight" { continue }
      var fewer = shapes
      fewer.remove(at: index)
      try model.write(fewer)
      #expect(model.complaint()?.contains("\"\(name)\" of shape \(shapes[index].shape) is missing") == true, "\(name)")
      var other = shapes
      other[index].shape[0] += 1
      try model.write(other)
      #expect(model.complaint()?.contains("\"\(name)\": expected shape \(shapes[index].shape)") == true, "\(name)")
    }
    try model.write(shapes + [("model.layers.0.extra.weight", [3, 5])])
    #expect(model.complaint()?.contains("\"model.layers.0.extra.weight\" belongs to no part") == true)
  }
}
