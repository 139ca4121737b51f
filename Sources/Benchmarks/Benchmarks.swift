import Foundation

/// Ratios that README states, each measured in one run with its sides in turn.
///
/// `benchmarks [overhead|pictures|tokenizer|products|perplexity|schedule|in-flight|distillation|training]…`. Environment:
/// PICTURES, a folder of JPEG files; PILLOW, a Python with Pillow; TOKENIZER, a `tokenizer.json`, and TEXT, a text file for
/// it; MODEL, a model to read TEXT; TORCH, a Python with torch and transformers; ROUNDS, RECORDS and CHOICES of in-flight.
@main
enum Benchmarks {
  static func main() throws {
    let names = CommandLine.arguments.dropFirst()
    let all: [(name: String, run: () throws -> Void)] = [
      ("overhead", benchmarkOverhead), ("pictures", benchmarkPictures), ("tokenizer", benchmarkTokenizer),
      ("products", benchmarkProducts), ("perplexity", benchmarkPerplexity),
      ("schedule", benchmarkSchedule), ("in-flight", benchmarkInFlight), ("distillation", benchmarkDistillation),
      ("training", benchmarkTraining),
    ]
    for benchmark in all where names.isEmpty || names.contains(benchmark.name) { try benchmark.run() }
  }
}

/// Seconds that each side takes, the sides in turn so that a drifting machine meets all alike; medians.
func interleaved(_ rounds: Int, _ sides: [() throws -> Double]) throws -> [Double] {
  var seconds = sides.map { _ in [Double]() }
  for round in 0...rounds {
    for (index, side) in sides.enumerated() {
      let taken = try side()
      // The first round warms up.
      if round > 0 { seconds[index].append(taken) }
    }
  }
  return seconds.map { $0.sorted()[$0.count / 2] }
}

/// Seconds that a piece of work takes.
func timed(_ body: () throws -> Void) rethrows -> Double {
  let start = ContinuousClock.now
  try body()
  return (ContinuousClock.now - start) / .seconds(1)
}

func formatted(_ value: Double, _ decimals: Int = 2) -> String { String(format: "%.\(decimals)f", value) }

/// The repository's own folder, where the pipelines' paths begin.
let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent()

/// JPEG files of the folder PICTURES, or the examples.
func pictureFiles() throws -> [String] {
  let folder = ProcessInfo.processInfo.environment["PICTURES"] ?? repository.path + "/Tests/Fixtures/shapes"
  return try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(".jpg") }.sorted()
    .map { folder + "/" + $0 }
}
