import Foundation
import JSON
import Testing

@testable import Models

private let expected = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .appendingPathComponent("Fixtures/expected/rope.json")

private func reader(_ text: String) throws -> ConfigReader {
  ConfigReader(place: "config.json", json: try JSONValue(parsing: Array(text.utf8)))
}

@Test func scaledFrequenciesAreTransformers() throws {
  let cases = try #require(try JSONValue(parsing: Array(try Data(contentsOf: expected))).array)
  for item in cases {
    let config = ConfigReader(place: "rope.json", json: item)
    let settings = try RotarySettings(
      RotarySettings.section(of: config), of: config, base: config.number("rope_theta"), positions: 131_072)
    let frequencies = settings.scaling.frequencies(width: try config.count("width"), base: settings.base)
    let reference = try #require(item["frequencies"]?.array).compactMap(\.double)
    try #require(frequencies.count == reference.count)
    for (own, theirs) in zip(frequencies, reference) { #expect(abs(Double(own) / theirs - 1) < 1e-6) }
    #expect(abs(Double(settings.scaling.attention) / (item["attention"]?.double ?? 0) - 1) < 1e-6)
  }
  #expect(cases.count >= 8)
}

/// What model cards tell users to add stands beside what transformers 5 saved, and counts.
@Test func scalingThatWasAddedCounts() throws {
  let yarn = #""rope_scaling": {"type": "yarn", "factor": 4, "mrope_section": [2, 3, 3]}"#
  let sizes =
    #""vocab_size": 9, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8"#
  let saved = #""rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0, "mrope_section": [2, 3, 3]}"#
  let both = try Qwen2.configuration(try reader("{\(sizes), \(saved), \(yarn), \"max_position_embeddings\": 100}"))
  guard case .yarn(let factor, _, _, let original, _, _) = both.rope.scaling else {
    Issue.record("expected YaRN, found \(both.rope.scaling)")
    return
  }
  #expect(factor == 4 && original == 100 && both.rope.sections == [2, 3, 3])
  #expect(both.rope.base == 10000, "rope_scaling has no base, nor the configuration")
  #expect(both.sizes.maximumPositions == 400)
  let empty = try Qwen2.configuration(try reader("{\(sizes), \(saved), \"rope_scaling\": {}}"))
  #expect(empty.rope == RotarySettings(base: 1_000_000, sections: [2, 3, 3]))
  let linear = #""rope_scaling": {"type": "linear", "factor": 4.0}, "max_position_embeddings": 4096"#
  #expect(try Llama.configuration(try reader("{\(linear)}")).sizes.maximumPositions == 16384)
}

@Test(arguments: [
  (#"{"type": "dynamic"}"#, #""type": expected "default", "linear", "llama3" or "yarn", found "dynamic""#),
  (#"{"rope_type": "linear", "factor": 0}"#, #""factor": expected a number above 0, found 0"#),
  (
    #"{"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4}"#,
    #""high_freq_factor": expected more than low_freq_factor, found 4"#
  ),
])
func scalingThatCannotBeIsNamed(scaling: String, message: String) throws {
  do {
    _ = try Llama.configuration(try reader("{\"rope_scaling\": \(scaling)}"))
    Issue.record("\(scaling) was read")
  } catch { #expect("\(error)".contains(message), "\(error)") }
}

/// Layers slide only where Qwen2's settings make them.
@Test func slidingWindowsThatNoLayerHasDoNotMatter() throws {
  let sizes =
    #""vocab_size": 9, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 8"#
  for fine in [#""max_window_layers": 3"#, #""max_window_layers": 9, "sliding_window": 4"#] {
    _ = try Qwen2.configuration(try reader("{\(sizes), \"use_sliding_window\": true, \(fine)}"))
  }
  #expect(throws: ModelError.self) {
    try Qwen2.configuration(try reader("{\(sizes), \"use_sliding_window\": true, \"max_window_layers\": 2}"))
  }
}
