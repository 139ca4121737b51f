import Evaluation
import Foundation
import JSON
import Models

/// Captions of the shipped family with many records in flight: what `gamma=auto` makes of it, against fixed choices.
///
/// Whole runs of `massv-pipe`, a fixed one always between two automatic ones, so that a machine whose speed drifts is the
/// same for both sides. After ROUNDS of all choices come twice as many of the three that are closest, and those alone say
/// which is best: the best of many noisy numbers is partly luck. RECORDS says of how many scenes.
func benchmarkInFlight() throws {
  let environment = ProcessInfo.processInfo.environment
  let rounds = environment["ROUNDS"].flatMap(Int.init) ?? 4
  let bench = try InFlightBench(records: environment["RECORDS"].flatMap(Int.init) ?? 600)
  defer { bench.remove() }
  let fixed = [
    (1, 5), (4, 1), (4, 2), (4, 3), (8, 2), (8, 3), (12, 3), (16, 3), (16, 4), (32, 2), (32, 3), (64, 0),
  ].map(InFlightChoice.init)
  print("in-flight: tokens/s of drafting and verifying, and how auto compares (medians; 95 % of resampled medians)")
  let all = try bench.compare(fixed, rounds: rounds)
  let closest = fixed.indices.sorted { all[$0] < all[$1] }.prefix(3).map { fixed[$0] }
  print("  again, the closest three:")
  _ = try bench.compare(closest, rounds: 2 * rounds)
}

/// A fixed number of records in flight and a fixed γ.
private struct InFlightChoice {
  var inFlight: Int
  var gamma: Int
}

private struct InFlightBench {
  private let folder: URL
  private var shard: URL { folder.appendingPathComponent("scenes.tar") }

  init(records: Int) throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("massv-in-flight-\(getpid())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    try run(["pipelines/scenes.pipe", "count=\(records)", "seed=77", "tasks=[captions]"], input: nil, output: shard)
  }

  func remove() { try? FileManager.default.removeItem(at: folder) }

  /// Prints what became of each choice; returns the medians of automatic beside fixed speed.
  func compare(_ choices: [InFlightChoice], rounds: Int) throws -> [Double] {
    var rates = choices.map { _ in [Double]() }
    var automatic = rates
    _ = try tokensPerSecond(inFlight: "auto", gamma: "auto")
    for _ in 0..<rounds {
      var before = try tokensPerSecond(inFlight: "auto", gamma: "auto")
      for (index, choice) in choices.enumerated() {
        rates[index].append(try tokensPerSecond(inFlight: "\(choice.inFlight)", gamma: "\(choice.gamma)"))
        let after = try tokensPerSecond(inFlight: "auto", gamma: "auto")
        automatic[index].append((before + after) / 2)
        before = after
      }
    }
    return choices.indices.map { index in
      let ratios = zip(automatic[index], rates[index]).map { $0 / $1 }
      let interval = resampledMedians(ratios)
      print(
        "  \(choices[index].inFlight) in flight, γ \(choices[index].gamma): \(formatted(median(rates[index]), 0)); auto "
          + "\(formatted(median(automatic[index]), 0)), \(percent(median(ratios))) "
          + "(\(percent(interval.low)) to \(percent(interval.high)))")
      return median(ratios)
    }
  }

  private func tokensPerSecond(inFlight: String, gamma: String) throws -> Double {
    let stats = folder.appendingPathComponent("stats.json")
    try run(
      [
        "pipelines/caption.pipe", "gamma=\(gamma)", "--set", "verify.in-flight=\(inFlight)", "--stats", stats.path,
      ], input: shard, output: folder.appendingPathComponent("captions.jsonl"))
    let found = try JSONValue(parsing: Array(try Data(contentsOf: stats)))
    let seconds = ["draft", "verify"].compactMap { found["seconds"]?[$0]?.double }.reduce(0, +)
    return (found["tokens"]?.double ?? 0) / seconds
  }

  /// Runs the tool that was built beside this one.
  private func run(_ arguments: [String], input: URL?, output: URL) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
      .appendingPathComponent("massv-pipe")
    process.arguments = ["run"] + arguments + ["--progress", "none"]
    process.currentDirectoryURL = repository
    process.standardInput = try input.map { try FileHandle(forReadingFrom: $0) } ?? FileHandle.nullDevice
    _ = FileManager.default.createFile(atPath: output.path, contents: nil)
    process.standardOutput = try FileHandle(forWritingTo: output)
    try process.run()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw ModelError("in-flight: massv-pipe ended with \(process.terminationStatus)")
    }
  }
}

private func median(_ values: [Double]) -> Double { Bootstrap.quantile(values.sorted(), 0.5) }

private func percent(_ ratio: Double) -> String { String(format: "%+.1f %%", 100 * (ratio - 1)) }

/// Between what 95 % of the medians lie of as many values drawn from these with replacement.
private func resampledMedians(_ values: [Double]) -> (low: Double, high: Double) {
  var generator = SystemRandomNumberGenerator()
  let medians = (0..<1000).map { _ in
    median(values.indices.map { _ in values[Int.random(in: values.indices, using: &generator)] })
  }.sorted()
  return (Bootstrap.quantile(medians, 0.025), Bootstrap.quantile(medians, 0.975))
}
