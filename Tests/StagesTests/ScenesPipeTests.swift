import Foundation
import Images
import JSON
import PipeLanguage
import Pipeline
import Samples
import Stages
import Testing

private let shippedPipe = Place.root + "/pipelines/scenes.pipe"

/// What the shipped pipe writes.
private func shard(_ parameters: [String], into name: String, _ scratch: Scratch, limit: Int? = nil) throws -> [UInt8] {
  let text = try String(contentsOfFile: shippedPipe, encoding: .utf8) + " path=\"\(scratch.file(name))\""
  var options = RunContext.Options()
  options.limit = limit
  #expect(try run(text, parameters: parameters, options: options) == nil)
  return try scratch.bytes(of: name)
}

private func samples(_ path: String) throws -> [Sample] {
  let reader = try SampleReader(path: path, limits: SampleLimits())
  var samples: [Sample] = []
  while let sample = reader.next() { samples.append(sample) }
  return samples
}

private func json(_ sample: Sample) throws -> JSONValue {
  try JSONValue(parsing: try #require(sample.members.first { $0.field == "json" }).bytes)
}

@Test func scenesAreTheSameBytesEveryTime() throws {
  let scratch = try Scratch()
  let tasks = "tasks=[captions, details, questions, text]"
  let first = try shard(["count=60", "seed=5", tasks], into: "a.tar", scratch)
  #expect(try shard(["count=60", "seed=5", tasks], into: "b.tar", scratch) == first)
  #expect(try shard(["count=60", "seed=6", tasks], into: "c.tar", scratch) != first)
  // A record alone is what it is among the others.
  _ = try shard(["count=1", "first=41", "seed=5", tasks], into: "alone.tar", scratch)
  let alone = try #require(try samples(scratch.file("alone.tar")).first)
  let among = try samples(scratch.file("a.tar"))[41]
  #expect(alone.key == "scene-0000041" && among.key == alone.key)
  #expect(alone.members.map(\.field) == among.members.map(\.field))
  #expect(alone.members.map(\.bytes) == among.members.map(\.bytes))
}

@Test func oneTaskOfManyMayBeOfTheOtherStyle() throws {
  let scratch = try Scratch()
  _ = try shard(["count=60", "seed=5", "tasks=[captions, drawn]"], into: "a.tar", scratch)
  _ = try shard(["count=60", "seed=5", "tasks=[captions]", "style=drawn"], into: "b.tar", scratch)
  var drawn = 0
  for (mixed, other) in zip(try samples(scratch.file("a.tar")), try samples(scratch.file("b.tar"))) {
    let truth = try json(mixed)
    let isDrawn = truth["task"]?.string == "drawn"
    #expect(truth["style"]?.string == (isDrawn ? "drawn" : "plain"))
    // Picture, prompt and answer are those of the style.
    #expect((mixed.members.prefix(3).map(\.bytes) == other.members.prefix(3).map(\.bytes)) == isDrawn)
    drawn += isDrawn ? 1 : 0
  }
  #expect((20...40).contains(drawn))
}

@Test func aRecordHoldsPictureTextAndTruth() throws {
  let scratch = try Scratch()
  _ = try shard(["count=200", "tasks=[captions, text, questions]", "quality=auto"], into: "a.tar", scratch)
  let samples = try samples(scratch.file("a.tar"))
  #expect(samples.count == 200)
  for sample in samples {
    let truth = try json(sample)
    let task = truth["task"]?.string
    let fields = ["jpg", "prompt.txt", "txt", "json"]
    #expect(sample.members.map(\.field) == (task == "text" ? Array(fields.dropFirst()) : fields))
    #expect((truth["fact"] != nil) == (task == "questions"))
    #expect(truth["objects"]?.array?.count == truth["count"]?.int)
    let answer = sample.members.first { $0.field == "txt" }.map { String(decoding: $0.bytes, as: UTF8.self) }
    if task != "questions" { #expect(truth["caption"]?.string == answer) }
    guard task != "text" else { continue }
    let picture = try Picture(decoding: sample.members[0].bytes)
    #expect(picture.width == 96 && picture.height == 96)
    #expect(truth["cells"]?.array?.count == 36 && truth["textures"]?.array?.count == 36)
    #expect(truth["light"]?.string != nil && truth["background"]?["tones"]?.array?.isEmpty == false)
  }
}

@Test(arguments: ["read-ahead=0", "read-ahead=4"]) func scenesEndWhereTheyAreTold(argument: String) throws {
  let scratch = try Scratch()
  func keys(_ stages: String, limit: Int? = nil) throws -> [String] {
    var options = RunContext.Options()
    options.limit = limit
    #expect(try run("scenes \(argument) size=16 \(stages) path=\"\(scratch.file("o"))\"", options: options) == nil)
    return try scratch.lines(of: "o").compactMap { $0["key"]?.string }
  }
  let emit = "| emit fields=[key]"
  #expect(try keys("count=0 \(emit)") == [])
  #expect(try keys("count=3 \(emit)") == ["scene-0000000", "scene-0000001", "scene-0000002"])
  #expect(try keys("count=9 \(emit)", limit: 2).count == 2)
  #expect(try keys("count=9 max-records=4 \(emit)").count == 4)
  #expect(try keys("| limit records=5 \(emit)").count == 5)
  #expect(
    try keys("count=3 | repeat epochs=2 \(emit)") == (try keys("count=3 \(emit)")) + (try keys("count=3 \(emit)")))
}

@Test(arguments: ["", "| repeat epochs=2", "| repeat epochs=2 | shuffle buffer=7 seed=1"])
func resumedScenesAreTheSameBytes(stages: String) throws {
  let scratch = try Scratch()
  let out = scratch.file("o.tar")
  let pipe = "scenes count=40 size=32 \(stages) | emit format=tar fields=[key] path=\"\(out)\""
  #expect(try run(pipe) == nil)
  let whole = try scratch.bytes(of: "o.tar")
  var options = RunContext.Options()
  options.resume = true
  for share in [0.0, 0.31, 0.5, 0.93, 1] {
    _ = try scratch.write(Array(whole.prefix(Int(Double(whole.count) * share))), to: "o.tar")
    #expect(try run(pipe, options: options) == nil)
    #expect(try scratch.bytes(of: "o.tar") == whole)
  }
  // Another seed has the same keys and cannot be told; fewer records can.
  let fewer = pipe.replacing("count=40", with: "count=3")
  if stages.isEmpty { #expect(try run(fewer, options: options)?.message.contains("cannot be resumed") == true) }
}

@Test func drawnRecordsAreWhatReadFindsInTheirTar() throws {
  let scratch = try Scratch()
  let source = "scenes count=30 seed=3 tasks=[captions, questions]"
  let rest = "| decode | facts field=txt | emit fields=[key, width, height, sha256, json.caption, facts, facts_by_kind]"
  let tar = scratch.file("s.tar")
  #expect(try run("\(source) | emit format=tar fields=[key] path=\"\(tar)\"") == nil)
  #expect(try run("\(source) \(rest) path=\"\(scratch.file("a"))\"") == nil)
  #expect(try run("read shards=\"\(tar)\" \(rest) path=\"\(scratch.file("b"))\"") == nil)
  #expect(try scratch.bytes(of: "a") == scratch.bytes(of: "b"))
  #expect(try scratch.lines(of: "a").count == 30)
}

@Test func badSceneArgumentsAreErrorsOfThePipe() throws {
  func message(_ arguments: String) -> String? {
    do throws(PipeErrors) {
      _ = try BoundPipe(
        SourceText(name: "a.pipe", text: "scenes \(arguments) | emit fields=[key]"), catalog: .standard)
      return nil
    } catch { return error.diagnostics.map(\.description).joined() }
  }
  #expect(message("") == nil && message("tasks=text") == nil && message("tasks=[text, text, details]") == nil)
  #expect(message("tasks=[]")?.contains("found an empty list") == true)
  #expect(message("tasks=[caption]")?.contains("did you mean \"captions\"?") == true)
  #expect(message("min-objects=3 max-objects=2")?.contains("found 3 and 2") == true)
  #expect(message("min-objects=0")?.contains("from 1 to 5") == true)
  #expect(message("style=fancy")?.contains("expected plain|drawn") == true)
  #expect(message("count=-1") != nil && message("size=0") != nil && message("quality=101") != nil)
  #expect(message("cells=0") != nil && message("seed=x") != nil)
  #expect(message("| facts")?.contains("reads \"text\"") == true)
}

@Test func factsAreJudgedByTheRecord() throws {
  let scratch = try Scratch()
  let object = #"{"shape":"star","colour":"red","size":"large","texture":"plain","place":"top left"}"#
  func judged(_ text: String, _ json: String) throws -> JSONValue {
    let members = [("txt", Array(text.utf8)), ("json", Array(json.utf8))]
    let tar = try scratch.shard("a.tar", [(key: "a", members: members)])
    let pipe = "read shards=\"\(tar)\" | facts field=txt | emit fields=[facts, facts_right, facts_by_kind]"
    #expect(try run(pipe + " path=\"\(scratch.file("o"))\"") == nil)
    return try #require(try scratch.lines(of: "o").first)
  }
  let right = try judged("There is one shape. It is a red star at the top.", #"{"objects":[\#(object)]}"#)
  #expect(right["facts"]?.int == 4 && right["facts_right"]?.int == 3)
  #expect(right["facts_by_kind"]?["place"]?["said"]?.int == 1 && right["facts_by_kind"]?["place"]?["right"]?.int == 0)
  let answer = try judged(
    "It is red.", #"{"fact":{"kind":"colour","value":"red"},"objects":[\#(object)]}"#)
  #expect(answer["facts"]?.int == 1 && answer["facts_right"]?.int == 1)
  func error(_ json: String, _ text: String = "") throws -> String? {
    try judged(text, json)["error"]?["message"]?.string
  }
  #expect(try error("{}")?.contains("expected \"objects\"") == true)
  #expect(try error("[")?.contains("a.json") == true)
  #expect(try error(#"{"objects":[{"shape":"cube"}]}"#)?.contains("in known words") == true)
  #expect(
    try error(#"{"objects":[\#(String(repeating: object + ",", count: 9) + object)]}"#)?.contains("9 at most") == true)
  #expect(try error(#"{"objects":[],"fact":{"kind":"taste","value":"sweet"}}"#)?.contains("a known kind") == true)
  #expect(
    try error(#"{"objects":[]}"#, String(repeating: "a ", count: 40_000))?.contains("at most 65536 bytes") == true)
}
