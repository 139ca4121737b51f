import Foundation
import JSON
import Models

/// Captions of the shipped family with many records in flight: what `gamma=auto` makes of it, against fixed choices.
///
/// Whole runs of `massv-pipe` in turn, ROUNDS times; medians of tokens a second of drafting and verifying. RECORDS says of
/// how many scenes.
func benchmarkInFlight() throws {
  let environment = ProcessInfo.processInfo.environment
  let bench = try InFlightBench(records: environment["RECORDS"].flatMap(Int.init) ?? 600)
  defer { bench.remove() }
  let fixed = [(1, 5), (4, 1), (4, 2), (8, 2), (12, 3), (16, 4), (32, 3), (64, 0)]
  let settings = [("auto", "auto")] + fixed.map { ("\($0)", "\($1)") }
  var rates = settings.map { _ in [Double]() }
  for round in 0..<(environment["ROUNDS"].flatMap(Int.init) ?? 9) {
    // To and fro: a machine that grows slower slows all of them.
    for index in round % 2 == 0 ? Array(settings.indices) : settings.indices.reversed() {
      rates[index].append(try bench.tokensPerSecond(inFlight: settings[index].0, gamma: settings[index].1))
    }
  }
  let medians = rates.map { $0.sorted()[$0.count / 2] }
  let best = settings.indices.dropFirst().max { medians[$0] < medians[$1] } ?? 1
  print(
    "in-flight: auto \(formatted(medians[0], 0)) tokens/s, best of \(fixed.count) fixed choices "
      + "\(settings[best].0)×γ\(settings[best].1) \(formatted(medians[best], 0)) "
      + "(auto \(formatted(100 * (medians[0] / medians[best] - 1), 1)) %)")
  print("  " + zip(settings, medians).map { "\($0.0)×γ\($0.1) \(formatted($1, 0))" }.joined(separator: ", "))
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

  func tokensPerSecond(inFlight: String, gamma: String) throws -> Double {
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
