import Foundation
import JSON
import Speculation
import Tensors
import Testing

private let fixture = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .appendingPathComponent("Fixtures/expected/sampling.jsonl")

@Test func processorsActAsInTheReference() throws {
  let lines = try String(contentsOf: fixture, encoding: .utf8).split(separator: "\n")
  for line in lines {
    let item = try JSONValue(parsing: Array(line.utf8))
    let note = item["note"]?.string ?? ""
    let logits = try #require(item["logits"]?.array).compactMap(\.double).map { Float($0) }
    var settings = SamplingSettings(vocabulary: logits.count)
    settings.repetitionPenalty = Float(try #require(item["repetition_penalty"]?.double))
    settings.temperature = Float(try #require(item["temperature"]?.double))
    settings.topK = try #require(item["top_k"]?.int)
    settings.topP = Float(try #require(item["top_p"]?.double))
    let history = try #require(item["history"]?.array).compactMap(\.int).map { Int32($0) }
    let found = settings.process(logits, seen: Set(history))
    for (index, expected) in try #require(item["logprobs"]?.array).enumerated() {
      guard let value = expected.double else {
        #expect(found[index] == -.infinity, "\(note) \(index)")
        continue
      }
      #expect(abs(Double(found[index]) - value) < 1e-3 * max(1, abs(value)), "\(note) \(index)")
    }
  }
  #expect(lines.count == 40)
}

@Test func aDrawDependsOnSeedKeySampleAndPositionAlone() {
  let flat = [Float](repeating: 0, count: 100)
  func draws(_ stream: NoiseStream) -> [Int32?] { (0..<20).map { stream.draw(flat, position: $0) } }
  let one = draws(NoiseStream(seed: 1, key: "a"))
  #expect(one == draws(NoiseStream(seed: 1, key: "a")))
  #expect(one != draws(NoiseStream(seed: 2, key: "a")))
  #expect(one != draws(NoiseStream(seed: 1, key: "b")))
  #expect(one != draws(NoiseStream(seed: 1, key: "a", sample: 1)))
}
