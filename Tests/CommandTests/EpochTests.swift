import Foundation
import Testing

private let epochs =
  "let m = model path=\"nowhere\"\nparam epochs = 3\nread | repeat epochs=$epochs | emit fields=[key,index]"

/// Runs a pipe of this text; `run` is the command line behind it, with its input.
private func shell(_ pipe: String, _ script: String, _ scratch: ScratchFolder) throws -> Command.Outcome {
  try Data(pipe.utf8).write(to: URL(fileURLWithPath: scratch.path + "/a.pipe"))
  return try Command.shell(script.replacing("$RUN", with: "$TOOL run $OUT/a.pipe"), scratch: scratch.path)
}

@Test func standardInputIsReadAgainFromWhereItBegan() throws {
  let scratch = try ScratchFolder()
  let whole = try shell(epochs, "$RUN < Tests/Fixtures/shapes.tar > $OUT/a", scratch)
  #expect(whole.status == 0 && whole.errors == "")
  let lines = try scratch.lines("a")
  #expect(lines.count == 36 && lines[35] == #"{"key":"shape-11","index":35}"#)
  #expect(lines[12] == #"{"key":"shape-00","index":12}"#)
  // The first shard of two has been read by someone else.
  let script = """
    cat Tests/Fixtures/README.md Tests/Fixtures/shapes.tar > $OUT/in
    (dd bs=$(stat -c %s Tests/Fixtures/README.md) count=1 of=/dev/null status=none; $RUN > $OUT/b) < $OUT/in
    """
  #expect(try shell(epochs, script, scratch).status == 0)
  #expect(try scratch.lines("b") == lines)
  // An epoch that is not read to its end leaves its read-ahead behind.
  let part = epochs.replacing("repeat", with: "limit records=2 | repeat")
  #expect(try shell(part, "$RUN epochs=50 < Tests/Fixtures/shapes.tar > $OUT/c", scratch).status == 0)
  let keys = try scratch.lines("c").map { $0.prefix { $0 != "," } }
  #expect(keys.count == 100 && Set(keys).count == 2)
}

@Test(arguments: ["epochs=3", "epochs=auto"])
func aPipeThatWouldBeReadAgainIsRefusedBeforeModelsAreLoaded(setting: String) throws {
  let scratch = try ScratchFolder()
  let used = epochs.replacing("| emit", with: "| tee ( prompt model=m ) | emit")
  let outcome = try shell(used, "cat Tests/Fixtures/shapes.tar | $RUN \(setting) > $OUT/a", scratch)
  #expect(outcome.status == 64)
  #expect(outcome.errors.contains("standard input cannot be read again") && outcome.errors.contains("set shards="))
  #expect(try scratch.lines("a") == [])
  let named = try shell(epochs, "mkfifo $OUT/f; $RUN \(setting) --set read.shards=$OUT/f > $OUT/a", scratch)
  #expect(named.status == 64 && named.errors.contains("/f cannot be read again"))
  let once = try shell(epochs, "cat Tests/Fixtures/shapes.tar | $RUN epochs=1 > $OUT/a", scratch)
  #expect(once.status == 0)
  #expect(try scratch.lines("a").count == 12)
}

private let cached = """
  let m = model path="Tests/Fixtures/models/random-target"
  param cache = none
  read | cache path=$cache model=m ( decode | encode model=m ) | prompt model=m text="What?"
  | generate model=m temperature=0 max-tokens=6 | emit fields=[key, width, text]
  """

@Test func aFullDiskEndsTheKeepingAndNotTheRun() throws {
  let scratch = try ScratchFolder()
  #expect(try shell(cached, "$RUN < Tests/Fixtures/shapes.tar > $OUT/whole", scratch).status == 0)
  // A limit on file sizes stands for the full disk: 100 KiB.
  let limited = try shell(cached, "ulimit -f 200; $RUN cache=$OUT/f < Tests/Fixtures/shapes.tar > $OUT/a", scratch)
  #expect(limited.status == 0)
  #expect(limited.errors.contains("/f: File too large: nothing more is added"))
  #expect(limited.errors.split(separator: "\n").count == 1)
  let size = try scratch.bytes("f").count
  #expect(size > 30_000 && size <= 102_400)
  #expect(try scratch.bytes("a") == scratch.bytes("whole"))
  let later = try shell(cached, "$RUN cache=$OUT/f --stats $OUT/s < Tests/Fixtures/shapes.tar > $OUT/a", scratch)
  #expect(later.status == 0 && later.errors == "")
  #expect(try scratch.lines("s")[0].contains(/"cache":"[1-9]\d? found, [1-9]\d? made"/))
  #expect(try scratch.bytes("a") == scratch.bytes("whole"))
}

@Test func runsAtTheSameTimeShareAFile() throws {
  let scratch = try ScratchFolder()
  let script = """
    $RUN < Tests/Fixtures/shapes.tar > $OUT/whole
    for i in 1 2 3; do $RUN cache=$OUT/f < Tests/Fixtures/shapes.tar > $OUT/$i & done; wait
    $RUN cache=$OUT/f --stats $OUT/s < Tests/Fixtures/shapes.tar > $OUT/4
    """
  #expect(try shell(cached, script, scratch).status == 0)
  for name in ["1", "2", "3", "4"] { #expect(try scratch.bytes(name) == scratch.bytes("whole")) }
  #expect(try scratch.lines("s")[0].contains("\"cache\":\"12 found, 0 made\""))
}

@Test func aFileThatIsKilledWhileItGrowsIsSound() throws {
  let scratch = try ScratchFolder()
  _ = try shell(cached, "$RUN < Tests/Fixtures/shapes.tar > $OUT/whole", scratch)
  let script = "exec $TOOL run $OUT/a.pipe cache=$OUT/f < Tests/Fixtures/shapes.tar > $OUT/a"
  for step in 0..<15 {
    let process = try Command.start(script, scratch: scratch.path)
    usleep(UInt32(20_000 + step * 6000))
    kill(process, SIGKILL)
    var status: Int32 = 0
    waitpid(process, &status, 0)
    #expect(try scratch.bytes("errors").isEmpty)
  }
  let outcome = try shell(cached, "$RUN cache=$OUT/f --stats $OUT/s < Tests/Fixtures/shapes.tar > $OUT/a", scratch)
  #expect(outcome.status == 0 && outcome.errors == "")
  #expect(try scratch.bytes("a") == scratch.bytes("whole"))
}
