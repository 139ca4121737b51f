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

  init(_ name: String) throws {
    source = published + "/" + name
    path = FileManager.default.temporaryDirectory.path + "/massv-pipe-test-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    for file in ["config.json", "generation_config.json", "preprocessor_config.json"]
    where FileManager.default.fileExists(atPath: source + "/" + file) {
      try FileManager.default.copyItem(atPath: source + "/" + file, toPath: path + "/" + file)
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
    let folder = try ModelFiles(path: path)
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
  ])
  func aModelOfAPublishedShapeLoadsByItsNames(name: String, table: String) throws {
    let model = try HollowModel(name)
    let shapes = try model.shapes(table)
    #expect(shapes.count > 200)
    try model.write(shapes)
    let parts = try model.load()
    #expect((parts.vision != nil) == name.contains("VL"))
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
