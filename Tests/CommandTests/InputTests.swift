import Foundation
import JSON
import Testing

/// What is read where there is no input.
private let standIn = "read ( scenes count=7 seed=3 ) | emit fields=[key]"

@Test(arguments: [
  ("< /dev/null", 7), ("< $OUT/empty", 7), ("< Tests/Fixtures/shapes.tar", 12),
  ("--set read.shards=Tests/Fixtures/shapes.tar < /dev/null", 12), ("--limit 3 < /dev/null", 3),
  ("--set scenes.count=2 < /dev/null", 2),
]) func aSourceStandsInWhereThereIsNoInput(input: String, lines: Int) throws {
  let scratch = try ScratchFolder()
  let script = "touch $OUT/empty; echo '\(standIn)' > $OUT/a.pipe; $TOOL run $OUT/a.pipe \(input) > $OUT/a"
  let outcome = try Command.shell(script, scratch: scratch.path)
  #expect(outcome.status == 0 && outcome.errors == "", "\(outcome.errors)")
  let keys = try scratch.lines("a")
  #expect(keys.count == lines)
  #expect(keys.first == (lines == 12 ? #"{"key":"shape-00"}"# : #"{"key":"scene-0000000"}"#))
}

@Test func whatStoodInIsResumedToTheSameBytes() throws {
  let scratch = try ScratchFolder()
  let script = """
    echo '\(standIn)' > $OUT/a.pipe; RUN="$TOOL run $OUT/a.pipe"
    $RUN < /dev/null > $OUT/whole; head -c 50 $OUT/whole > $OUT/a; $RUN --resume < /dev/null >> $OUT/a
    """
  #expect(try Command.shell(script, scratch: scratch.path).status == 0)
  #expect(try scratch.bytes("a") == scratch.bytes("whole"))
  // Another input than the one that was begun with.
  let other = "head -c 50 $OUT/whole > $OUT/a; $TOOL run $OUT/a.pipe --resume < Tests/Fixtures/shapes.tar >> $OUT/a"
  #expect(try Command.shell(other, scratch: scratch.path).status == 66)
}

@Test func aRecordAsksItsOwnPromptWhereItMay() throws {
  let scratch = try ScratchFolder()
  let script = """
    cat > $OUT/a.pipe <<'EOF'
    param own = true
    let m = model path="Tests/Fixtures/models/random-target"
    scenes count=5 tasks=[questions, text] | decode | encode model=m
    | prompt model=m text="What?" own=$own | generate model=m max-tokens=1 | emit fields=[prompt, json.prompt, json.task]
    EOF
    $TOOL run $OUT/a.pipe > $OUT/a; $TOOL run $OUT/a.pipe own=false > $OUT/b
    """
  _ = try Command.shell(script, scratch: scratch.path)
  for line in try scratch.lines("a").map({ try JSONValue(parsing: Array($0.utf8)) }) {
    #expect(line["prompt"]?.string == line["json.prompt"]?.string && line["prompt"]?.string != "What?")
  }
  let others = try scratch.lines("b").map { try JSONValue(parsing: Array($0.utf8)) }
  #expect(others.contains { $0["json.task"]?.string == "questions" })
  for line in others where line["json.task"]?.string == "questions" { #expect(line["prompt"]?.string == "What?") }
}

/// A limit of the command line is as good as one of the model's own file.
@Test func picturesAreMadeSmaller() throws {
  let scratch = try ScratchFolder()
  let script = """
    cp -r Tests/Fixtures/models/random-target $OUT/m
    sed -i 's/"max_pixels": 62720/"max_pixels": 20000/' $OUT/m/preprocessor_config.json
    RUN="$TOOL run pipelines/caption.pipe draft=none max-tokens=6 fields=[key,token_ids]"; IN=Tests/Fixtures/shapes.tar
    $RUN target=Tests/Fixtures/models/random-target < $IN > $OUT/own
    $RUN target=Tests/Fixtures/models/random-target max-pixels=20000 < $IN > $OUT/limited
    $RUN target=Tests/Fixtures/models/random-target max-pixels=1000000 < $IN > $OUT/above
    $RUN target=$OUT/m < $IN > $OUT/file
    """
  let outcome = try Command.shell(script, scratch: scratch.path)
  #expect(outcome.status == 0, "\(outcome.errors)")
  #expect(try scratch.lines("own").count == 12)
  #expect(try scratch.bytes("limited") == scratch.bytes("file"))
  #expect(try scratch.bytes("limited") != scratch.bytes("own"))
  #expect(try scratch.bytes("above") == scratch.bytes("own"))
}

@Test(arguments: [
  ("< .", "read: standard input: expected a tar file, found a folder"),
  ("<&-", "read: standard input: Bad file descriptor"),
]) func anInputThatCannotBeReadEndsTheRun(input: String, message: String) throws {
  let scratch = try ScratchFolder()
  let script = "echo 'read | emit fields=[key]' > $OUT/a.pipe; $TOOL run $OUT/a.pipe \(input)"
  let outcome = try Command.shell(script, scratch: scratch.path)
  #expect(outcome.status == 66 && outcome.errors.contains(message), "\(outcome.errors)")
}

@Test func namesCannotWriteToATerminal() throws {
  let scratch = try ScratchFolder()
  let script = #"""
    NAME="$(printf 'x\033[2Jy\nmassv-pipe: z\342\200\256').jpg"; touch "$OUT/$NAME"; tar cf $OUT/a.tar -C $OUT "$NAME"
    echo 'read | decode | emit fields=[key] on-error=skip' > $OUT/a.pipe; $TOOL run $OUT/a.pipe < $OUT/a.tar > $OUT/a
    """#
  let outcome = try Command.shell(script, scratch: scratch.path)
  #expect(outcome.status == 1)
  #expect(outcome.errors.hasPrefix(#"massv-pipe: skipped x\u{1B}[2Jy\nmassv-pipe: z\u{202E}: "#), "\(outcome.errors)")
  #expect(outcome.errors.split(separator: "\n").count == 1)
}

/// A chunk that claims two gigabytes costs none.
@Test func aPicturesSmallFileTakesLittleMemory() throws {
  let scratch = try ScratchFolder()
  try "read | decode | emit fields=[key, width]".write(
    toFile: scratch.path + "/a.pipe", atomically: true, encoding: .utf8)
  let script = """
    cd Tests/Fixtures/images; mkdir $OUT/d; F=tile-28x28.png
    (head -c -12 $F; printf '\\177\\377\\377\\360tEXtComment') > $OUT/d/behind.png
    (head -c 33 $F; printf '\\177\\377\\377\\360zTXtComment'; tail -c +34 $F) > $OUT/d/first.png
    tar -C $OUT/d -cf $OUT/in.tar behind.png first.png; exec $TOOL run $OUT/a.pipe < $OUT/in.tar > $OUT/a
    """
  let outcome = try Command.shell(script, scratch: scratch.path)
  #expect(outcome.peak < 200_000, "\(outcome.peak) KB")
  let lines = try scratch.lines("a")
  #expect(outcome.status == 1 && lines.count == 2 && lines[0] == #"{"key":"behind","width":28}"#, "\(lines)")
}
