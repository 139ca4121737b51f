import Foundation
import JSON
import Models
import Pipeline
import Tensors
import Testing

/// Some values of a tensor, or all, exchanged for a bfloat16, such as one that is no number.
private struct Damage: CustomTestStringConvertible {
  let tensor: String
  /// Where in the tensor, nil for everywhere.
  let index: Int?
  /// How many from there.
  var count = 1
  let bits: UInt16
  var testDescription: String { "\(tensor) \(index.map { "at \($0)" } ?? "everywhere") \(String(bits, radix: 16))" }

  static let nan: UInt16 = 0x7FC0
  static let infinity: UInt16 = 0x7F80

  /// A copy of a model's folder with the damage done.
  func copy(of folder: String, _ scratch: Scratch, named name: String = "model") throws -> String {
    let copy = scratch.file(name)
    try FileManager.default.copyItem(atPath: folder, toPath: copy)
    let path = copy + "/model.safetensors"
    var bytes = try read(path)
    let file = try SafetensorsFile(path: path)
    let entry = try #require(file.entries.first { $0.name == tensor }, "\(tensor) is not there")
    try #require(entry.type == .bf16)
    let place = file.bytes(entry)
    let start = try #require(place.baseAddress) - (try #require(file.file.bytes.baseAddress))
    for value in index.map({ $0..<$0 + count }) ?? 0..<place.count / 2 {
      bytes[start + 2 * value] = UInt8(bits & 0xFF)
      bytes[start + 2 * value + 1] = UInt8(bits >> 8)
    }
    _ = try scratch.write(bytes, to: name + "/model.safetensors")
    return copy
  }
}

/// Three pictures and, second, a text.
private func shard(_ scratch: Scratch) throws -> String {
  let picture = { (name: String) in [("jpg", try read(Place.root + "/Tests/Fixtures/shapes/\(name).jpg"))] }
  return try scratch.shard(
    "in.tar",
    [
      ("first", try picture("shape-00")), ("text", [("txt", Array("What is red?".utf8))]),
      ("second", try picture("shape-04")), ("third", try picture("shape-07")),
    ])
}

/// The lines that a pipe writes.
private func lines(
  target: String, weights: String, drafter: String = "path=none", sampling: String, _ scratch: Scratch,
  _ meter: Meter = Meter()
) throws -> [JSONValue] {
  var options = RunContext.Options()
  options.threads = 2
  let failure = try run(
    """
    let target  = model   path="\(target)" weights=\(weights)
    let drafter = drafter \(drafter) target=target
    read shards="\(try shard(scratch))" | decode | encode model=target | project model=drafter
    | prompt model=target text="Describe this image." | draft model=drafter tokens=4
    | verify model=target \(sampling) seed=3 max-tokens=8
    | emit fields=[key, token_ids] path="\(scratch.file("out.jsonl"))"
    """, options: options, meter: meter)
  #expect(failure == nil)
  return try scratch.lines(of: "out.jsonl")
}

private func isRefused(_ line: JSONValue, _ folder: String) -> Bool {
  line["token_ids"] == nil && line["error"]?["stage"]?.string == "verify"
    && line["error"]?["message"]?.string == "the model's logits are no numbers: \(folder)"
}

private let greedy = "temperature=0"
private let drawn = "temperature=0.7 top-p=0.9 top-k=20"

@Suite struct HostileWeightTests {
  /// Quantised, a NaN must not become a number: its record has an error, not a caption.
  @Test(
    arguments: [
      Damage(tensor: "model.layers.1.mlp.down_proj.weight", index: 77, bits: Damage.nan),
      Damage(tensor: "model.layers.0.self_attn.q_proj.weight", index: nil, bits: Damage.nan),
      Damage(tensor: "model.layers.2.self_attn.o_proj.weight", index: 0, bits: Damage.infinity),
      Damage(tensor: "model.layers.0.self_attn.v_proj.bias", index: 3, bits: Damage.nan),
      Damage(tensor: "model.norm.weight", index: 5, bits: Damage.nan),
      Damage(tensor: "model.embed_tokens.weight", index: nil, bits: Damage.nan),
    ], ["q8", "q4", "f32"])
  private func aModelOfNoNumbersGivesErrorsNotCaptions(damage: Damage, weights: String) throws {
    let scratch = try Scratch()
    let folder = try damage.copy(of: Place.target, scratch)
    for drafter in ["path=none", "path=\"\(Place.massv)\" weights=q8"] {
      for sampling in [greedy, drawn] {
        let meter = Meter()
        let found = try lines(
          target: folder, weights: weights, drafter: drafter, sampling: sampling, scratch, meter)
        #expect(found.count == 4)
        #expect(found.map { $0["key"]?.string } == ["first", "text", "second", "third"])
        for line in found { #expect(isRefused(line, folder), "\(drafter), \(sampling): \(line)") }
        #expect(meter.reading["failed"] == 4)
      }
    }
  }

  /// What is broken in the tower breaks pictures alone.
  @Test(arguments: ["q8", "q4"]) func aTowerOfNoNumbersCostsThePicturesOnly(weights: String) throws {
    let scratch = try Scratch()
    let damage = Damage(tensor: "visual.blocks.1.mlp.down_proj.weight", index: 9, bits: Damage.nan)
    let folder = try damage.copy(of: Place.target, scratch)
    let found = try lines(target: folder, weights: weights, sampling: greedy, scratch)
    let sound = try lines(target: Place.target, weights: weights, sampling: greedy, scratch)
    try #require(found.count == 4 && sound.count == 4)
    for index in [0, 2, 3] { #expect(isRefused(found[index], folder), "\(found[index])") }
    #expect(found[1]["token_ids"]?.array?.compactMap(\.int) == sound[1]["token_ids"]?.array?.compactMap(\.int))
    #expect(sound.allSatisfy { $0["token_ids"]?.array?.count == 8 })
  }

  /// A token whose row of the tied head is no number is never chosen. The rows beside it in its panel stay as they are.
  @Test(arguments: ["q8", "q4", "f32"]) func aTokenOfNoNumbersIsNeverChosen(weights: String) throws {
    let scratch = try Scratch()
    let ids = { (lines: [JSONValue]) in lines.map { $0["token_ids"]?.array?.compactMap(\.int) ?? [] } }
    let sound = ids(try lines(target: Place.target, weights: weights, sampling: greedy, scratch))
    let used = Set(sound.joined())
    let model = try TargetModel(ModelFiles(path: Place.target))
    let prompts = ["Describe this image.", "What is red?"].flatMap { text in
      [true, false].flatMap { model.tokenizer.encodePrompt(model.family.render(ChatTurn(text: text, hasImage: $0))) }
    }
    // A neighbour of one that is written, in its panel, itself neither written nor read.
    let token = try #require(
      used.map { $0 ^ 1 }.sorted().first { !used.contains($0) && !prompts.contains(Int32($0)) })
    let damage = Damage(tensor: "model.embed_tokens.weight", index: 64 * token + 11, bits: Damage.nan)
    let folder = try damage.copy(of: Place.target, scratch)
    let found = ids(try lines(target: folder, weights: weights, sampling: greedy, scratch))
    // What four bits make of a model depends on all its tokens: beside one whose row there is nothing.
    let nothing = Damage(tensor: "model.embed_tokens.weight", index: 64 * token, count: 64, bits: 0)
    let without = try nothing.copy(of: Place.target, scratch, named: "without")
    let beside = ids(try lines(target: without, weights: weights, sampling: greedy, scratch))
    #expect(found == beside && !beside.joined().contains(token) && Set(beside.joined()).count > 4)
    #expect(weights == "q4" || found == sound)
  }

  /// A drafter may be wrong in any way: the target's answers are its own.
  @Test(arguments: [
    Damage(tensor: "model.layers.1.mlp.down_proj.weight", index: nil, bits: Damage.nan),
    Damage(tensor: "model.embed_tokens.weight", index: nil, bits: Damage.infinity),
  ]) private func aDrafterOfNoNumbersChangesNothing(damage: Damage) throws {
    let scratch = try Scratch()
    let folder = try damage.copy(of: Place.massv, scratch)
    // The rejection rule draws tokens of its own, but where one token alone stays there is nothing to draw.
    for sampling in [greedy, drawn, "temperature=0.7 top-k=1 acceptance=rejection"] {
      let alone = try lines(target: Place.target, weights: "q8", sampling: sampling, scratch)
      let drafted = try lines(
        target: Place.target, weights: "q8", drafter: "path=\"\(folder)\" weights=q8", sampling: sampling, scratch)
      let tokens = { (lines: [JSONValue]) in lines.map { $0["token_ids"]?.array?.compactMap(\.int) } }
      #expect(tokens(alone).allSatisfy { $0?.count == 8 })
      #expect(tokens(drafted) == tokens(alone), "\(sampling)")
    }
  }
}
