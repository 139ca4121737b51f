import Foundation
import JSON
import PipeLanguage
import Pipeline
import Testing

/// The shipped pipe on the example shard with random models.
@Suite struct EvaluateTests {
  private static let random = Place.root + "/Tests/Fixtures/models/massv"

  @discardableResult
  private func evaluate(
    _ scratch: Scratch, _ parameters: [String] = [], settings: [String] = [], shard: String = Place.exampleShard,
    records: Int = 4, options: RunContext.Options = .init(), meter: Meter = Meter(), name: String = "log"
  ) throws -> [JSONValue] {
    let text = try String(contentsOfFile: Place.root + "/pipelines/evaluate.pipe", encoding: .utf8)
    let pipe = try BoundPipe(
      SourceText(name: "evaluate.pipe", text: text), catalog: .standard,
      overrides: Overrides(
        parameters: [
          "target=\(Place.target)", "draft=\(Place.massv)", "text=\(Place.text)", "fixed=none", "shards=\(shard)",
          "max-tokens=16", "seed=5", "log=\(scratch.file(name))",
        ] + parameters,
        settings: settings))
    var options = options
    options.limit = records
    try Runner(pipe, context: RunContext(options: options, meter: meter)).run()
    return try scratch.lines(of: name)
  }

  private func strings(_ lines: [JSONValue], _ name: String) -> [String] { lines.map { $0[name]?.string ?? "" } }

  private func integers(_ line: JSONValue, _ name: String) -> [Int] { line[name]?.array?.compactMap(\.int) ?? [] }

  private func line(
    _ lines: [JSONValue], _ method: String, _ temperature: Double = 0, gamma: Int? = 5
  ) throws -> JSONValue {
    try #require(
      lines.first {
        $0["method"]?.string == method && $0["temperature"]?.double == temperature && $0["gamma"]?.int == gamma
      })
  }

  @Test func everyMethodHasItsLinesAndNoneChangesAToken() throws {
    let scratch = try Scratch()
    let meter = Meter()
    let lines = try evaluate(
      scratch,
      [
        "fixed=\(Self.random)", "tuned=\(Self.random)", "phase1=\(Self.random)", "wrong-picture=true",
        "gammas=[1, 5, 3]",
        "details=\(scratch.file("details"))",
      ], meter: meter)
    let methods = [
      "plain", "ngram", "ngram", "text-only", "text-only", "text-only-tuned", "text-only-tuned", "fixed", "fixed",
      "phase1", "massv", "massv", "massv", "massv", "massv-wrong-picture",
    ]
    #expect(strings(lines, "method") == methods + methods)
    #expect(strings(lines, "task").allSatisfy { $0 == "captions" })
    #expect(lines.map { $0["gamma"]?.int ?? -1 }.prefix(15) == [0, 5, -1, 5, -1, 5, -1, 5, -1, 5, 5, 1, 3, -1, 5])
    #expect(lines.allSatisfy { $0["identical"]?.bool == true })
    for line in lines { try check(line) }
    #expect(try line(lines, "plain", gamma: 0)["mal"]?.double == 0)
    #expect(try line(lines, "massv-wrong-picture")["records"]?.int == 3)
    #expect(meter.reading["records"] == 4 && meter.reading["failed"] == 0)
    // The text-only drafter is the target's language model with a little noise.
    for temperature in [0.0, 1] {
      let near = try #require(try line(lines, "text-only", temperature)["tvd"]?.double)
      let far = try #require(try line(lines, "fixed", temperature)["tvd"]?.double)
      #expect(near < far && far <= 1)
    }
    try checkDetails(scratch, lines)
  }

  /// Counts of a line fit together.
  private func check(_ line: JSONValue) throws {
    let (tokens, rounds) = (try #require(line["tokens"]?.int), try #require(line["rounds"]?.int))
    let (drafted, accepted) = (try #require(line["drafted"]?.int), try #require(line["accepted"]?.int))
    let records = try #require(line["records"]?.int)
    #expect(accepted == integers(line, "accepted_by_position").reduce(0, +))
    let examined = integers(line, "examined_by_position")
    #expect(integers(line, "accepted_by_position").count == examined.count)
    #expect(examined == examined.sorted(by: >) && examined.reduce(0, +) <= drafted)
    // Unless a proposal ended an answer, each round adds a token of the target's own.
    #expect(((accepted + rounds - records)...(accepted + rounds)).contains(tokens - records))
    let mal = try #require(line["mal"]?.double)
    #expect(abs(mal - Double(accepted) / Double(rounds)) < 1e-4)
    let interval = (line["mal_ci"]?.array ?? []).compactMap(\.double)
    #expect(interval.count == 2 && interval[0] <= mal && mal <= interval[1])
    let hasDistances = !["plain", "ngram"].contains(line["method"]?.string ?? "")
    #expect((line["tvd"]?.double != nil) == hasDistances)
    #expect(integers(line, "tvd_histogram").reduce(0, +) == (hasDistances ? tokens : 0))
    for name in ["tokens_per_s", "whole_tokens_per_s", "speed_vs_plain", "whole_speed_vs_text_only"] {
      #expect(try #require(line[name]?.double) > 0)
    }
    for phase in ["decode", "encode", "prefill", "verify"] {
      #expect(try #require(line["seconds"]?[phase]?.double) > 0, "\(phase)")
    }
  }

  private func checkDetails(_ scratch: Scratch, _ lines: [JSONValue]) throws {
    let details = try scratch.lines(of: "details")
    #expect(details.count == 2 * (4 * 14 + 3))
    #expect(Set(strings(details, "key")) == ["shape-00", "shape-01", "shape-02", "shape-03"])
    for name in ["tokens", "rounds", "drafted", "accepted"] {
      #expect(details.reduce(0) { $0 + ($1[name]?.int ?? 0) } == lines.reduce(0) { $0 + ($1[name]?.int ?? 0) })
    }
    for line in details {
      let ids = integers(line, "token_ids")
      #expect(ids.count == line["tokens"]?.int && integers(line, "stood").count == ids.count)
      #expect(integers(line, "stood").reduce(0, +) == line["accepted"]?.int)
      #expect(integers(line, "accepted_by_round").count == line["rounds"]?.int)
      let pieces = (line["pieces"]?.array ?? []).compactMap(\.string)
      #expect(pieces.count == ids.count && pieces.joined().hasPrefix(line["text"]?.string ?? "-"))
    }
  }

  @Test func runsDifferInTheirTimesAlone() throws {
    let scratch = try Scratch()
    let names = [
      "method", "task", "records", "tokens", "rounds", "drafted", "mal", "mal_ci", "mal_with_bonus_ci", "tvd", "tvd_ci",
      "tvd_histogram", "acceptance_by_position", "identical",
    ]
    func sums(_ name: String, threads: Int) throws -> [String] {
      var options = RunContext.Options()
      options.threads = threads
      return try evaluate(scratch, settings: ["evaluate.auto=false"], options: options, name: name).map { line in
        names.map { line[$0].map { "\($0)" } ?? "" }.joined(separator: " ")
      }
    }
    let first = try sums("a", threads: 1)
    #expect(first.count == 8)
    #expect(try sums("b", threads: 2) == first)
  }

  @Test func missingDraftersLeaveTheirMethodsOut() throws {
    let scratch = try Scratch()
    let few = try evaluate(
      scratch, ["draft=none", "text=none", "wrong-picture=true", "temperatures=0"],
      settings: ["evaluate.ngram=false", "evaluate.tvd=false"], records: 2)
    #expect(strings(few, "method") == ["plain"] && few[0]["speed_vs_text_only"]?.isNull == true)
    let some = try evaluate(
      scratch, ["text=ngram", "draft=none", "temperatures=[0, 0]"], settings: ["evaluate.auto=false"], records: 2)
    #expect(strings(some, "method") == ["plain", "ngram", "text-only"])
    #expect(some[2]["mal"]?.double == some[1]["mal"]?.double && some[2]["tvd"]?.isNull == true)
    try run(
      """
      let m = model path="\(Place.target)"
      read shards="\(Place.exampleShard)" max-records=2 | decode | encode model=m | prompt model=m text="Why?"
      | evaluate model=m max-tokens=4 log="\(scratch.file("bare"))"
      """)
    #expect(strings(try scratch.lines(of: "bare"), "method") == ["plain", "ngram", "ngram", "plain", "ngram", "ngram"])
  }

  @Test func aReportShowsPicturesOnceAndNamesNoPlaces() throws {
    let scratch = try Scratch()
    let pictures = try ["shape-00.jpg", "shape-02.png"].map { try read(Place.root + "/Tests/Fixtures/shapes/" + $0) }
    let shard = try scratch.shard(
      "some.tar",
      [
        ("first", [("jpg", pictures[0])]), ("again", [("jpg", pictures[0])]), ("second", [("png", pictures[1])]),
        ("words", [("txt", Array("What is red?".utf8))]),
      ])
    let lines = try evaluate(scratch, ["report=\(scratch.file("page"))"], shard: shard)
    let page = String(decoding: try scratch.bytes(of: "page"), as: UTF8.self)
    #expect(page.hasPrefix("<!DOCTYPE html>") && page.hasSuffix("</html>\n"))
    #expect(page.components(separatedBy: "<article>").count == 3)
    for picture in pictures { #expect(page.contains(Data(picture).base64EncodedString())) }
    #expect(page.contains(">first<") && page.contains(">second<") && !page.contains(">again<"))
    #expect(page.contains("random-target") && page.contains("massv: random-massv"))
    #expect(!page.contains(Place.root) && !page.contains(scratch.path))
    let tokens = lines.compactMap { $0["mal_with_bonus"]?.double }.map { String(format: "%.2f", $0) }
    #expect(tokens.count == lines.count && tokens.allSatisfy { page.contains($0) })
    // Without the MASSV drafter there are no examples.
    try evaluate(scratch, ["report=\(scratch.file("page"))", "draft=none", "temperatures=0"], shard: shard, records: 1)
    #expect(!String(decoding: try scratch.bytes(of: "page"), as: UTF8.self).contains("<article>"))
  }

  @Test func badRecordsCostThemselvesAndTasksAreTheirOwn() throws {
    let scratch = try Scratch()
    let picture = try read(Place.root + "/Tests/Fixtures/shapes/shape-00.jpg")
    let other = try read(Place.root + "/Tests/Fixtures/shapes/shape-02.png")
    let shard = try scratch.shard(
      "mixed.tar",
      [
        ("a", [("jpg", picture), ("json", Array(#"{"task": "questions"}"#.utf8))]),
        ("broken", [("jpg", Array("no picture".utf8))]),
        ("torn", [("jpg", picture), ("json", Array("{".utf8))]),
        ("odd", [("jpg", picture), ("json", Array(#"{"task": 3}"#.utf8))]),
        ("b", [("png", other), ("json", Array(#"{"task": null}"#.utf8))]),
        ("words", [("txt", Array("What is red?".utf8)), ("json", Array(#"{"task": "text"}"#.utf8))]),
        ("c", [("jpg", picture), ("json", Array(#"{"task": "questions"}"#.utf8))]),
        ("mute", [("json", Array(#"{"a": 1}"#.utf8))]),
      ])
    let meter = Meter()
    let lines = try evaluate(
      scratch, ["temperatures=0", "wrong-picture=true", "top-p=0.9", "report=\(scratch.file("page"))"],
      settings: ["evaluate.auto=false"], shard: shard, records: 99,
      meter: meter)
    #expect(meter.reading["records"] == 8 && meter.reading["failed"] == 4)
    let page = String(decoding: try scratch.bytes(of: "page"), as: UTF8.self)
    for (name, value) in [("left out", "4 records that failed"), ("top-p", "0.9")] {
      #expect(page.contains("<dt>\(name)</dt><dd>\(value)</dd>"))
    }
    let all = ["plain", "ngram", "text-only", "massv"]
    let found = zip(strings(lines, "task"), strings(lines, "method")).map { "\($0) \($1)" }
    #expect(
      found == (all + ["massv-wrong-picture"]).map { "questions \($0)" }
        + (all + ["massv-wrong-picture"]).map { "captions \($0)" } + all.map { "text \($0)" })
    // The first record has no picture before it; one that asks in words alone has none at all.
    #expect(lines.map { $0["records"]?.int ?? 0 } == [2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1])
    #expect(lines.allSatisfy { $0["identical"]?.bool == true })
  }

  @Test func whatWasGatheredOutlivesAnInputThatEnds() throws {
    let scratch = try Scratch()
    let picture = try read(Place.root + "/Tests/Fixtures/shapes/shape-00.jpg")
    let shard = try scratch.shard(
      "torn.tar", [("a", [("jpg", picture)]), ("b", [("jpg", picture)]), ("c", [("jpg", [1, 2, 3])])])
    let failure = try run(
      """
      let m = model path="\(Place.target)"
      read shards="\(shard)" | decode | encode model=m | prompt model=m text="Why?"
      | emit fields=[key] path="\(scratch.file("keys"))" on-error=stop
      | evaluate model=m max-tokens=4 temperatures=0 log="\(scratch.file("log"))" report="\(scratch.file("page"))"
      """)
    #expect(failure?.kind == .stopped)
    #expect(try scratch.lines(of: "log").map { $0["records"]?.int } == [2, 2, 2])
    #expect(String(decoding: try scratch.bytes(of: "page"), as: UTF8.self).hasSuffix("</html>\n"))
  }

  @Test func whatCannotBeDoneIsSaidBefore() throws {
    let scratch = try Scratch()
    var options = RunContext.Options()
    options.resume = true
    #expect(throws: RunFailure.self) { try evaluate(scratch, options: options) }
    #expect(throws: RunFailure.self) { try evaluate(scratch, ["report=\(scratch.path)"]) }
    for (parameters, message) in [
      (["gammas=[1, 2.5]"], "whole numbers"), (["temperatures=none"], "one or more"),
      (["log=a", "details=a"], "log and details are one file"), (["log=a", "report=a"], "log and report are one file"),
    ] {
      do throws(PipeErrors) {
        let text = (try? String(contentsOfFile: Place.root + "/pipelines/evaluate.pipe", encoding: .utf8)) ?? ""
        _ = try BoundPipe(
          SourceText(name: "a.pipe", text: text), catalog: .standard, overrides: Overrides(parameters: parameters))
        Issue.record("\(parameters) passed")
      } catch {
        #expect(error.diagnostics.map(\.description).joined().contains(message))
      }
    }
    let failure = try run(
      """
      let a = model path="\(Place.target)"
      let b = model path="\(Place.target)/"
      let d = drafter path="\(Place.massv)" target=b
      read shards="\(Place.exampleShard)" | decode | encode model=a | prompt model=a text="Why?"
      | evaluate model=a draft=d
      """)
    #expect(failure?.kind == .usage && failure?.message.contains("expected a drafter for") == true)
  }

  @Test func lookingUpDraftsInAPipe() throws {
    let scratch = try Scratch()
    func captions(_ draft: String) throws -> (bytes: [UInt8], accepted: Int) {
      let meter = Meter()
      try run(
        """
        let m = model path="\(Place.target)"
        let d = drafter path=\(draft) target=m
        read shards="\(Place.exampleShard)" max-records=6 | decode | encode model=m | project model=d
        | prompt model=m text="Describe this image." | draft model=d tokens=4 | verify model=m max-tokens=24
        | emit fields=[key, text] path="\(scratch.file("out"))"
        """, meter: meter)
      return (try scratch.bytes(of: "out"), meter.reading["accepted"])
    }
    let (plain, drafted) = (try captions("none"), try captions("ngram"))
    #expect(plain.bytes == drafted.bytes && plain.accepted == 0 && drafted.accepted > 20)
  }
}
