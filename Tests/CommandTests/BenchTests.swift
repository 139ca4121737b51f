import Foundation
import Testing

/// Configurations of models so small that timing them takes no time.
private let configurations = [
  "text.json": """
  {"model_type":"qwen2","hidden_size":128,"intermediate_size":256,"num_hidden_layers":3,"num_attention_heads":4,
   "num_key_value_heads":2,"vocab_size":4000,"tie_word_embeddings":true}
  """,
  "sees.json": """
  {"model_type":"qwen2_5_vl","hidden_size":128,"intermediate_size":256,"num_hidden_layers":2,"num_attention_heads":4,
   "num_key_value_heads":2,"vocab_size":4000,"tie_word_embeddings":false,
   "rope_scaling":{"type":"mrope","mrope_section":[4,6,6]},
   "vision_config":{"depth":2,"hidden_size":64,"num_heads":2,"intermediate_size":128,"out_hidden_size":128,
    "fullatt_block_indexes":[1]}}
  """,
  "short.json": """
  {"model_type":"qwen2","hidden_size":64,"intermediate_size":64,"num_hidden_layers":1,"num_attention_heads":2,
   "vocab_size":300,"max_position_embeddings":16,"tie_word_embeddings":true}
  """,
  "torn.json": #"{"model_type":"qwen2","hidden_size":64"#,
  "stranger.json": #"{"model_type":"qwen9","hidden_size":64}"#,
  "sizeless.json": #"{"model_type":"qwen2","intermediate_size":64,"num_hidden_layers":1,"vocab_size":300}"#,
  "blind.json": #"{"model_type":"qwen2_5_vl","hidden_size":64}"#,
]

private func scratchWithConfigurations() throws -> ScratchFolder {
  let scratch = try ScratchFolder()
  for (name, text) in configurations {
    try Data(text.utf8).write(to: URL(fileURLWithPath: scratch.path + "/" + name))
  }
  return scratch
}

/// Every number of a JSON value, with where it stands.
private func numbers(_ value: Any, _ place: String = "") -> [(place: String, value: Double)] {
  if let object = value as? [String: Any] { return object.flatMap { numbers($0.value, place + "." + $0.key) } }
  if let array = value as? [Any] { return array.enumerated().flatMap { numbers($0.element, "\(place)[\($0.offset)]") } }
  return (value as? NSNumber).map { [(place, $0.doubleValue)] } ?? []
}

@Test func benchPrintsOneObjectOfNumbersAboveZero() throws {
  let scratch = try scratchWithConfigurations()
  let outcome = try Command.shell(
    "$TOOL bench --shape $OUT/text.json --shape $OUT/sees.json --weights q8 --threads 1 --seconds 0.1 "
      + "--json > $OUT/a", scratch: scratch.path)
  #expect(outcome.status == 0 && outcome.errors == "", "\(outcome.errors)")
  let lines = try scratch.lines("a")
  #expect(lines.count == 1)
  let parsed = try JSONSerialization.jsonObject(with: Data(try scratch.bytes("a")))
  let report = try #require(parsed as? [String: Any])
  #expect(Set(report.keys) == ["machine", "models"])
  let machine = try #require(report["machine"] as? [String: Any])
  #expect(machine.keys.contains("read_gbs") && machine.keys.contains("f32_gflops"))
  #expect(machine["threads"] as? Int == 1)
  let models = try #require(report["models"] as? [[String: Any]])
  #expect(models.map { $0["shape"] as? String } == ["text.json", "sees.json"])
  #expect(models.map { $0["weights"] as? String } == ["q8", "q8"])
  for model in models {
    let name = "\(model["shape"] ?? "")"
    for key in ["decode_tps", "decode_roof", "prefill512_tps"] { #expect(model[key] is NSNumber, "\(name): \(key)") }
    #expect((model["vision448_s"] is NSNumber) == (model["shape"] as? String == "sees.json"), "\(name)")
    let passes = try #require(model["forward_ms"] as? [String: Any])
    #expect(Set(passes.keys) == Set((1...16).map(String.init)), "\(name)")
    // A token of plain decoding is a pass over one row; printed in thousandths of a millisecond.
    let one = try #require((passes["1"] as? NSNumber)?.doubleValue)
    let rate = try #require((model["decode_tps"] as? NSNumber)?.doubleValue)
    #expect(abs(rate * one - 1000) <= 0.0006 * rate, "\(name): \(rate) tokens a second, \(one) ms")
  }
  let all = numbers(report)
  #expect(all.count >= 3 + 2 * 19 + 1)
  for (place, value) in all { #expect(value.isFinite && value > 0, "\(place): \(value)") }
}

@Test func benchPrintsATableOfAModelWithItsOwnWeights() throws {
  let scratch = try ScratchFolder()
  let outcome = try Command.shell(
    "$TOOL bench --shape Tests/Fixtures/models/random-target --weights stored --weights q4 --seconds 0.1 > $OUT/a",
    scratch: scratch.path)
  #expect(outcome.status == 0 && outcome.errors == "", "\(outcome.errors)")
  let lines = try scratch.lines("a")
  #expect(lines.first?.contains("GB/s") == true)
  #expect(lines.filter { $0.contains("random-target stored:") || $0.contains("random-target q4:") }.count == 2)
  #expect(lines.filter { $0.hasPrefix("  rows ") && $0.hasSuffix("16") }.count == 2)
}

@Test(arguments: [
  ("--shape nothing", 66, "expected a shape (gemma3-270m, "),
  ("--shape $OUT/text.json --weights q9", 64, "--weights: expected stored or one of f32 f16 bf16 q8 q4, found \"q9\""),
  ("--shape $OUT/text.json --seconds 0", 64, "--seconds"), ("--shape $OUT/text.json --threads 0", 64, "--threads"),
  ("--shape $OUT/torn.json", 66, "/torn.json: byte "),
  ("--shape $OUT/stranger.json", 66, "found \"qwen9\", to which "),
  ("--shape $OUT/sizeless.json", 66, "/sizeless.json: \"num_attention_heads\": expected a whole number"),
  ("--shape $OUT/blind.json", 66, "/blind.json: \"vision_config\": expected an object"),
]) func whatBenchCannotTimeIsAnErrorThatSaysWhy(arguments: String, status: Int32, message: String) throws {
  let scratch = try scratchWithConfigurations()
  let outcome = try Command.shell(
    "$TOOL bench --json --weights q8 --seconds 0.1 \(arguments) > $OUT/a", scratch: scratch.path)
  #expect(outcome.status == status, "\(outcome.errors)")
  #expect(outcome.errors.contains(message), "\(outcome.errors)")
  #expect(try scratch.bytes("a").isEmpty)
}

/// Fewer positions than the prompt and the passes that are timed: measured with fewer, or refused.
@Test func aShapeOfFewPositionsIsTimedOrRefused() throws {
  let scratch = try scratchWithConfigurations()
  let outcome = try Command.shell(
    "$TOOL bench --shape $OUT/short.json --weights q8 --seconds 0.1 --json > $OUT/a", scratch: scratch.path)
  #expect(outcome.status == 0 || outcome.status == 66, "\(outcome.status): \(outcome.errors.prefix(300))")
}

// MARK: inspect

/// The megabytes of weights that `inspect` says a model takes.
private func memory(_ model: String, _ weights: String, _ scratch: ScratchFolder) throws -> Double {
  let outcome = try Command.shell("$TOOL inspect \(model) --weights \(weights) > $OUT/a", scratch: scratch.path)
  #expect(outcome.status == 0 && outcome.errors == "", "\(outcome.errors)")
  let line = try #require(try scratch.lines("a").first { $0.hasPrefix("in memory") })
  #expect(line.hasSuffix(" MB of weights as \(weights)"), "\(line)")
  return try #require(Double(line.split(separator: " ")[2]))
}

@Test(arguments: ["Tests/Fixtures/models/random-target", "Tests/Fixtures/models/llava-hub"])
func inspectCountsTheMemoryOfAFormat(model: String) throws {
  let scratch = try ScratchFolder()
  let sizes = try ["f32", "bf16", "q8", "q4"].map { try memory(model, $0, scratch) }
  #expect(sizes == sizes.sorted(by: >) && sizes[0] > sizes[1] && sizes[1] > sizes[3], "\(sizes)")
  #expect(try memory(model, "f16", scratch) == sizes[1])
  // Both fixtures are stored in 16 bits.
  #expect(try memory(model, "stored", scratch) == sizes[1])
}

/// What a run needs is no matter of who asks: the most memory of a shell outlives its exec.
@Test func aPeakIsTheToolsOwn() throws {
  let scratch = try ScratchFolder()
  let script = """
    x=$(head -c 400000000 /dev/zero | tr '\\0' a); exec $TOOL inspect Tests/Fixtures/models/random-target > $OUT/a
    """
  #expect(try Command.shell(script, scratch: scratch.path).status == 0)
  let line = try #require(try scratch.lines("a").first { $0.hasPrefix("a run's peak") })
  let megabytes = try #require(line.split(separator: " ").lazy.compactMap { Double($0) }.first)
  #expect((20..<150).contains(megabytes), "\(line)")
}

@Test(arguments: ["q5", "Q8", "auto", "''"]) func inspectRefusesAFormatThatThereIsNot(weights: String) throws {
  let scratch = try ScratchFolder()
  let outcome = try Command.shell(
    "$TOOL inspect Tests/Fixtures/models/random-target --weights \(weights) > $OUT/a", scratch: scratch.path)
  #expect(outcome.status == 64)
  #expect(outcome.errors.contains("--weights: expected stored or one of f32 f16 bf16 q8 q4, found \""))
  #expect(try scratch.bytes("a").isEmpty)
}
