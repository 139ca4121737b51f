import Foundation
import JSON
import PipeLanguage
import Pipeline
import Samples
import Stages
import Testing

/// Runs the shipped pipe over the first records of the example shard; the output's bytes.
private func distill(
  _ scratch: Scratch, _ parameters: [String] = [], settings: [String] = [], shard: String = Place.exampleShard,
  records: Int = 4, threads: Int = 1, resume: Bool = false, memory: Int? = nil, meter: Meter = Meter()
) throws -> [UInt8] {
  let text = try String(contentsOfFile: Place.root + "/pipelines/distill.pipe", encoding: .utf8)
  let pipe = try BoundPipe(
    SourceText(name: "distill.pipe", text: text), catalog: .standard,
    overrides: Overrides(
      parameters: ["target=\(Place.target)", "max-tokens=12", "seed=5"] + parameters,
      settings: ["read.shards=\(shard)", "emit.path=\(scratch.file("out"))"] + settings))
  var options = RunContext.Options()
  options.limit = records
  options.threads = threads
  options.resume = resume
  options.memory = memory
  try Runner(pipe, context: RunContext(options: options, meter: meter)).run()
  return try scratch.bytes(of: "out")
}

private func samples(_ path: String) throws -> [Sample] {
  let reader = try SampleReader(path: path, limits: SampleLimits())
  var samples: [Sample] = []
  while let sample = reader.next() { samples.append(sample) }
  return samples
}

extension Sample {
  fileprivate func text(_ field: String) -> String? {
    members.first { $0.field == field }.map { String(decoding: $0.bytes, as: UTF8.self) }
  }
}

private let lines = ["format=jsonl", "fields=[key,index,prompt,text,token_ids,temperature,sample,seed]"]

/// Records may ask for themselves, with a picture or without.
@Test func recordsAskWhatTheySay() throws {
  let scratch = try Scratch()
  let picture = try read(Place.root + "/Tests/Fixtures/shapes/shape-00.jpg")
  let json = { (text: String) in Array("{\"prompt\": \"\(text)\"}".utf8) }
  let shard = try scratch.shard(
    "in.tar", [("a", [("json", json("What is red?"))]), ("b", [("jpg", picture), ("json", json("What is blue?"))])])
  let meter = Meter()
  _ = try distill(scratch, ["field=json.prompt", "samples=2", "temperatures=[0]"], shard: shard, meter: meter)
  let found = try samples(scratch.file("out"))
  #expect(meter.reading["failed"] == 0)
  #expect(
    found.map { $0.text("prompt.txt") } == ["What is red?", "What is red?", "What is blue?", "What is blue?"],
    "\(found)")
}

/// What fails before a branch is counted once, what fails in it as well.
@Test func failuresInABranchAreCountedOnce() throws {
  let scratch = try Scratch()
  let shard = try scratch.shard(
    "in.tar", (0..<9).map { ("r\($0)", [($0 % 3 == 0 ? "jpg" : "txt", Array("no picture".utf8))]) })
  for (pipe, failed) in [
    ("decode | tee ( decode read-ahead=4 | emit fields=[key] path=\"\(scratch.file("a"))\" )", 3),
    ("tee ( decode read-ahead=4 | emit fields=[key] path=\"\(scratch.file("b"))\" )", 3),
  ] {
    let meter = Meter()
    let out = "emit fields=[key] path=\"\(scratch.file("c"))\""
    #expect(try run("read shards=\"\(shard)\" | \(pipe) | \(out)", meter: meter) == nil)
    #expect(meter.reading["records"] == 9 && meter.reading["failed"] == failed, "\(pipe): \(meter.reading["failed"])")
  }
}

@Test func everyQuestionHasItsAnswersAndPicturesAndPromptsAreReadOnce() throws {
  let scratch = try Scratch()
  let meter = Meter()
  _ = try distill(
    scratch, ["prompts=[\"What is red?\", \"Describe this image, please.\"]", "samples=3", "temperatures=[0, 1.5]"],
    meter: meter)
  let found = try samples(scratch.file("out"))
  #expect(found.map(\.key) == (0..<4).flatMap { shape in (0..<6).map { "shape-0\(shape)_\($0)" } })
  #expect(meter.reading["records"] == 24 && meter.reading["failed"] == 0)
  #expect(meter.reading["encoded"] == 4 && meter.reading["prompts"] == 8)
  for (place, sample) in found.enumerated() {
    #expect(sample.text("prompt.txt") == (place / 3 % 2 == 0 ? "What is red?" : "Describe this image, please."))
    #expect(sample.text("sample.json") == "\(place % 3)")
    #expect(sample.text("temperature.json") == (place % 3 == 1 ? "1.5" : "0"))
    #expect(sample.text("seed.json") == "5")
    #expect(sample.text("text.txt") != nil && sample.text("token_ids.json")?.hasPrefix("[") == true)
    #expect(sample.members.prefix(3).map(\.field).contains(place / 6 == 2 ? "png" : "jpg"))
  }
  // Greedy answers of one prompt are equal, drawn ones are their own.
  #expect(stride(from: 0, to: 24, by: 3).allSatisfy { found[$0].text("text.txt") == found[$0 + 2].text("text.txt") })
  #expect(stride(from: 0, to: 24, by: 3).contains { found[$0].text("text.txt") != found[$0 + 1].text("text.txt") })
}

@Test func samplesDifferAndTheFirstIsTheOneThatASingleAnswerIs() throws {
  let scratch = try Scratch()
  func ids(_ bytes: [UInt8]) throws -> [[Int]] {
    try scratch.lines(of: "out").map { $0["token_ids"]?.array?.compactMap(\.int) ?? [] }
  }
  let hot = ["temperatures=2", "top-p=1", "prompts=Describe this image."] + lines
  let four = try ids(distill(scratch, hot + ["samples=4"]))
  #expect(Set(four).count == 16)
  let one = try ids(distill(scratch, hot + ["samples=1"]))
  #expect(Set(one).count == 4)
  #expect(one == stride(from: 0, to: 16, by: 4).map { four[$0] })
  // As without `ask`, its key unchanged.
  try run(
    """
    let m = model path="\(Place.target)"
    read shards="\(Place.exampleShard)" max-records=4 | decode | encode model=m
    | prompt model=m text="Describe this image." | verify model=m temperature=2 top-p=1 seed=5 max-tokens=12
    | emit fields=[key, token_ids, sample, temperature, seed] path="\(scratch.file("plain"))"
    """)
  let plain = try scratch.lines(of: "plain")
  #expect(plain.map { $0["token_ids"]?.array?.compactMap(\.int) } == one)
  #expect(plain.map { $0["key"]?.string } == (try scratch.lines(of: "out")).map { $0["key"]?.string })
  #expect(plain[0]["sample"]?.int == 0 && plain[0]["temperature"]?.double == 2 && plain[0]["seed"]?.int == 5)
}

/// A target and what may draft for it.
private struct Pair: CustomTestStringConvertible {
  let target: String
  let massv: String
  var testDescription: String { URL(fileURLWithPath: target).lastPathComponent }

  static let models = Place.root + "/Tests/Fixtures/models/"
  static let all = [
    Pair(target: Place.target, massv: Place.massv),
    Pair(target: models + "gemma3-hub", massv: models + "gemma3-massv"),
    Pair(target: models + "llava-hub", massv: models + "llama-massv"),
  ]
}

@Test(.serialized, arguments: Pair.all)
private func answersDoNotDependOnDrafterGammaThreadsOrRecordsInFlight(pair: Pair) throws {
  let scratch = try Scratch()
  let asked =
    ["target=\(pair.target)", "temperatures=[0,0.7,1,1.3]", "prompts=[\"Describe this image.\",\"Why?\"]"] + lines
  let plain = try distill(scratch, asked, settings: ["verify.in-flight=1"])
  #expect(plain.split(separator: 10).count == 32)
  for (drafter, gamma) in [("none", "auto"), (pair.massv, "auto"), (pair.massv, "1"), (pair.massv, "5")] {
    for (threads, inFlight) in [(1, 1), (2, 4), (2, 64)] {
      let meter = Meter()
      let found = try distill(
        scratch, asked + ["draft=\(drafter)", "gamma=\(gamma)"], settings: ["verify.in-flight=\(inFlight)"],
        threads: threads, meter: meter)
      #expect(found == plain, "drafter \(drafter), γ \(gamma), \(threads) threads, \(inFlight) in flight")
      #expect(meter.reading["prompts"] == 8 && meter.reading["encoded"] == 4)
      #expect(gamma == "auto" || meter.reading["drafted"] > 0)
    }
  }
}

@Test func littleMemoryChangesNoAnswer() throws {
  let scratch = try Scratch()
  let asked = ["draft=\(Place.massv)", "gamma=2"]
  let plain = try distill(scratch, asked)
  for memory in [1, 300_000, 2_000_000] { #expect(try distill(scratch, asked, memory: memory) == plain, "\(memory)") }
}

/// What a resumed run does alone was shared in the whole one: prompts are read anew where the cut lies between siblings.
@Test(arguments: ["tar", "llava"]) private func aCutOutputIsResumedToTheSameBytes(format: String) throws {
  let scratch = try Scratch()
  let asked = [
    "draft=\(Place.massv)", "gamma=2", "format=\(format)", "samples=3", "prompts=[\"Describe this image.\",\"Why?\"]",
  ]
  let whole = try distill(scratch, asked, records: 3)
  var cuts = [0, whole.count / 2 + 17, whole.count]
  if format == "tar" {
    for sample in try samples(scratch.file("out")) { cuts += [sample.offset, sample.offset + 700] }
  } else {
    cuts += whole.indices.filter { whole[$0] == 10 }.map { $0 + 1 }
  }
  #expect(cuts.count >= 18)
  for cut in Set(cuts).sorted() {
    _ = try scratch.write(Array(whole[..<cut]), to: "out")
    let meter = Meter()
    #expect(try distill(scratch, asked, records: 3, resume: true, meter: meter) == whole, "cut at \(cut)")
    // Nothing is done for what is there already.
    if cut == whole.count { #expect(meter.reading["encoded"] == 0 && meter.reading["tokens"] == 0) }
  }
}

@Test func anOutputOfOtherRecordsIsNotResumed() throws {
  let scratch = try Scratch()
  let whole = try distill(scratch, lines)
  _ = try scratch.write(
    Array(whole.split(separator: 10).dropFirst(3).prefix(2).joined(separator: [10])) + [10], to: "out")
  var message = ""
  do { _ = try distill(scratch, lines.map { $0.replacing("index,", with: "") }, resume: true) } catch let error
    as RunFailure
  {
    message = error.message
  }
  #expect(message.contains("its last record is \"shape-00_4\", record 1 of the input is \"shape-00_1\""))
  _ = try scratch.write(whole, to: "out")
  message = ""
  do { _ = try distill(scratch, lines, records: 1, resume: true) } catch let error as RunFailure {
    message = error.message
  }
  #expect(message.contains("it has 48 records, the input only 12"))
}

private let conversation = Array(
  #"""
  {"id": "x", "image": "x.jpg", "conversations": [
    {"from": "human", "value": "<image>\nWhat is this?"}, {"from": "gpt", "value": "A shape."},
    {"from": "human", "value": "Which colour?"}, {"from": "gpt", "value": "Red."}]}
  """#.utf8)

@Test func llavaConversationsGoInAndComeOut() throws {
  let scratch = try Scratch()
  let jpg = try read(Place.root + "/Tests/Fixtures/shapes/shape-04.jpg")
  let shard = try scratch.shard("in.tar", [("x", [("jpg", jpg), ("json", conversation)])])
  let asked = ["samples=2", "format=llava"]
  _ = try distill(scratch, asked, settings: ["ask.field=json.conversations"], shard: shard)
  let found = try scratch.lines(of: "out")
  #expect(found.map { $0["id"]?.string } == ["x_0", "x_1", "x_2", "x_3"])
  #expect(found.allSatisfy { $0["image"]?.string == "x.jpg" })
  let asked2 = found.map { $0["conversations"]?.array?.first?["value"]?.string }
  #expect(
    asked2 == ["<image>\nWhat is this?", "<image>\nWhat is this?", "<image>\nWhich colour?", "<image>\nWhich colour?"])
  #expect(found.allSatisfy { $0["conversations"]?.array?.last?["from"]?.string == "gpt" })
  // `prompt` alone asks the first.
  try run(
    """
    let m = model path="\(Place.target)"
    read shards="\(shard)" | decode | encode model=m | prompt model=m field=json.conversations
    | generate model=m max-tokens=2 | emit fields=[key, prompt] path="\(scratch.file("first"))"
    """)
  #expect(
    String(decoding: try scratch.bytes(of: "first"), as: UTF8.self) == "{\"key\":\"x\",\"prompt\":\"What is this?\"}\n")
}

@Test func aBadRecordCostsItselfOnly() throws {
  let scratch = try Scratch()
  let jpg = ("jpg", try read(Place.root + "/Tests/Fixtures/shapes/shape-04.jpg"))
  func json(_ text: String) -> (String, [UInt8]) { ("json", Array(text.utf8)) }
  let shard = try scratch.shard(
    "in.tar",
    [
      ("good", [jpg, json(#"{"conversations": ["One?", "Two?"]}"#)]), ("torn", [jpg, json(#"{"conversations": [1"#)]),
      ("none", [jpg]), ("silent", [jpg, json(#"{"conversations": [{"from": "gpt", "value": "x"}]}"#)]),
      ("empty", [jpg, json(#"{"conversations": []}"#)]), ("one", [jpg, json(#"{"conversations": "Three?"}"#)]),
      ("broken", [("jpg", [1, 2, 3]), json(#"{"conversations": ["One?", "Two?"]}"#)]),
    ])
  let meter = Meter()
  _ = try distill(
    scratch, lines + ["samples=1"], settings: ["ask.field=json.conversations"], shard: shard, records: 99, meter: meter)
  let found = try scratch.lines(of: "out")
  #expect(
    found.map { $0["key"]?.string }
      == ["good_0", "good_1", "torn", "none", "silent", "empty", "one", "broken_0", "broken_1"])
  let stages = found.map { $0["error"]?["stage"]?.string ?? "" }
  #expect(stages == ["", "", "ask", "ask", "ask", "ask", "", "decode", "decode"])
  let messages = found.map { $0["error"]?["message"]?.string ?? "" }
  #expect(messages[2].hasPrefix("torn.json: byte ") && messages[3] == "expected a .json member, found none")
  #expect(messages[4] == "silent.json: \"conversations\": expected a turn from \"human\", found none")
  #expect(messages[5].hasSuffix("expected a string or a list of strings, found a list of 0"))
  #expect(messages[7].hasPrefix("broken.jpg: ") && messages[7] == messages[8])
  #expect(found.map { $0["index"]?.int ?? -1 } == [0, 1, -1, -1, -1, -1, 6, -1, -1])
  #expect(meter.reading["records"] == 9 && meter.reading["failed"] == 6)
}

@Test func textsAndNumbersAreReadAsListsOrAlone() throws {
  func message(_ argument: String) -> String {
    let text =
      "param prompts = \"Describe this image.\"\nparam temperatures = none\n"
      + "read | ask prompts=$prompts temperatures=$temperatures | emit fields=[key]"
    do throws(PipeErrors) {
      _ = try BoundPipe(
        SourceText(name: "a.pipe", text: text), catalog: .standard, overrides: Overrides(parameters: [argument]))
      return ""
    } catch {
      return error.diagnostics.map(\.description).joined()
    }
  }
  for good in [
    "prompts=Describe, please.", "prompts=[\"One, two?\", \"Three?\"]", "prompts=[What is this?, Why?]", "prompts=none",
    "prompts=7", "temperatures=0.7", "temperatures=0,0.7", "temperatures=[0, 0.7,1]", "temperatures=none",
  ] { #expect(message(good) == "", "\(good)") }
  for bad in ["prompts=[\"One, two?]", "prompts=[\"One?\", \"\"]", "prompts=[One?,,Two?]"] {
    #expect(message(bad).contains("\"prompts\": expected a text, a list of texts"), "\(bad)")
  }
  for bad in ["temperatures=warm", "temperatures=[0,-1]", "temperatures=[0,,1]", "temperatures=101"] {
    #expect(message(bad).contains("\"temperatures\": expected numbers from 0 to 100"), "\(bad)")
  }
}
