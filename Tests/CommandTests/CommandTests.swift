import Foundation
import JSON
import Samples
import Testing

private let caption = "$TOOL run pipelines/caption.pipe \(Command.tiny) max-tokens=12"

@Test func resultsGoToStandardOutputAlone() throws {
  let scratch = try ScratchFolder()
  let outcome = try Command.shell(
    "\(caption) < Tests/Fixtures/shapes.tar > $OUT/a --stats $OUT/stats", scratch: scratch.path)
  #expect(outcome.status == 0 && outcome.errors == "")
  #expect(try scratch.lines("a").count == 12)
  #expect(try scratch.lines("stats")[0].hasPrefix("{\"records\":12,\"failed\":0,"))
}

@Test(arguments: [
  ("run nowhere.pipe", 66, "nowhere.pipe: cannot be read"),
  ("run pipelines/caption.pipe promt=x < Tests/Fixtures/shapes.tar", 64, "did you mean \"prompt\"?"),
  ("run pipelines/caption.pipe --set verify.max-tokens=0 < Tests/Fixtures/shapes.tar", 64, "a whole number from 1"),
  ("run pipelines/caption.pipe target=nowhere < Tests/Fixtures/shapes.tar", 66, "nowhere/config.json: cannot be read"),
  ("run pipelines/caption.pipe draft=examples < Tests/Fixtures/shapes.tar", 66, "examples/config.json"),
  ("run pipelines/caption.pipe --set read.shards=no-{1..3}.tar", 66, "no-1.tar: No such file"),
  ("run pipelines/caption.pipe --threads 0 < Tests/Fixtures/shapes.tar", 64, "--threads"),
  ("run pipelines/caption.pipe --memory lots < Tests/Fixtures/shapes.tar", 64, "--memory"),
  ("run pipelines/caption.pipe max-pixels=10 < Tests/Fixtures/shapes.tar", 66, "max-pixels: expected at least 9216"),
  (
    "run pipelines/caption.pipe target=Tests/Fixtures/models/gemma3-hub draft=none max-pixels=9 < Tests/Fixtures/shapes.tar",
    64, "pictures at their own size"
  ),
  ("check pipelines/caption.pipe README.md", 0, ""),
  ("check Tests/Fixtures/shapes.tar", 64, "error:"),
  ("graph pipelines/caption.pipe --format dot", 0, ""),
  ("stages emit", 0, ""),
  ("stages emitt", 64, "did you mean \"emit\"?"),
  ("stages nothing", 64, "known: read scenes"),
  ("inspect Tests/Fixtures/models/random-target", 0, ""),
  ("inspect Tests/Fixtures/models/random-massv", 0, ""),
  ("inspect examples", 66, "examples/config.json: cannot be read"),
  ("run pipelines/caption.pipe max-tokens=4 < /dev/null", 1, ""),
  ("run pipelines/caption.pipe max-tokens=4 < README.md", 66, "read: -: expected a tar archive"),
  ("run pipelines/evaluate.pipe log=a details=a", 64, "log and details are one file, a"),
  ("run pipelines/caption.pipe target=nowhere < Tests/Fixtures/shapes.tar", 66, "No such file or directory"),
  ("run pipelines/caption.pipe max-tokens=4 < Tests/Fixtures/shapes.tar > /dev/full", 66, "No space left on device"),
  ("check nowhere.pipe Tests/Fixtures/shapes.tar", 66, "shapes.tar:1:1: error:"),
  ("run pipelines", 66, "pipelines: cannot be read: it is a folder"),
  ("run pipelines/caption.pipe --set read.shards=", 64, "read: shards: expected a file's name"),
  ("--help", 0, ""), ("frobnicate", 64, ""),
]) func exitStatusAndMessages(arguments: String, status: Int32, message: String) throws {
  let scratch = try ScratchFolder()
  let redirect = arguments.contains(">") ? "" : "> $OUT/a"
  let outcome = try Command.shell("$TOOL \(arguments) \(redirect)", scratch: scratch.path)
  #expect(outcome.status == status, "\(outcome.errors)")
  #expect(message.isEmpty || outcome.errors.contains(message), "\(outcome.errors)")
}

/// A template that is not applied is said, where it would matter.
@Test func aPlainLlamasTemplateIsNotPassedOverInSilence() throws {
  let scratch = try ScratchFolder()
  let script = """
    cp -r Tests/Fixtures/models/llama-text $OUT/m; echo '{"chat_template":"{{ x }}"}' > $OUT/m/tokenizer_config.json
    mkdir $OUT/p; echo Hello > $OUT/p/a.txt; tar cf $OUT/in.tar -C $OUT/p a.txt; $TOOL inspect $OUT/m > $OUT/facts
    RUN="$TOOL run pipelines/generate.pipe model=$OUT/m max-tokens=1"; $RUN < $OUT/in.tar > $OUT/a
    $RUN --set prompt.raw=true < $OUT/in.tar > $OUT/b 2> $OUT/raw
    """
  let outcome = try Command.shell(script, scratch: scratch.path)
  #expect(outcome.errors.contains("tokenizer_config.json: its chat template is not applied"), "\(outcome.errors)")
  #expect(try scratch.lines("raw") == [] && scratch.lines("facts").contains { $0.hasPrefix("chat template") })
}

@Test(arguments: ["graph pipelines/caption.pipe", "stages", "inspect Tests/Fixtures/models/random-target"])
func aReaderThatWentAwayEndsACommandQuietly(command: String) throws {
  let scratch = try ScratchFolder()
  let script = "(sleep 0.2; $TOOL \(command); echo $? > $OUT/status) | true"
  let outcome = try Command.shell(script, scratch: scratch.path)
  #expect(outcome.errors == "")
  #expect(try scratch.lines("status") == ["0"])
}

/// What nobody can be told costs no record.
@Test(arguments: ["2> /dev/full", "2>&-", "2> >(true)"]) func messagesThatCannotBeWrittenEndNothing(redirect: String)
  throws
{
  let scratch = try ScratchFolder()
  let script = """
    mkdir $OUT/p; echo no picture > $OUT/p/a.jpg; cp Tests/Fixtures/shapes/shape-00.jpg $OUT/p/b.jpg
    tar cf $OUT/in.tar -C $OUT/p a.jpg b.jpg
    cat > $OUT/run.sh <<'EOF'
    $TOOL run pipelines/evaluate.pipe \(Command.tiny) text=none fixed=none max-tokens=4 < $OUT/in.tar > $OUT/a \(redirect)
    EOF
    bash $OUT/run.sh; echo $? > $OUT/status
    """
  _ = try Command.shell(script, scratch: scratch.path)
  #expect(try scratch.lines("status") == ["1"])
  #expect(try scratch.lines("a").count > 2)
}

@Test func aBadRecordCostsThatRecordOnly() throws {
  let scratch = try ScratchFolder()
  let writer = TarWriter()
  var tar: [UInt8] = []
  let good = Array(try Data(contentsOf: URL(fileURLWithPath: Command.root + "/Tests/Fixtures/shapes/shape-00.jpg")))
  for (key, bytes) in [
    ("a", good), ("b", Array("<html>".utf8)), ("c", good), ("d", Array(good.prefix(900))), ("e", good),
  ] {
    tar += try writer.sample(key: key, members: [SampleMember(field: "jpg", bytes: bytes)])
  }
  try Data(tar + writer.end()).write(to: URL(fileURLWithPath: scratch.path + "/in.tar"))
  let outcome = try Command.shell("\(caption) < $OUT/in.tar > $OUT/a --stats $OUT/s", scratch: scratch.path)
  let lines = try scratch.lines("a")
  #expect(outcome.status == 1)
  #expect(lines.count == 5)
  #expect(lines[1].hasPrefix(#"{"key":"b","error":{"stage":"decode","message":"b.jpg: expected a JPEG"#))
  #expect(lines[3].hasPrefix(#"{"key":"d","error":{"stage":"decode","message":"d.jpg: JPEG: the file ends"#))
  for index in [2, 4] { #expect(lines[index].dropFirst(9) == lines[0].dropFirst(9)) }
  #expect(try scratch.lines("s")[0].hasPrefix("{\"records\":5,\"failed\":2,"))
  let skip = try Command.shell("\(caption) --set emit.on-error=skip < $OUT/in.tar > $OUT/a", scratch: scratch.path)
  #expect(skip.status == 1)
  #expect(try scratch.lines("a").count == 3)
  let stop = try Command.shell("\(caption) --set emit.on-error=stop < $OUT/in.tar > $OUT/a", scratch: scratch.path)
  #expect(stop.status == 1 && stop.errors.contains("record b: decode"))
  #expect(try scratch.lines("a").count == 2)
}

@Test func aClosedPipeEndsTheRunQuietly() throws {
  let scratch = try ScratchFolder()
  let many = "for i in 1 2 3 4 5 6 7 8 9 10; do cat Tests/Fixtures/shapes.tar; done"
  let script =
    "(\(many)) | { \(caption) --set emit.fields=[key,text,token_ids]; echo $? > $OUT/status; } | head -3 > $OUT/a"
  let outcome = try Command.shell(script, scratch: scratch.path)
  #expect(try scratch.lines("a").count == 3)
  #expect(try scratch.lines("status") == ["0"])
  #expect(outcome.errors == "")
}

@Test func aSecondOutputIsWholeWhenTheFirstOnesReaderGoesAway() throws {
  let scratch = try ScratchFolder()
  let pipe = """
    read | tee ( emit fields=[key] path="\(scratch.path)/keys.gz" ) | limit records=100000 | emit fields=[key,index]
    """
  try Data(pipe.utf8).write(to: URL(fileURLWithPath: scratch.path + "/tee.pipe"))
  let script =
    "for i in $(seq 100); do cat Tests/Fixtures/shapes.tar; done | $TOOL run $OUT/tee.pipe | head -3 > $OUT/a; "
    + "gzip -dc $OUT/keys.gz > $OUT/keys"
  #expect(try Command.shell(script, scratch: scratch.path).status == 0)
  #expect(try scratch.lines("a").count == 3)
  #expect(try scratch.lines("keys").count >= 3)
}

@Test func aSignalEndsTheRunAfterTheRecordInHand() throws {
  let scratch = try ScratchFolder()
  // More input than the time before the signal is enough for.
  let script =
    "for i in $(seq 2000); do cat Tests/Fixtures/shapes.tar; done | \(caption) > $OUT/a & "
    + "pid=$!; while [ ! -s $OUT/a ]; do sleep 0.05; done; sleep 0.3; kill -INT $pid; wait $pid; echo $? > $OUT/status"
  _ = try Command.shell(script, scratch: scratch.path)
  #expect(try scratch.lines("status") == ["130"])
  let text = String(decoding: try scratch.bytes("a"), as: UTF8.self)
  #expect(text.hasSuffix("}\n"))
}

@Test func aSignalCostsAnEvaluationNothingThatItHasGathered() throws {
  let scratch = try ScratchFolder()
  let script =
    "for i in $(seq 2000); do cat Tests/Fixtures/shapes.tar; done | $TOOL run pipelines/evaluate.pipe \(Command.tiny) "
    + "text=Tests/Fixtures/models/qwen2-echo fixed=none max-tokens=12 "
    + "details=$OUT/details > $OUT/a & pid=$!; while [ ! -s $OUT/details ]; do sleep 0.05; done; sleep 0.3; "
    + "kill -INT $pid; wait $pid; echo $? > $OUT/status"
  _ = try Command.shell(script, scratch: scratch.path)
  #expect(try scratch.lines("status") == ["130"])
  // Plain decoding has one line a temperature, three drafters have two.
  let lines = try scratch.lines("a").map { try JSONValue(parsing: Array($0.utf8)) }
  #expect(lines.count == 14)
  let records = try #require(lines.first?["records"]?.int)
  #expect(lines.allSatisfy { $0["records"]?.int == records && $0["identical"]?.bool == true })
  #expect(try scratch.lines("details").count == 14 * records)
}

@Test func theFirstLineIsOutBeforeTheSecondShardIsRead() throws {
  let scratch = try ScratchFolder()
  // The second shard is a pipe that gets its content only when the first line is there.
  let script = """
    mkfifo $OUT/s-2.tar; for i in 1 2 3 4; do cat Tests/Fixtures/shapes.tar; done > $OUT/s-1.tar
    \(caption) max-tokens=4 --set read.shards=$OUT/s-{1..2}.tar > $OUT/a &
    for i in $(seq 200); do [ -s $OUT/a ] && break; sleep 0.05; done
    wc -l < $OUT/a > $OUT/early; cat Tests/Fixtures/shapes.tar > $OUT/s-2.tar; wait $!; echo $? > $OUT/status
    """
  _ = try Command.shell(script, scratch: scratch.path)
  #expect(Int(try scratch.lines("early")[0]) ?? 0 > 0)
  #expect(try scratch.lines("status") == ["0"])
  #expect(try scratch.lines("a").count == 60)
}

@Test func memoryDoesNotGrowWithTheStream() throws {
  let scratch = try ScratchFolder()
  let picture = Array(
    try Data(contentsOf: URL(fileURLWithPath: Command.root + "/Tests/Fixtures/images/tile-28x28.png")))
  func run(_ count: Int) throws -> Command.Outcome {
    let writer = TarWriter()
    let path = scratch.path + "/in.tar"
    _ = FileManager.default.createFile(atPath: path, contents: nil)
    let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
    for index in 0..<count {
      let members = [SampleMember(field: "png", bytes: picture)]
      try file.write(contentsOf: Data(writer.sample(key: "r\(index)", members: members)))
    }
    try file.write(contentsOf: Data(writer.end()))
    try file.close()
    return try Command.shell(
      // As many in flight as it would ever choose, so that both runs reach it and only the length of the stream differs.
      "exec \(caption) max-tokens=4 --set verify.in-flight=64 < $OUT/in.tar > $OUT/a",
      scratch: scratch.path)
  }
  // How much waits at once is a matter of chance, and the longer stream has more chances: twelve short ones have some too.
  let short = try (0..<12).map { _ in try run(1000) }
  let few = try #require(short.max { $0.peak < $1.peak })
  let many = try run(20_000)
  #expect(short.allSatisfy { $0.status == 0 } && many.status == 0)
  #expect(try scratch.lines("a").count == 20_000)
  print("peak memory: \(few.peak) KB for 1,000 records, \(many.peak) KB for 20,000")
  #expect(Double(many.peak) < Double(few.peak) * 1.1)
}

@Test(arguments: [300_000, 700_000]) func tooLittleMemoryIsAnErrorNotAHang(kilobytes: Int) throws {
  let scratch = try ScratchFolder()
  let script = "ulimit -v \(kilobytes); timeout -k 2 20 \(caption) < Tests/Fixtures/shapes.tar > $OUT/a"
  let outcome = try Command.shell(script, scratch: scratch.path)
  #expect(
    outcome.status == 0 || outcome.status == 66 || outcome.errors.contains("error while loading"), "\(outcome.status)")
}
