import Foundation
import JSON
import Models
import Pipeline
import Tensors
import Testing

/// What a target computes with, which may change its answers: each has answers of its own.
private struct Precision: CustomTestStringConvertible {
  let weights: String
  let cache: String
  var testDescription: String { "weights \(weights), kv \(cache)" }
  var arguments: String { "weights=\(weights) kv=\(cache)" }

  static let all =
    WeightFormat.allCases.map { Precision(weights: $0.rawValue, cache: "auto") } + [
      Precision(weights: "f32", cache: "f16"), Precision(weights: "q8", cache: "f32"),
    ]
}

/// What must not change an answer.
private struct Setting: CustomStringConvertible {
  /// Arguments of the drafter.
  let drafter: String
  let gamma: String
  let threads: Int
  let inFlight: Int
  var description: String { "drafter \(drafter), γ \(gamma), \(threads) threads, \(inFlight) in flight" }

  static let plain = Setting(drafter: "path=none", gamma: "auto", threads: 1, inFlight: 1)

  private static func settings(_ drafter: String, _ gammas: [String]) -> [Setting] {
    gammas.flatMap { gamma in
      [1, 2].flatMap { threads in
        [1, 4].map { Setting(drafter: drafter, gamma: gamma, threads: threads, inFlight: $0) }
      }
    }
  }

  static let all =
    settings("path=none", ["auto", "5"]) + settings("path=\"\(Place.massv)\"", ["auto", "5"])
    + settings("path=\"\(Place.massv)\" weights=q8", ["5"]) + settings("path=\"\(Place.massv)\" weights=q4", ["auto"])
}

/// More records than are in flight, so that one takes another's place; prompts of several lengths, one without a picture.
private func shard(_ scratch: Scratch) throws -> String {
  let root = Place.root + "/"
  let pictures = [
    "Tests/Fixtures/shapes/shape-00.jpg", "Tests/Fixtures/shapes/shape-04.jpg", "Tests/Fixtures/shapes/shape-07.jpg",
  ]
  var samples: [(key: String, members: [(String, [UInt8])])] = []
  for path in pictures { samples.append(("p\(samples.count)", [("jpg", try read(root + path))])) }
  samples.insert(("text", [("txt", Array("What is red?".utf8))]), at: 1)
  samples.append(("tile", [("png", try read(root + "Tests/Fixtures/images/tile-28x28.png"))]))
  return try scratch.shard("in.tar", samples)
}

private func output(
  _ precision: Precision, _ setting: Setting, _ sampling: String, _ shard: String, _ scratch: Scratch,
  _ meter: Meter = Meter()
) throws -> [UInt8] {
  var options = RunContext.Options()
  options.threads = setting.threads
  let failure = try run(
    """
    let target  = model   path="\(Place.target)" \(precision.arguments)
    let drafter = drafter \(setting.drafter) target=target
    read shards="\(shard)" | decode | encode model=target | project model=drafter
    | prompt model=target text="Describe this image." | draft model=drafter tokens=\(setting.gamma)
    | verify model=target \(sampling) seed=3 max-tokens=10 in-flight=\(setting.inFlight)
    | emit fields=[key, text, token_ids] path="\(scratch.file("out.jsonl"))"
    """, options: options, meter: meter)
  #expect(failure == nil)
  return try scratch.bytes(of: "out.jsonl")
}

@Suite(.serialized) struct WeightInvarianceTests {
  @Test(arguments: Precision.all, ["temperature=0", "temperature=0.7 top-p=0.9"])
  private func answersInAnyFormatDoNotDependOnTheDrafterOrTheRecordsAround(
    precision: Precision, sampling: String
  ) throws {
    let scratch = try Scratch()
    let shard = try shard(scratch)
    let plain = try output(precision, .plain, sampling, shard, scratch)
    let lines = try scratch.lines(of: "out.jsonl")
    #expect(lines.count == 5)
    #expect(lines.allSatisfy { $0["text"]?.string?.isEmpty == false }, "an answer is missing")
    // Answers that are all alike would hide one record's state in another's.
    #expect(Set(lines.map { $0["text"]?.string }).count >= 4)
    var drafted = 0
    var accepted = 0
    for setting in Setting.all {
      let meter = Meter()
      #expect(
        try output(precision, setting, sampling, shard, scratch, meter) == plain,
        "\(precision.testDescription), \(sampling), \(setting)")
      drafted += meter.reading["drafted"]
      accepted += meter.reading["accepted"]
    }
    #expect(Setting.all.count == 24)
    print("\(precision.testDescription), \(sampling): \(accepted) of \(drafted) drafts accepted")
    // Both accepting and rejecting were at work.
    #expect(accepted > 50 && drafted - accepted > 50)
  }

  /// Were the arguments passed over, the test above would compare one precision with itself.
  @Test func thePipeComputesInThePrecisionThatItNames() throws {
    let scratch = try Scratch()
    let shard = try shard(scratch)
    // One is stored in f32, so that every other format rounds. Long hot answers meet many near ties: what is rounded
    // away shows in one of them.
    let models = [Place.root + "/Tests/Fixtures/models/qwen25vl-v5", Place.target]
    let outputs = try Precision.all.map { precision in
      try models.flatMap { model in
        try ["1", "2", "4"].flatMap { temperature in
          let failure = try run(
            """
            let m = model path="\(model)" \(precision.arguments)
            read shards="\(shard)" | decode | encode model=m | prompt model=m text="Describe this image."
            | generate model=m temperature=\(temperature) top-k=0 top-p=1 max-tokens=250
            | emit fields=[token_ids] path="\(scratch.file("out"))"
            """)
          #expect(failure == nil)
          return try scratch.bytes(of: "out").split(separator: UInt8(ascii: "\n"))
        }
      }
    }
    #expect(Set(outputs).count == Precision.all.count)
  }
}
