import Foundation
import Pipeline
import Testing

/// What must not change an answer.
private struct Setting: CustomStringConvertible {
  let drafter: String
  let gamma: String
  let threads: Int
  let inFlight: Int
  var description: String { "drafter \(drafter), γ \(gamma), \(threads) threads, \(inFlight) in flight" }

  static func all(_ family: Family) -> [Setting] {
    ["none", family.text, family.massv].flatMap { drafter in
      ["auto", "1", "2", "5", "8"].flatMap { gamma in
        [1, 2].flatMap { threads in
          [1, 4].map { Setting(drafter: drafter, gamma: gamma, threads: threads, inFlight: $0) }
        }
      }
    }
  }
}

/// A target and its two drafters.
private struct Family: CustomTestStringConvertible {
  let target: String
  let text: String
  let massv: String
  var testDescription: String { URL(fileURLWithPath: target).lastPathComponent }

  static let models = Place.root + "/Tests/Fixtures/models/"
  static let qwen = Family(target: Place.target, text: Place.text, massv: Place.massv)
  static let all = [
    qwen,
    Family(target: models + "gemma3-hub", text: models + "gemma3-text", massv: models + "gemma3-massv"),
    Family(target: models + "llava-hub", text: models + "llama-text", massv: models + "llama-massv"),
  ]
}

private func output(
  _ family: Family, _ setting: Setting, _ sampling: String, _ scratch: Scratch, _ meter: Meter = Meter()
) throws -> [UInt8] {
  var options = RunContext.Options()
  options.threads = setting.threads
  let failure = try run(
    """
    let target  = model   path="\(family.target)"
    let drafter = drafter path="\(setting.drafter)" target=target
    read shards="\(Place.exampleShard)" | decode | encode model=target | project model=drafter
    | prompt model=target text="Describe this image." | draft model=drafter tokens=\(setting.gamma)
    | verify model=target \(sampling) seed=3 max-tokens=20 in-flight=\(setting.inFlight)
    | emit fields=[key, text, token_ids] path="\(scratch.file("out.jsonl"))"
    """, options: options, meter: meter)
  #expect(failure == nil)
  return try scratch.bytes(of: "out.jsonl")
}

@Test(.serialized, arguments: Family.all, ["temperature=0", "temperature=0.7 top-p=0.9", "temperature=1"])
private func outputDoesNotDependOnDrafterGammaThreadsOrRecordsInFlight(family: Family, sampling: String) throws {
  let scratch = try Scratch()
  let first = Setting(drafter: "none", gamma: "1", threads: 1, inFlight: 1)
  let plain = try output(family, first, sampling, scratch)
  #expect(plain.split(separator: 10).count == 12)
  var accepted = 0
  let settings = Setting.all(family)
  for setting in settings {
    let meter = Meter()
    #expect(try output(family, setting, sampling, scratch, meter) == plain, "\(sampling), \(setting)")
    accepted += meter.reading["accepted"]
  }
  #expect(settings.count == 60)
  // Both accepting and rejecting were at work.
  #expect(accepted > 500)
}

@Test(arguments: Family.all) private func neighboursDoNotChangeAnAnswer(family: Family) throws {
  let scratch = try Scratch()
  let members = { (name: String) throws in [("jpg", try read(Place.root + "/Tests/Fixtures/shapes/\(name).jpg"))] }
  let shard = try scratch.shard(
    "a.tar",
    [
      ("first", members("shape-04")), ("text", [("txt", Array("What is red?".utf8))]), ("second", members("shape-07")),
      ("broken", [("jpg", [1, 2, 3])]), ("third", members("shape-04")),
    ])
  let pipe = { (shard: String, out: String) in
    """
    let m = model path="\(family.target)"
    read shards="\(shard)" | decode | encode model=m | prompt model=m text="Describe." | generate model=m temperature=0 max-tokens=12
    | emit fields=[token_ids] path="\(scratch.file(out))"
    """
  }
  try run(pipe(shard, "all"))
  let alone = try scratch.shard("b.tar", [("second", members("shape-07"))])
  try run(pipe(alone, "one"))
  let lines = try scratch.bytes(of: "all").split(separator: 10).map(Array.init)
  #expect(lines.count == 5)
  #expect(lines[2] == (try scratch.bytes(of: "one").dropLast()).map { $0 })
  #expect(lines[0] == lines[4])
  #expect(String(decoding: lines[1], as: UTF8.self).hasPrefix("{\"token_ids\":["))
  #expect(String(decoding: lines[3], as: UTF8.self).contains("\"stage\":\"decode\""))
}

@Test func rejectionRunsAndEndsWhereTheTargetEnds() throws {
  let scratch = try Scratch()
  let setting = Setting(drafter: Place.massv, gamma: "5", threads: 2, inFlight: 4)
  let once = try output(.qwen, setting, "temperature=1 acceptance=rejection", scratch)
  #expect(try output(.qwen, setting, "temperature=1 acceptance=rejection", scratch) == once)
  // At temperature 0 there is nothing to reject by chance: the rules are one.
  #expect(
    try output(.qwen, setting, "temperature=0 acceptance=rejection", scratch)
      == output(.qwen, setting, "temperature=0", scratch))
}
