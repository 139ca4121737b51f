import Foundation
import Testing

/// Files that are written: none that is read, and none from two places.
private let caption = "$TOOL run pipelines/caption.pipe \(Command.tiny) max-tokens=2"
private let evaluate =
  "$TOOL run pipelines/evaluate.pipe \(Command.tiny) text=none fixed=none max-tokens=2 --limit 2"
private let train =
  "$TOOL run pipelines/pretrain-projector.pipe target=Tests/Fixtures/models/random-target "
  + "language=Tests/Fixtures/models/qwen2-echo save=$OUT/d steps=1 batch=4"

@Test(arguments: [
  "\(caption) --set emit.path=$OUT/in.tar < $OUT/in.tar", "\(caption) < $OUT/in.tar >> $OUT/in.tar",
  "\(caption) --set read.shards=$OUT/in.tar --set emit.path=$OUT/./in.tar",
  "\(caption) --set read.shards=$OUT/in.tar >> $OUT/in.tar",
  "ln -s in.tar $OUT/link; \(caption) --set read.shards=$OUT/in.tar --set emit.path=$OUT/link",
  "\(caption) --stats $OUT/in.tar < $OUT/in.tar", "\(caption) --set read.shards=$OUT/in.tar --stats $OUT/in.tar",
  "\(evaluate) log=$OUT/in.tar < $OUT/in.tar", "\(evaluate) shards=$OUT/in.tar details=$OUT/in.tar",
  "\(evaluate) shards=$OUT/in.tar report=$OUT/in.tar", "\(train) --set train.log=$OUT/in.tar < $OUT/in.tar",
]) func whatIsReadIsNotWritten(command: String) throws {
  let scratch = try ScratchFolder()
  let outcome = try Command.shell("cp Tests/Fixtures/shapes.tar $OUT/in.tar; \(command)", scratch: scratch.path)
  #expect(outcome.status == 64)
  #expect(outcome.errors.contains("is the input itself"), "\(outcome.errors)")
  let shapes = try Data(contentsOf: URL(fileURLWithPath: Command.root + "/Tests/Fixtures/shapes.tar"))
  #expect(try scratch.bytes("in.tar") == Array(shapes))
}

@Test func noFileIsWrittenFromTwoPlaces() throws {
  let scratch = try ScratchFolder()
  func outcome(_ pipe: String, _ arguments: String = "") throws -> Command.Outcome {
    try pipe.write(toFile: scratch.path + "/a.pipe", atomically: true, encoding: .utf8)
    return try Command.shell(
      "$TOOL run $OUT/a.pipe \(arguments) < Tests/Fixtures/shapes.tar > $OUT/lines", scratch: scratch.path)
  }
  let same = "path=\"\(scratch.path)/same\""
  let twice = try outcome("read | tee ( emit fields=[key] \(same) ) | emit fields=[key, index] \(same)")
  #expect(twice.status == 64 && twice.errors.contains("emit: \(scratch.path)/same is what emit writes already"))
  let behind = try outcome(
    "read | emit fields=[key] \(same)\nread shards=\"Tests/Fixtures/shapes.tar\" | emit fields=[key] \(same)")
  #expect(behind.status == 64 && behind.errors.contains("is what emit writes already"))
  let named = try outcome("read | tee ( emit fields=[key] ) | emit fields=[key] path=\"\(scratch.path)/lines\"")
  #expect(named.status == 64 && named.errors.contains("lines is what emit writes already"))
  let counted = try outcome("read | emit fields=[key] \(same)", "--stats $OUT/same")
  #expect(counted.status == 64 && counted.errors.contains("same is what --stats writes already"))
  // Standard output is shared, and what one chain has written another may read.
  #expect(try outcome("read | tee ( emit fields=[key] ) | emit fields=[key]").status == 0)
  #expect(try scratch.lines("lines").count == 24)
  let copy = "path=\"\(scratch.path)/copy.tar\""
  let pipe = "read | emit format=tar fields=[key] \(copy)\nread shards=\"\(scratch.path)/copy.tar\" | emit fields=[key]"
  #expect(try outcome(pipe).status == 0)
  #expect(try scratch.lines("lines").count == 12)
}

@Test func countersThatCannotBeWrittenAreFoundOutBeforeTheRun() throws {
  let scratch = try ScratchFolder()
  let outcome = try Command.shell(
    "\(caption) --stats $OUT/none/stats < Tests/Fixtures/shapes.tar > $OUT/a", scratch: scratch.path)
  #expect(outcome.status == 66 && outcome.errors.contains("none/stats: the counters cannot be written: No such file"))
  #expect(try scratch.lines("a").isEmpty)
}

@Test func anOutputHasItsEndWhereALaterLinkAsksForNoMore() throws {
  let scratch = try ScratchFolder()
  let script = """
    cat > $OUT/a.pipe <<'EOF'
    param a = none
    param b = none
    read | emit format=tar fields=[key] path=$a | tee ( emit format=tar fields=[key] path=$b | limit records=2 )
    | limit records=3 | emit fields=[key]
    EOF
    $TOOL run $OUT/a.pipe a=$OUT/a.tar.gz b=$OUT/b.tar < Tests/Fixtures/shapes.tar > $OUT/a &&
    echo 'read | emit fields=[key]' > $OUT/b.pipe && $TOOL run $OUT/b.pipe < $OUT/a.tar.gz > $OUT/b &&
    $TOOL run $OUT/b.pipe < $OUT/b.tar > $OUT/c
    """
  let outcome = try Command.shell(script, scratch: scratch.path)
  #expect(outcome.status == 0 && outcome.errors == "", "\(outcome.errors)")
  #expect(try scratch.lines("b") == scratch.lines("a") && scratch.lines("a").count == 3)
  #expect(try scratch.lines("c") == Array(scratch.lines("a").prefix(2)))
}

/// What was cut off by an error elsewhere does not look whole, and an end that cannot be written is an error.
@Test func anOutputHasNoEndBehindAnError() throws {
  let scratch = try ScratchFolder()
  let script = """
    echo 'read | emit format=tar fields=[key] path="'$OUT'/a.tar" | emit fields=[key] path="/dev/full"' > $OUT/a.pipe
    $TOOL run $OUT/a.pipe < Tests/Fixtures/shapes.tar; echo 'read | emit fields=[key]' > $OUT/b.pipe
    $TOOL run $OUT/b.pipe < $OUT/a.tar > $OUT/b
    """
  let outcome = try Command.shell(script, scratch: scratch.path)
  #expect(outcome.status == 1 && outcome.errors.contains("/dev/full: No space left on device"), "\(outcome.errors)")
  #expect(try scratch.lines("b").last?.contains("ends without its end-of-archive marker") == true)
  let limited = """
    echo 'read | emit format=tar fields=[key] path="'$OUT'/c.tar" | limit records=1' > $OUT/c.pipe
    dd if=/dev/zero of=$OUT/x.jpg bs=512 count=1 2> $OUT/dd; tar cf $OUT/in.tar -C $OUT x.jpg
    ulimit -f 2; exec $TOOL run $OUT/c.pipe < $OUT/in.tar
    """
  // Blocks of 512 bytes: a header and its content fit, the end does not.
  let full = try Command.shell(limited, scratch: scratch.path)
  #expect(full.status == 66 && full.errors.contains("File too large"), "\(full.status): \(full.errors)")
}

/// A run of its own over what an earlier one wrote: what is none of its own stays, and nothing stale does.
@Test func membersOfAnEarlierRunAreReplacedOrKept() throws {
  let scratch = try ScratchFolder()
  let script = """
    mkdir $OUT/p; cp Tests/Fixtures/shapes/shape-00.jpg $OUT/p/a.jpg; echo '{"mine":1}' > $OUT/p/a.facts.json
    echo '[1]' > $OUT/p/a.token_ids.json; echo '{"key":"a","error":{"stage":"decode","message":"x"}}' > $OUT/p/a.error.json
    tar cf $OUT/in.tar -C $OUT/p .; RUN="$TOOL run pipelines/caption.pipe \(Command.tiny) max-tokens=2"
    RUN="$RUN --set emit.format=tar --set emit.path=$OUT/a.tar"
    $RUN < $OUT/in.tar && tar tf $OUT/a.tar | sort > $OUT/names; $RUN --resume < $OUT/in.tar
    """
  let outcome = try Command.shell(script, scratch: scratch.path)
  #expect(outcome.status == 0, "\(outcome.errors)")
  #expect(try scratch.lines("names") == ["./a.facts.json", "./a.jpg", "./a.text.txt"])
}
