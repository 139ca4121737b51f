import Foundation
import Testing

/// Runs that are refused leave what was there before them.
@Suite struct RefusedRunTests {
  private static let caption = "$TOOL run pipelines/caption.pipe \(Command.tiny) max-tokens=2"

  /// Writes `content` to a file, runs the tool, and finds the file as it was.
  private func isKept(
    _ content: String, _ command: String, status: Int32, _ message: String, input: String = "Tests/Fixtures/shapes.tar"
  ) throws {
    let scratch = try ScratchFolder()
    let script = "printf '\(content)' > $OUT/a; cp $OUT/a $OUT/b; \(command) < \(input) 1<>$OUT/log"
    let outcome = try Command.shell(script, scratch: scratch.path)
    #expect(outcome.status == status && outcome.errors.contains(message), "\(outcome.status): \(outcome.errors)")
    #expect(try scratch.bytes("a") == scratch.bytes("b"))
  }

  @Test func whatAnotherToolWroteIsNotResumed() throws {
    let lines = #"{"key":"shape-00","text":"x"}\n{"key":"shape-01"#
    let foreign = "was not written by this tool"
    try isKept(lines, "\(Self.caption) --resume --set emit.format=tar --set emit.path=$OUT/a", status: 66, foreign)
    for content in [#"\211PNG without an end"#, "# Title\\n\\nText\\n"] {
      try isKept(content, "\(Self.caption) --resume --set emit.path=$OUT/a", status: 66, foreign)
    }
    for content in [#"{"step":1}\n{"step":2}\n"#, #"{"id":"shape-00","conversations":[]}\n"#] {
      try isKept(
        content, "\(Self.caption) --resume --set emit.path=$OUT/a", status: 66,
        "its last line is none that this run writes"
      )
    }
  }

  /// What does not fit is found out before the torn end is cut off.
  @Test func anOutputOfOtherRecordsKeepsItsTornEnd() throws {
    try isKept(
      #"{"key":"other","text":"x"}\n{"key":"to"#, "\(Self.caption) --resume --set emit.path=$OUT/a", status: 66,
      "its last record is \"other\"")
    let scratch = try ScratchFolder()
    let script = """
      cp Tests/Fixtures/shapes.tar $OUT/a
      \(Self.caption) --resume --set emit.format=tar --set emit.path=$OUT/a < examples/scenes.tar
      """
    let outcome = try Command.shell(script, scratch: scratch.path)
    #expect(outcome.status == 66 && outcome.errors.contains("its last record is \"shape-11\""), "\(outcome.errors)")
    let whole = URL(fileURLWithPath: Command.root + "/Tests/Fixtures/shapes.tar")
    #expect(try scratch.bytes("a") == Array(try Data(contentsOf: whole)))
  }

  @Test func aFileThatTwoWouldWriteIsNotEmptied() throws {
    let pipe = #"read | emit fields=[key] path="%s/a" | emit fields=[key] path="%s/a""#
    try isKept(
      "precious", "printf '\(pipe)' $OUT $OUT > $OUT/p; $TOOL run $OUT/p", status: 64, "is what emit writes already")
    try isKept(
      "precious", "echo 'read | emit fields=[key]' > $OUT/p; $TOOL run $OUT/p --set emit.path=$OUT/a --stats $OUT/a",
      status: 64, "is what --stats writes already")
  }

  @Test(arguments: ["emit.path", "stats"]) func aModelsFilesAndThePipeAreNotWritten(what: String) throws {
    let scratch = try ScratchFolder()
    let copy = "cp -r Tests/Fixtures/models/random-target $OUT/m; cp pipelines/caption.pipe $OUT/p"
    #expect(try Command.shell(copy, scratch: scratch.path).status == 0)
    for file in ["m/model.safetensors", "m/tokenizer.json", "p"] {
      let before = try scratch.bytes(file)
      let option = what == "stats" ? "--stats $OUT/\(file)" : "--set emit.path=$OUT/\(file)"
      let run = "$TOOL run $OUT/p target=$OUT/m draft=none max-tokens=2 \(option) --limit 1 < Tests/Fixtures/shapes.tar"
      let outcome = try Command.shell("\(run) > $OUT/log", scratch: scratch.path)
      #expect(outcome.status == 64 && outcome.errors.contains("is the input itself"), "\(outcome.errors)")
      #expect(try scratch.bytes(file) == before, "\(file)")
    }
  }

  @Test func whatLiesBesideAModelMayBeWritten() throws {
    let scratch = try ScratchFolder()
    let script = """
      cp -r Tests/Fixtures/models/random-target $OUT/m
      $TOOL run pipelines/caption.pipe target=$OUT/m draft=none max-tokens=2 --limit 1 --stats $OUT/m/stats.json \
        < Tests/Fixtures/shapes.tar > $OUT/m/captions.jsonl
      """
    let outcome = try Command.shell(script, scratch: scratch.path)
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(try scratch.lines("m/captions.jsonl").count == 1 && scratch.lines("m/stats.json").count == 1)
  }

  @Test func aPipeIsNoFileToGoOnWith() throws {
    let scratch = try ScratchFolder()
    let run = "timeout -k 1 20 $TOOL run $OUT/p --resume --set emit.path=$OUT/f < Tests/Fixtures/shapes.tar"
    let outcome = try Command.shell(
      "mkfifo $OUT/f; echo 'read | emit fields=[key]' > $OUT/p; \(run)", scratch: scratch.path)
    #expect(outcome.status == 64 && outcome.errors.contains("--resume goes on with a file"), "\(outcome.errors)")
  }

  @Test(arguments: ["a.tar.zst", "a.tgz", "a.jsonl.xz", "a.GZ"]) func anEndingThatIsNotKeptIsRefused(name: String)
    throws
  {
    let scratch = try ScratchFolder()
    let run = "echo 'read | emit fields=[key]' | $TOOL run - --set emit.path=$OUT/\(name)"
    let outcome = try Command.shell(run + " --set read.shards=Tests/Fixtures/shapes.tar", scratch: scratch.path)
    #expect(outcome.status == 64 && outcome.errors.contains("files are compressed as .gz or .lz4"), "\(outcome.errors)")
    #expect(!FileManager.default.fileExists(atPath: scratch.path + "/" + name))
  }
}

/// Three records, the second of which cannot be decoded.
private let broken = """
  mkdir $OUT/p; cp Tests/Fixtures/shapes/shape-00.jpg $OUT/p/a.jpg; echo bad > $OUT/p/b.jpg; cp $OUT/p/a.jpg $OUT/p/c.jpg
  tar cf $OUT/in.tar -C $OUT/p a.jpg b.jpg c.jpg; echo 'read | decode | emit fields=[key, index, width]' > $OUT/d.pipe
  """

@Test(arguments: ["--set emit.format=tar", "--set emit.on-error=skip"])
func aResumedRunKnowsOfEarlierFailures(setting: String) throws {
  let scratch = try ScratchFolder()
  let run = "$TOOL run $OUT/d.pipe \(setting) --set emit.path=$OUT/out"
  let whole = try Command.shell("\(broken)\n\(run) < $OUT/in.tar", scratch: scratch.path)
  #expect(whole.status == 1, "\(whole.errors)")
  let expected = try scratch.bytes("out")
  let again = try Command.shell("\(run) --resume < $OUT/in.tar", scratch: scratch.path)
  #expect(again.status == 1, "\(again.errors)")
  #expect(try scratch.bytes("out") == expected)
}

/// Without an output, nothing else would say what failed.
@Test func aRunWithoutAnOutputSaysWhatFailed() throws {
  let scratch = try ScratchFolder()
  let run = "echo 'read | decode' > $OUT/e.pipe; $TOOL run $OUT/e.pipe < $OUT/in.tar"
  let outcome = try Command.shell("\(broken)\n\(run)", scratch: scratch.path)
  #expect(
    outcome.status == 1 && outcome.errors.hasPrefix("massv-pipe: b: decode: b.jpg: expected a JPEG"),
    "\(outcome.errors)")
}

@Test func aRunThatAFailureStopsCountsIt() throws {
  let scratch = try ScratchFolder()
  let run = "$TOOL run $OUT/d.pipe --set emit.on-error=stop --stats $OUT/s < $OUT/in.tar > $OUT/a"
  #expect(try Command.shell("\(broken)\n\(run)", scratch: scratch.path).status == 1)
  #expect(try scratch.lines("s").first?.hasPrefix(#"{"records":2,"failed":1,"#) == true)
}

/// A field of a .json that cannot be read is no field that is not there.
@Test func aRecordWhoseJSONIsBrokenFails() throws {
  let scratch = try ScratchFolder()
  let script = """
    mkdir $OUT/p; cd $OUT/p; echo '{"a":1}' > a.json; echo '{"a":1' > b.json; echo '{"a":NaN}' > c.json; echo '{}' > d.json
    tar cf ../in.tar a.json b.json c.json d.json; echo 'read | emit fields=[key, json.a]' > ../a.pipe
    $TOOL run ../a.pipe < ../in.tar > ../a
    """
  #expect(try Command.shell(script, scratch: scratch.path).status == 1)
  let lines = try scratch.lines("a")
  #expect(lines[0] == #"{"key":"a","json.a":1}"# && lines[3] == #"{"key":"d","json.a":null}"#)
  #expect(lines[1].contains("b.json: byte 7: expected") && lines[2].contains("c.json: byte 5: expected a value"))
}
