import Foundation
import JSON
import Models
import Pipeline
import Samples
import Tensors
import Testing

private let folder = Place.root + "/Tests/Fixtures/models/compressed/"

private func expected(_ layout: String) throws -> JSONValue {
  let all = try JSONValue(parsing: read(Place.root + "/Tests/Fixtures/expected/compressed.json"))
  return try #require(all[layout])
}

private let layouts = ["int8-channel", "int8-group", "int8-zero", "int4-group", "int4-zero", "int4-narrow"]

/// Weights of whole numbers with scales, as compressed-tensors stores them.
@Suite struct CompressedModelTests {
  @Test(arguments: layouts) func everyWeightIsThePackagesToTheBit(layout: String) throws {
    let store = try WeightStore(folder: folder + layout)
    guard case .object(let tensors)? = try expected(layout)["tensors"] else { throw CocoaError(.fileReadCorruptFile) }
    #expect(store.names == tensors.map(\.key).sorted(), "scales and zero points are no tensors of their own")
    var whole = 0
    for (name, tensor) in tensors {
      let shape = try #require(tensor["shape"]?.array).compactMap(\.int)
      let stored = try store.tensor(name, shape: shape)
      let bytes = stored.values.withUnsafeBytes { Array($0) }
      #expect(SHA256.hexDigest(of: bytes) == tensor["f32_sha256"]?.string, "\(name)")
      if stored.encoding == .blocks(number: 8, weights: 32, bytes: 34) {
        whole += 1
        #expect(Weight(stored, Engine(threads: 1)).values == stored.values, "\(name): packing keeps every value")
      }
    }
    // Seven matrices in each of three layers, where blocks of 32 hold them: not groups of 16, not 8 bits with a zero.
    #expect(whole == (["int4-narrow", "int8-zero"].contains(layout) ? 0 : 21))
    try store.finish()
  }

  @Test(arguments: layouts) func answersAreTransformersOwn(layout: String) throws {
    let scratch = try Scratch()
    let answers = try #require(try expected(layout)["answers"]?.array)
    let shard = try scratch.shard(
      "in.tar",
      answers.enumerated().map { ("r\($0)", [("txt", Array(($1["rendered"]?.string ?? "").utf8))]) })
    let failure = try run(
      """
      let m = model path="\(folder + layout)"
      read shards="\(shard)" | prompt model=m field=txt raw=true
      | generate model=m temperature=0 repetition-penalty=1 max-tokens=16
      | emit fields=[key, token_ids] path="\(scratch.file("out.jsonl"))"
      """)
    #expect(failure == nil)
    for (line, answer) in zip(try scratch.lines(of: "out.jsonl"), answers) {
      #expect(line["token_ids"]?.array?.map(\.int) == answer["tokens"]?.array?.map(\.int))
    }
    #expect(answers.count >= 3)
  }

  /// Another way of storing weights is named before any weight is missed.
  @Test(arguments: [
    ("\"compressed-tensors\"", "\"awq\"", "\"quant_method\": expected \"compressed-tensors\", found \"awq\""),
    ("\"int-quantized\"", "\"float-quantized\"", "\"format\": expected \"int-quantized\" or \"pack-quantized\""),
    ("\"transform_config\": {}", "\"transform_config\": {\"config_groups\": {\"u\": 1}}", "\"transform_config\""),
  ])
  func whatIsNotReadIsNamed(from: String, to: String, message: String) throws {
    let scratch = try Scratch()
    let copy = scratch.file("model")
    try FileManager.default.copyItem(atPath: folder + "int8-group", toPath: copy)
    let config = String(decoding: try read(copy + "/config.json"), as: UTF8.self)
    try #require(config.contains(from))
    _ = try scratch.write(Array(config.replacing(from, with: to).utf8), to: "model/config.json")
    let failure = try run("let m = model path=\"\(copy)\" read | prompt model=m | generate model=m | emit")
    #expect(failure?.message.contains(message) == true, "\(failure?.message ?? "none")")
    #expect(failure?.message.contains(copy + "/config.json quantization_config") == true)
  }

  /// Weights are saved in 8 bits, read again, trained from there, and saved as they were.
  @Test func trainingSavesEightBitsAndGoesOnFromThem() throws {
    let scratch = try Scratch()
    func train(_ language: String, _ storage: String) throws -> String {
      let pipe = """
        let target  = model   path="\(Place.target)"
        let drafter = student path="\(language)" target=target projector=none
        read shards="\(Place.root)/Tests/Fixtures/captions/held.tar.gz" | limit records=4 | decode | encode model=target
        | prompt model=target text="Describe." | label model=drafter | batch size=4
        | train model=drafter lr=0 update=[language] storage=\(storage) save="\(scratch.file(storage))"
                log="\(scratch.file("log"))"
        """
      #expect(try run(pipe) == nil)
      return scratch.file(storage)
    }
    func tensors(_ folder: String) throws -> [String: (shape: [Int], values: [Float])] {
      let store = try WeightStore(folder: folder)
      var all: [String: (shape: [Int], values: [Float])] = [:]
      for name in store.names {
        let shape = try #require(store.shape(of: name))
        all[name] = (shape, try store.tensor(name, shape: shape).values)
      }
      return all
    }
    let eight = try train(Place.text, "q8")
    let (own, saved) = (try tensors(Place.text), try tensors(eight))
    #expect(own.keys.sorted() == saved.keys.sorted())
    for (name, tensor) in own {
      let found = try #require(saved[name])
      #expect(found.shape == tensor.shape)
      guard name.contains("layers."), tensor.shape.count == 2 else {
        #expect(found.values == tensor.values, "\(name) is as it was")
        continue
      }
      for start in stride(from: 0, to: tensor.values.count, by: 32) {
        let group = tensor.values[start..<start + 32]
        // Half a step, and what the step's own rounding to 8 bits may add where the number is largest.
        let largest = group.map(abs).max() ?? 0
        let most = largest / 127 * 0.5 * (1 + 1 / 128) + largest / 127 * 0.25
        #expect(zip(group, found.values[start..<start + 32]).allSatisfy { abs($0 - $1) <= most }, "\(name) at \(start)")
      }
    }
    let bits = try WeightStore(folder: eight).byteCount
    #expect(bits < (try WeightStore(folder: Place.text).byteCount) * 3 / 4)
    #expect(try ConfigReader(path: eight + "/config.json").object("quantization_config") != nil)
    let back = try train(eight, "f32")
    #expect(try ConfigReader(path: back + "/config.json").object("quantization_config") == nil)
    #expect(try tensors(back).mapValues(\.values) == saved.mapValues(\.values))
  }
}
