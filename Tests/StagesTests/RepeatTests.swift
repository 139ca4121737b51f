import Foundation
import JSON
import Pipeline
import Testing

private let shard = "shards=\"\(Place.exampleShard)\""

/// Keys and indices that a chain between `read` and `emit` hands on.
private func stream(
  _ links: String, limit: Int? = nil, read: String = shard, meter: Meter = Meter()
) throws -> [(key: String, index: Int)] {
  let scratch = try Scratch()
  var options = RunContext.Options()
  options.limit = limit
  let text = "read \(read) | \(links) | emit fields=[key, index] path=\"\(scratch.file("out"))\""
  let failure = try run(text, options: options, meter: meter)
  #expect(failure == nil, "\(String(describing: failure))")
  return try scratch.lines(of: "out").map { ($0["key"]?.string ?? "", $0["index"]?.int ?? -1) }
}

private let keys = (0..<12).map { "shape-\($0 < 10 ? "0" : "")\($0)" }

@Test(arguments: [
  ("repeat epochs=3", 12), ("decode | repeat epochs=3 | decode read-ahead=0", 12),
  ("limit records=5 | repeat epochs=3", 5), ("repeat epochs=3 | shuffle buffer=1", 12),
  ("repeat epochs=1 | repeat epochs=3 | repeat epochs=1", 12), ("repeat epochs=auto | limit records=36", 12),
])
func everyEpochIsTheWholeInputInItsOrder(links: String, count: Int) throws {
  let found = try stream(links)
  #expect(found.map(\.key) == (0..<3).flatMap { _ in keys.prefix(count) })
  #expect(found.map(\.index) == Array(0..<3 * count))
}

@Test func epochsOfEpochsMultiply() throws {
  let meter = Meter()
  let found = try stream("repeat epochs=2 | shuffle buffer=4 | repeat epochs=3", meter: meter)
  #expect(found.count == 72)
  let size = try read(Place.exampleShard).count
  #expect(meter.reading["input-bytes-total"] == 6 * size && meter.reading["input-bytes"] == 6 * size)
  // Where the number of epochs is not known, the time left is not either.
  let unknown = Meter()
  _ = try stream("repeat epochs=auto | limit records=30", meter: unknown)
  #expect(unknown.reading["input-bytes-total"] == 0 && unknown.reading["input-bytes"] > 0)
}

@Test func limitsOfTheInputHoldInEveryEpoch() throws {
  #expect(
    try stream("repeat epochs=3", limit: 2).map(\.key) == [
      "shape-00", "shape-01", "shape-00", "shape-01", "shape-00", "shape-01",
    ])
  #expect(try stream("repeat epochs=2", read: shard + " max-records=4").count == 8)
}

@Test func anInputWithNothingSoundEndsTheRepetition() throws {
  let scratch = try Scratch()
  let empty = "shards=\"\(try scratch.shard("empty.tar", []))\""
  let broken = "shards=\"\(try scratch.write(Array("no tar".utf8), to: "broken.tar"))\""
  #expect(try stream("repeat epochs=auto", read: empty).isEmpty)
  #expect(try stream("repeat epochs=1000000000", read: empty).isEmpty)
  // One line says what is wrong with it.
  #expect(try stream("repeat epochs=auto", read: broken).count == 1)
  #expect(try stream("repeat epochs=3", read: broken).count == 3)
}

@Test func aShuffleIsAnOrderThatItsSeedFixes() throws {
  let plain = try stream("repeat epochs=4").map(\.key)
  let first = try stream("repeat epochs=4 | shuffle buffer=7 seed=3")
  #expect(first.map(\.index) == Array(0..<48))
  #expect(first.map(\.key).sorted() == plain.sorted() && first.map(\.key) != plain)
  #expect(try stream("repeat epochs=4 | shuffle buffer=7 seed=3").map(\.key) == first.map(\.key))
  #expect(try stream("repeat epochs=4 | shuffle buffer=7 seed=4").map(\.key) != first.map(\.key))
  // However long the buffer: none comes twice before all have come once.
  let whole = try stream("repeat epochs=4 | shuffle buffer=100 seed=3").map(\.key)
  for epoch in 0..<4 { #expect(whole[12 * epoch..<12 * epoch + 12].sorted() == keys.sorted()) }
  #expect(try stream("shuffle buffer=1").map(\.key) == keys)
  // One record is always held; a second does not fit.
  #expect(try stream("shuffle max-bytes=1").map(\.key) == keys)
  // A record comes out at most so many places early as the buffer is long.
  let early = try stream("shuffle buffer=3 seed=9").map { (keys.firstIndex(of: $0.key) ?? 99) - $0.index }
  #expect(early.max() ?? 9 <= 2 && early.min() ?? 0 < 0)
}

/// A buffer that holds all four records gives each of their 24 orders as often: χ² over 960 seeds.
@Test func aBufferOfAllMakesEveryOrderAsLikely() throws {
  let scratch = try Scratch()
  let small = "shards=\"\(try scratch.shard("in.tar", (0..<4).map { ("r\($0)", [("cls", [0x30])]) }))\" read-ahead=0"
  var counts = [String: Int]()
  let seeds = 960
  for seed in 0..<seeds {
    counts[try stream("shuffle seed=\(seed)", read: small).map(\.key).joined(), default: 0] += 1
  }
  // 24 orders, 40 of each: χ² with 23 degrees of freedom is above 57 once in ten thousand times.
  let square = counts.values.reduce(0.0) { $0 + pow(Double($1) - 40, 2) / 40 } + Double(24 - counts.count) * 40
  #expect(counts.count == 24 && square < 57, "χ² \(square)")
}

@Test(arguments: [
  "read \(shard) | repeat epochs=3 | shuffle buffer=5 | emit fields=[key,index] path=$OUT",
  "read \(shard) | shuffle buffer=100 | repeat epochs=3 | shuffle buffer=5 | emit fields=[key,index] path=$OUT",
  "read \(shard) | repeat epochs=auto | decode | shuffle buffer=9 | limit records=31 | emit fields=[key,index] path=$OUT",
  "read \(shard) | repeat epochs=2 | tee ( emit fields=[key] path=$KEYS ) | shuffle buffer=5 | emit fields=[key] path=$OUT",
  "read \(shard) | repeat epochs=2 | tee ( shuffle buffer=5 | emit fields=[key] path=$OUT ) | emit fields=[key] path=$KEYS",
])
func aRunIsResumedAtEveryLineToTheSameBytes(pipe: String) throws {
  let scratch = try Scratch()
  let text = pipe.replacing("$OUT", with: "\"\(scratch.file("out"))\"")
    .replacing("$KEYS", with: "\"\(scratch.file("keys"))\"")
  let names = pipe.contains("$KEYS") ? ["out", "keys"] : ["out"]
  #expect(try run(text) == nil)
  let whole = try names.map { try scratch.bytes(of: $0) }
  let newline = UInt8(ascii: "\n")
  let lines = whole[0].filter { $0 == newline }.count
  #expect(lines > 20)
  var options = RunContext.Options()
  options.resume = true
  for count in 0...lines {
    for (name, bytes) in zip(names, whole) {
      // A second output is some lines behind; both have a torn line at their ends.
      let cut = max(0, name == "out" ? count : count - 3)
      let ends = [0] + bytes.indices.filter { bytes[$0] == newline }.map { $0 + 1 }
      _ = try scratch.write(Array(bytes[..<min(bytes.count, ends[cut] + count % 2 * 5)]), to: name)
    }
    #expect(try run(text, options: options) == nil)
    for (name, bytes) in zip(names, whole) { #expect(try scratch.bytes(of: name) == bytes, "\(name) at line \(count)") }
  }
}

@Test func anotherOrderIsNotResumed() throws {
  let scratch = try Scratch()
  let text = "read \(shard) | shuffle buffer=12 | emit fields=[key] path=\"\(scratch.file("out"))\""
  #expect(try run(text) == nil)
  let lines = try scratch.bytes(of: "out").split(separator: UInt8(ascii: "\n"))
  _ = try scratch.write(Array(lines[..<5].joined(separator: [UInt8(ascii: "\n")])) + [UInt8(ascii: "\n")], to: "out")
  var options = RunContext.Options()
  options.resume = true
  let failure = try run(text.replacing("buffer=12", with: "buffer=12 seed=1"), options: options)
  #expect(failure?.message.contains("cannot be resumed: its last record is") == true)
}

/// A run that is told to end leaves the beginning of what it would have written, not what was left in the buffer.
@Test func aShuffleThatIsEndedLeavesABeginning() throws {
  let scratch = try Scratch()
  let text =
    "read \(shard) | repeat epochs=1500 | shuffle buffer=500 | emit fields=[key, index] path=\"\(scratch.file("out"))\""
  #expect(try run(text) == nil)
  let whole = try scratch.bytes(of: "out")
  for milliseconds in [1, 5, 20] {
    let context = RunContext(options: .init())
    let ended = DispatchSemaphore(value: 0)
    DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(milliseconds)) {
      context.end()
      ended.signal()
    }
    try Runner(pipe(text), context: context).run()
    ended.wait()
    let part = try scratch.bytes(of: "out")
    #expect(whole.starts(with: part) && part.count < whole.count)
  }
}

@Test func whatCannotBeBuiltAgainIsSaidBeforeAnythingIsLoaded() {
  func errors(_ text: String) -> String {
    do { _ = try pipe(text) } catch { return "\(error)" }
    return ""
  }
  #expect(errors("read | tee ( repeat epochs=2 | emit ) | emit fields=[key]").contains("cannot stand in a branch"))
  #expect(errors("read | tee ( emit fields=[key] ) | repeat epochs=2").contains("put \"repeat\" before it"))
  #expect(errors("read | emit fields=[key] | repeat epochs=2").contains("1:8: error: \"emit\" writes a file"))
  #expect(errors("read | repeat").contains("needs \"epochs\""))
  #expect(errors("read | repeat epochs=0").contains("a whole number from 1"))
  #expect(errors("read | repeat epochs=2 | tee ( shuffle | emit fields=[key] )") == "")
}
