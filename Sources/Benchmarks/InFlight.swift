import Evaluation
import Foundation
import PipeLanguage
import Pipeline
import Stages

/// Captions of the shipped family with many records in flight: what `gamma=auto in-flight=auto` makes of them, against
/// fixed choices.
///
/// All choices stand side by side in one process, over the same encoded pictures and the same weights, and answer some
/// records each in turn: a machine whose speed drifts is the same for all. Each of ROUNDS begins anew, with schedulers that
/// know nothing. RECORDS says of how many scenes, CHOICES what to compare with: records in flight and γ, as in "8:3 64:0".
func benchmarkInFlight() throws {
  let environment = ProcessInfo.processInfo.environment
  let rounds = environment["ROUNDS"].flatMap(Int.init) ?? 8
  let bench = try InFlightBench(records: environment["RECORDS"].flatMap(Int.init) ?? 1200)
  let named = environment["CHOICES"] ?? "1:5 4:1 4:2 4:3 8:2 8:3 12:3 16:3 16:4 32:2 32:3 48:3 64:2 64:3 64:4 64:5 64:0"
  let fixed = named.split(separator: " ").map { $0.split(separator: ":").map(String.init) }.filter { $0.count == 2 }
    .map { InFlightChoice(inFlight: $0[0], gamma: $0[1]) }
  let choices = [InFlightChoice(inFlight: "auto", gamma: "auto")] + fixed
  var measured = choices.map { _ in (tokens: [Double](), seconds: [Double]()) }
  for _ in 0..<rounds {
    for (index, found) in try bench.round(choices).enumerated() {
      measured[index].tokens.append(found.tokens)
      measured[index].seconds.append(found.seconds)
    }
  }
  let speeds = measured.map { $0.tokens.reduce(0, +) / $0.seconds.reduce(0, +) }
  print("in-flight: tokens/s of drafting and verifying, and how much faster auto is (95 % of resampled rounds)")
  print("  auto: \(formatted(speeds[0], 0)); chose \(bench.remark)")
  for (index, choice) in choices.enumerated().dropFirst() {
    let interval = Bootstrap(seed: 0).interval(
      [measured[0].tokens, measured[0].seconds, measured[index].tokens, measured[index].seconds]
    ) { $0[0] / $0[1] / ($0[2] / $0[3]) }
    print(
      "  \(choice.inFlight) in flight, γ \(choice.gamma): \(formatted(speeds[index], 0)); auto "
        + percent(speeds[0] / speeds[index])
        + (interval.map { " (\(percent($0.low)) to \(percent($0.high)))" } ?? ""))
  }
}

/// Records in flight and γ, as `--set` takes them.
private struct InFlightChoice {
  var inFlight: String
  var gamma: String
}

/// Hands out records that were made before.
private final class Replay: Stage {
  private var records: ArraySlice<Record>

  init(_ records: [Record]) { self.records = records[...] }

  func next() throws(RunFailure) -> Record? { records.popFirst() }
}

private final class InFlightBench {
  private let pipe: SourceText
  private var resources: [String: any Sendable] = [:]
  /// Encoded and asked, not yet drafted for.
  private var records: [Record] = []
  /// What the automatic choice said of itself last.
  private(set) var remark = ""

  init(records count: Int) throws {
    let models = repository.appendingPathComponent("examples/models").path
    pipe = SourceText(
      name: "in-flight",
      text: """
        let target  = model   path="\(models)/scenes-target"
        let drafter = drafter path="\(models)/scenes-massv" target=target
        scenes count=\(count) seed=77 tasks=[captions] | decode | encode model=target | project model=drafter
        | prompt model=target text="Describe this image." | draft model=drafter | verify model=target temperature=0
        """)
    let bound = try BoundPipe(pipe, catalog: .standard)
    let context = context()
    for resource in bound.resources {
      var arguments = resource.arguments
      arguments.resources = resources
      resources[resource.name] = try resource.definition.load(arguments, context)
    }
    let asked = try link(bound.chains[0].prefix { $0.definition.declaration.name != "draft" }, EndOfStream(), context)
    while let record = try asked.next() { records.append(record) }
  }

  private func context() -> RunContext {
    var options = RunContext.Options()
    options.threads = ProcessInfo.processInfo.activeProcessorCount
    return RunContext(options: options)
  }

  private func link(
    _ calls: some Sequence<BoundCall>, _ source: any Stage, _ context: RunContext
  ) throws -> any Stage {
    var last = source
    for call in calls {
      var arguments = call.arguments
      arguments.resources = resources
      last = try call.definition.make(StageInputs(arguments: arguments, upstream: last), context)
    }
    return last
  }

  /// Answers all records with every choice, a few records each in turn: tokens, and seconds of drafting and verifying.
  func round(_ choices: [InFlightChoice]) throws -> [(tokens: Double, seconds: Double)] {
    let sides = try choices.map { choice in
      let bound = try BoundPipe(
        pipe, catalog: .standard,
        overrides: Overrides(settings: ["draft.tokens=\(choice.gamma)", "verify.in-flight=\(choice.inFlight)"]))
      let context = context()
      return (last: try link(bound.chains[0].suffix(2), Replay(records), context), context: context)
    }
    let inTurn = 10
    for _ in stride(from: 0, to: records.count, by: inTurn) {
      for side in sides {
        for _ in 0..<inTurn { _ = try side.last.next() }
      }
    }
    remark = sides[0].context.meter.reading.notes["schedule"] ?? ""
    return sides.map { side in
      let reading = side.context.meter.reading
      return (Double(reading["tokens"]), ["draft", "verify"].reduce(0) { $0 + (reading.seconds[$1] ?? 0) })
    }
  }
}

private func percent(_ ratio: Double) -> String { String(format: "%+.1f %%", 100 * (ratio - 1)) }
