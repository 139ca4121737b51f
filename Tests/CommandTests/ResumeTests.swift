import Foundation
import Testing

private let many = "for i in 1 2 3 4 5 6 7 8 9 10; do cat Tests/Fixtures/shapes.tar; done"

private func caption(_ output: String) -> String {
  "run pipelines/caption.pipe \(Command.tiny) max-tokens=6 temperature=1 \"fields=[key,index,text]\" --set emit.path=\(output)"
}

/// One uninterrupted run's output.
private func whole(_ name: String, _ scratch: ScratchFolder) throws -> [UInt8] {
  let outcome = try Command.shell(
    "(\(many)) > $OUT/in.tar; $TOOL \(caption("$OUT/\(name)")) < $OUT/in.tar", scratch: scratch.path)
  #expect(outcome.status == 0)
  return try scratch.bytes(name)
}

@Test func aRunThatWasKilledAtAnyMomentIsResumedToTheSameBytes() throws {
  let scratch = try ScratchFolder()
  let expected = try whole("whole.jsonl", scratch)
  var random = SystemRandomNumberGenerator()
  var torn = 0
  var unfinished = 0
  let script = "exec $TOOL \(caption("$OUT/out.jsonl")) --resume < $OUT/in.tar"
  try? FileManager.default.removeItem(atPath: scratch.path + "/out.jsonl")
  for _ in 0..<100 {
    let process = try Command.start(script, scratch: scratch.path)
    usleep(UInt32.random(in: 0..<160_000, using: &random))
    kill(process, SIGKILL)
    var status: Int32 = 0
    waitpid(process, &status, 0)
    let bytes = (try? scratch.bytes("out.jsonl")) ?? []
    #expect(expected.starts(with: bytes), "not a beginning of the whole")
    if !bytes.isEmpty, bytes.count < expected.count { unfinished += 1 }
    // A kill between two writes leaves whole lines; tear one as a full disk would.
    if bytes.count > 30, Bool.random(using: &random) {
      truncate(scratch.path + "/out.jsonl", off_t(bytes.count - Int.random(in: 1..<30, using: &random)))
      torn += 1
    }
    if bytes.count == expected.count { try? FileManager.default.removeItem(atPath: scratch.path + "/out.jsonl") }
  }
  let outcome = try Command.shell(script, scratch: scratch.path)
  #expect(outcome.status == 0)
  #expect(try scratch.bytes("out.jsonl") == expected)
  print("of 100 kills \(unfinished) left an unfinished file, \(torn) lines were torn")
  #expect(unfinished > 10)
}

@Test(arguments: ["out.jsonl.gz", "out.jsonl.lz4"]) func compressedOutputIsResumedToTheSameBytes(name: String) throws {
  let scratch = try ScratchFolder()
  let expected = try whole(name, scratch)
  for length in [0, 1, 40, 700, expected.count / 2, expected.count - 9, expected.count] {
    try Data(expected[..<length]).write(to: URL(fileURLWithPath: scratch.path + "/" + name))
    let outcome = try Command.shell("$TOOL \(caption("$OUT/" + name)) --resume < $OUT/in.tar", scratch: scratch.path)
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(try scratch.bytes(name) == expected, "cut at \(length)")
  }
  let unpack = name.hasSuffix(".gz") ? "gzip -dc" : "lz4 -dc"
  let read = try Command.shell("\(unpack) $OUT/\(name) > $OUT/plain || exit 3", scratch: scratch.path)
  if read.status == 0 { #expect(try scratch.lines("plain").count == 120) }
}

@Test func aTarIsResumedToTheSameBytes() throws {
  let scratch = try ScratchFolder()
  let run =
    "$TOOL run pipelines/caption.pipe \(Command.tiny) max-tokens=6 --set emit.format=tar --set emit.path=$OUT/out.tar"
  #expect(try Command.shell("\(run) < Tests/Fixtures/shapes.tar", scratch: scratch.path).status == 0)
  let expected = try scratch.bytes("out.tar")
  for length in [0, 100, 512, 9000, expected.count - 5000, expected.count - 1024, expected.count - 512, expected.count]
  {
    try Data(expected[..<length]).write(to: URL(fileURLWithPath: scratch.path + "/out.tar"))
    let outcome = try Command.shell("\(run) --resume < Tests/Fixtures/shapes.tar", scratch: scratch.path)
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(try scratch.bytes("out.tar") == expected, "cut at \(length)")
  }
  // What it wrote is a shard like any other.
  let script = "echo 'read shards=\"'$OUT'/out.tar\" | emit fields=[key,json.width]' | $TOOL run - > $OUT/keys"
  #expect(try Command.shell(script, scratch: scratch.path).status == 0)
  #expect(try scratch.lines("keys").count == 12)
}

@Test func aDistillationThatIsAppendedToIsResumedToTheSameBytes() throws {
  let scratch = try ScratchFolder()
  let run = "$TOOL run pipelines/distill.pipe target=Tests/Fixtures/models/random-target max-tokens=6 samples=2"
  #expect(try Command.shell("\(run) < Tests/Fixtures/shapes.tar > $OUT/whole", scratch: scratch.path).status == 0)
  let expected = try scratch.bytes("whole")
  for length in [0, 100, 40_000, expected.count / 2, expected.count - 5000, expected.count] {
    let script =
      "head -c \(length) $OUT/whole > $OUT/a; "
      + "\(run) draft=Tests/Fixtures/models/random-massv --resume < Tests/Fixtures/shapes.tar >> $OUT/a"
    #expect(try Command.shell(script, scratch: scratch.path).status == 0)
    #expect(try scratch.bytes("a") == expected, "cut at \(length)")
  }
}

@Test func standardOutputIsResumedWhereItIsAFile() throws {
  let scratch = try ScratchFolder()
  let run = "$TOOL run pipelines/caption.pipe \(Command.tiny) max-tokens=6"
  _ = try Command.shell("\(run) < Tests/Fixtures/shapes.tar > $OUT/whole", scratch: scratch.path)
  let script = "head -c 200 $OUT/whole > $OUT/a; \(run) --resume < Tests/Fixtures/shapes.tar >> $OUT/a"
  #expect(try Command.shell(script, scratch: scratch.path).status == 0)
  #expect(try scratch.bytes("a") == scratch.bytes("whole"))
  let piped = try Command.shell("\(run) --resume < Tests/Fixtures/shapes.tar | cat > $OUT/a", scratch: scratch.path)
  #expect(piped.errors.contains("--resume goes on with a file"))
}

@Test func anInputThatDoesNotFitIsAnError() throws {
  let scratch = try ScratchFolder()
  let run = "$TOOL run pipelines/caption.pipe \(Command.tiny) max-tokens=6"
  _ = try Command.shell("\(run) < Tests/Fixtures/shapes.tar > $OUT/a; tail -3 $OUT/a > $OUT/b", scratch: scratch.path)
  let other = try Command.shell("\(run) --resume < Tests/Fixtures/shapes.tar >> $OUT/b", scratch: scratch.path)
  #expect(other.status == 66)
  #expect(other.errors.contains("its last record is \"shape-11\", record 2 of the input is \"shape-02\""))
  let short = try Command.shell(
    "cat $OUT/a >> $OUT/a2; cat $OUT/a >> $OUT/a2; \(run) --resume < Tests/Fixtures/shapes.tar >> $OUT/a2",
    scratch: scratch.path)
  #expect(short.status == 66 && short.errors.contains("it has 24 records, the input only 12"))
}

@Test func aFullDiskIsAnErrorAndTheRunCompletesLater() throws {
  let scratch = try ScratchFolder()
  let expected = try whole("whole.jsonl", scratch)
  // A limit on file sizes stands for the full disk: one block more than nothing fits.
  let limited = try Command.shell(
    "ulimit -f 2; $TOOL \(caption("$OUT/out.jsonl")) < $OUT/in.tar", scratch: scratch.path)
  #expect(limited.status == 66, "\(limited.errors)")
  #expect(limited.errors.contains("out.jsonl: File too large"))
  #expect(expected.starts(with: try scratch.bytes("out.jsonl")))
  let outcome = try Command.shell("$TOOL \(caption("$OUT/out.jsonl")) --resume < $OUT/in.tar", scratch: scratch.path)
  #expect(outcome.status == 0)
  #expect(try scratch.bytes("out.jsonl") == expected)
}

/// What failed before the run was cut off still counts, and where it was to stop, it has stopped.
@Test func failuresOfAnEarlierRunAreNotForgotten() throws {
  let scratch = try ScratchFolder()
  let run = "$TOOL run pipelines/caption.pipe \(Command.tiny) max-tokens=6"
  let pictures = "cp Tests/Fixtures/shapes/shape-00.jpg $OUT/a.jpg; cp $OUT/a.jpg $OUT/c.jpg; echo torn > $OUT/b.jpg"
  _ = try Command.shell("\(pictures); tar cf $OUT/in.tar -C $OUT a.jpg b.jpg c.jpg", scratch: scratch.path)
  #expect(try Command.shell("\(run) < $OUT/in.tar > $OUT/whole", scratch: scratch.path).status == 1)
  for name in ["out.jsonl", "out.jsonl.gz"] {
    let resumed = "\(run) --set emit.path=$OUT/\(name)"
    #expect(try Command.shell("\(resumed) < $OUT/in.tar", scratch: scratch.path).status == 1)
    #expect(try Command.shell("\(resumed) --resume < $OUT/in.tar", scratch: scratch.path).status == 1, "\(name)")
  }
  let stop = "\(run) --set emit.on-error=stop"
  #expect(try Command.shell("\(stop) < $OUT/in.tar > $OUT/s", scratch: scratch.path).status == 1)
  let again = try Command.shell("\(stop) --resume < $OUT/in.tar >> $OUT/s", scratch: scratch.path)
  #expect(again.status == 1 && again.errors.contains("ended with record b, which failed (on-error=stop): "))
  #expect(try scratch.lines("s").count == 2)
  // With failures left in lines, it goes on.
  #expect(try Command.shell("\(run) --resume < $OUT/in.tar >> $OUT/s", scratch: scratch.path).status == 1)
  #expect(try scratch.bytes("s") == scratch.bytes("whole"))
}

/// --resume is also how a run begins, of outputs too that cannot be gone on with.
@Test(arguments: ["out.tar.gz", "out.tar", "out.jsonl.lz4"]) func aRunBeginsWithResume(name: String) throws {
  let scratch = try ScratchFolder()
  let format = name.contains("tar") ? "tar" : "jsonl"
  try "read | emit format=\(format) fields=[key] path=\"\(scratch.path)/\(name)\"".write(
    toFile: scratch.path + "/a.pipe", atomically: true, encoding: .utf8)
  let run = "exec $TOOL run $OUT/a.pipe --resume < Tests/Fixtures/shapes.tar"
  let outcome = try Command.shell(run, scratch: scratch.path)
  #expect(outcome.status == 0, "\(outcome.errors)")
  #expect(try !scratch.bytes(name).isEmpty)
}
