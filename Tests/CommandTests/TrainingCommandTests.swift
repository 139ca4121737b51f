import Foundation
import JSON
import Testing

/// Training as a process: killed, out of space, and on input that cannot be learnt from.
@Suite struct TrainingCommandTests {
  private static let captions = "Tests/Fixtures/captions/train.tar.gz"

  /// Writes a training pipe; `train` are further arguments of the last call.
  private func pipe(_ scratch: ScratchFolder, _ train: String, shards: String? = nil) throws -> String {
    for index in 1...4 where shards == nil {
      try? FileManager.default.createSymbolicLink(
        atPath: scratch.path + "/c\(index).tar.gz", withDestinationPath: Command.root + "/" + Self.captions)
    }
    let text = """
      param save = "drafter"
      let target  = model   path="Tests/Fixtures/models/random-target"
      let drafter = student path="Tests/Fixtures/models/qwen2-echo" target=target
      read shards="\(shards ?? scratch.path + "/c{1..4}.tar.gz")" | decode | encode model=target
      | prompt model=target text="Describe." | label model=drafter | batch size=8
      | train model=drafter save=$save update=[projector, language] \(train)
      """
    try text.write(toFile: scratch.path + "/train.pipe", atomically: true, encoding: .utf8)
    return "$TOOL run $OUT/train.pipe save=$OUT/"
  }

  /// What a line says of its step, without how long it took.
  private func steps(_ name: String, _ scratch: ScratchFolder) throws -> [String] {
    try scratch.lines(name).map { String(try #require($0.split(separator: ",\"tokens_per_s\"").first)) }
  }

  @Test func aKilledRunGoesOnBitForBit() throws {
    let scratch = try ScratchFolder()
    let tool = try pipe(scratch, "steps=100 checkpoint=7")
    #expect(try Command.shell("exec \(tool)whole > $OUT/whole.jsonl", scratch: scratch.path).status == 0)
    // The first attempt dies before any state was saved, the last one comes to the end.
    let script = """
      touch $OUT/torn.jsonl
      for lines in 3 20 45 80; do
        \(tool)torn --resume >> $OUT/torn.jsonl & pid=$!
        while kill -0 $pid && [ $(wc -l < $OUT/torn.jsonl) -lt $lines ]; do sleep 0.01; done
        kill -9 $pid; wait $pid
        wc -l < $OUT/torn.jsonl >> $OUT/lines
      done
      \(tool)torn --resume >> $OUT/torn.jsonl; echo $? > $OUT/status
      """
    _ = try Command.shell(script, scratch: scratch.path)
    let seen = try scratch.lines("lines").compactMap { Int($0) }
    print("lines at the kills: \(seen)")
    #expect(try scratch.lines("status") == ["0"])
    #expect(seen.contains { (1..<100).contains($0) }, "no run was killed between two steps")
    #expect(try steps("torn.jsonl", scratch) == steps("whole.jsonl", scratch))
    for name in ["model.safetensors", "projector.safetensors", "training/optimizer.safetensors", "training/state.json"]
    {
      #expect(try scratch.bytes("torn/" + name) == scratch.bytes("whole/" + name), "\(name)")
    }
  }

  @Test func aSignalSavesTheStateAndARunGoesOn() throws {
    let scratch = try ScratchFolder()
    let tool = try pipe(scratch, "steps=60 checkpoint=1000")
    #expect(try Command.shell("exec \(tool)whole > $OUT/whole.jsonl", scratch: scratch.path).status == 0)
    // Wherever in a batch the signal falls.
    let script = """
      touch $OUT/a
      for lines in 1 9 17 25 33 41; do
        \(tool)d --resume >> $OUT/a & pid=$!
        while kill -0 $pid && [ $(wc -l < $OUT/a) -lt $lines ]; do sleep 0.003; done
        kill -TERM $pid; wait $pid; echo $? >> $OUT/status; cat $OUT/d/training/state.json >> $OUT/states
      done
      exec \(tool)d --resume >> $OUT/a
      """
    #expect(try Command.shell(script, scratch: scratch.path).status == 0)
    #expect(try scratch.lines("status").contains("143"))
    let records = try scratch.lines("states").map { try JSONValue(parsing: Array($0.utf8))["records"]?.int }
    print("records at the signals: \(records.map { $0 ?? -1 })")
    #expect(records.allSatisfy { ($0 ?? 1) % 8 == 0 }, "a batch was cut short")
    #expect(try steps("a", scratch) == steps("whole.jsonl", scratch))
    #expect(try scratch.bytes("d/model.safetensors") == scratch.bytes("whole/model.safetensors"))
  }

  /// A log may hold other runs' lines and notes: of those, none is taken away.
  @Test func aLogThatHoldsMoreKeepsIt() throws {
    let scratch = try ScratchFolder()
    let first = try pipe(scratch, "steps=4 checkpoint=2")
    let earlier = (1...30).map { "{\"step\":\($0),\"loss\":1}" } + ["a note", "{\"step\":7}"]
    try (earlier.joined(separator: "\n") + "\n").write(
      toFile: scratch.path + "/log", atomically: true, encoding: .utf8)
    #expect(try Command.shell("exec \(first)d --resume >> $OUT/log", scratch: scratch.path).status == 0)
    #expect(try scratch.lines("log").count == 36)
    // Lines behind the state's step are written again; the earlier ones stay.
    let second = try pipe(scratch, "steps=6 checkpoint=2")
    let script = "echo '{\"step\":5,\"loss\":9}' >> $OUT/log; printf '{\"step\":6,\"lo' >> $OUT/log; exec "
    #expect(try Command.shell("\(script)\(second)d --resume >> $OUT/log", scratch: scratch.path).status == 0)
    let lines = try scratch.lines("log")
    #expect(Array(lines.prefix(32)) == earlier)
    #expect(try lines.dropFirst(32).map { try JSONValue(parsing: Array($0.utf8))["step"]?.int } == [1, 2, 3, 4, 5, 6])
    #expect(!lines.contains { $0.contains("\"loss\":9}") })
    // Lines of steps that are further on than the state are another run's.
    let third = try pipe(scratch, "steps=8")
    let other = "echo '{\"step\":20}' > $OUT/other; exec "
    let outcome = try Command.shell("\(other)\(third)d --resume >> $OUT/other", scratch: scratch.path)
    #expect(outcome.status == 66)
    #expect(outcome.errors.contains("the state is that of step 6, the last lines are those of steps 20 to 20"))
    #expect(try scratch.lines("other") == ["{\"step\":20}"])
  }

  @Test func aLossThatIsNoNumberStopsWithTheRecordsAndTheLastState() throws {
    let scratch = try ScratchFolder()
    let tool = try pipe(scratch, "steps=4")
    #expect(try Command.shell("exec \(tool)d > $OUT/a", scratch: scratch.path).status == 0)
    // A weight of the saved state that is no number: the next step cannot be made.
    let script = "printf '\\377\\377\\377\\177' | dd of=$OUT/d/training/optimizer.safetensors bs=1 conv=notrunc "
    let place = try scratch.bytes("d/training/optimizer.safetensors").prefix(8).enumerated().reduce(8) {
      $0 + Int($1.element) << (8 * $1.offset)
    }
    let more = try pipe(scratch, "steps=9")
    let outcome = try Command.shell(
      script + "seek=\(place) 2> $OUT/dd; exec \(more)d --resume >> $OUT/a", scratch: scratch.path)
    #expect(outcome.status == 1)
    #expect(outcome.errors.contains("train: step 5: the loss is nan"), "\(outcome.errors)")
    #expect(outcome.errors.contains("the state of step 4 is in"))
    #expect(outcome.errors.contains("records of the step: train-"))
    #expect(try scratch.lines("a").count == 4)
    #expect(String(decoding: try scratch.bytes("d/training/state.json"), as: UTF8.self).contains("\"step\":4,"))
  }

  @Test func whatWasLearntIsKeptWhenNobodyReadsTheLog() throws {
    let scratch = try ScratchFolder()
    let tool = try pipe(scratch, "steps=30")
    let script = "(\(tool)d; echo $? > $OUT/status) | head -2 > $OUT/a"
    #expect(try Command.shell(script, scratch: scratch.path).status == 0)
    #expect(try scratch.lines("a").count == 2 && scratch.lines("status") == ["0"])
    #expect(String(decoding: try scratch.bytes("d/training/state.json"), as: UTF8.self).contains("\"step\":"))
    let log = try Command.shell("\(tool)e --set train.log=$OUT/e/log.jsonl", scratch: scratch.path)
    #expect(log.status == 64 && log.errors.contains("expected a file outside of the folder"), "\(log.errors)")
  }

  @Test func aFullDiskIsAnErrorThatLeavesTheLastState() throws {
    let scratch = try ScratchFolder()
    let first = try pipe(scratch, "steps=3")
    #expect(try Command.shell("exec \(first)d > $OUT/a", scratch: scratch.path).status == 0)
    let state = try scratch.bytes("d/training/state.json")
    let second = try pipe(scratch, "steps=20")
    let outcome = try Command.shell("ulimit -f 400; exec \(second)d --resume > $OUT/b", scratch: scratch.path)
    #expect(outcome.status == 66)
    #expect(outcome.errors.contains("File too large"), "\(outcome.errors)")
    #expect(try scratch.bytes("d/training/state.json") == state)
    #expect(!FileManager.default.fileExists(atPath: scratch.path + "/d.partial"))
    // With room again, the run goes on from the state that was saved.
    #expect(try Command.shell("exec \(second)d --resume > $OUT/b", scratch: scratch.path).status == 0)
    #expect(try scratch.lines("b").first?.hasPrefix("{\"step\":4,") == true)
  }

  @Test func whatCannotBeLearntFromCostsItselfAlone() throws {
    let scratch = try ScratchFolder()
    let script = """
      mkdir $OUT/in && cd $OUT/in && cp \(Command.root)/Tests/Fixtures/shapes/shape-00.jpg good.jpg
      cp good.jpg empty.jpg; cp good.jpg none.jpg; cp good.jpg ids.jpg; cp good.jpg masked.jpg; echo torn > broken.jpg
      echo 'a circle' > good.txt; echo ' ' > empty.txt; echo 'no picture' > blind.txt; echo 'a' > broken.txt
      echo '[1, 99999999]' > ids.token_ids.json; echo '[]' > masked.token_ids.json
      tar cf ../in.tar blind.txt broken.jpg broken.txt empty.jpg empty.txt good.jpg good.txt ids.jpg ids.token_ids.json \
        masked.jpg masked.token_ids.json none.jpg
      """
    #expect(try Command.shell(script, scratch: scratch.path).status == 0)
    let tool = try pipe(scratch, "steps=9", shards: scratch.path + "/in.tar")
    let outcome = try Command.shell("exec \(tool)d --stats $OUT/s > $OUT/a", scratch: scratch.path)
    #expect(outcome.status == 1)
    #expect(try scratch.lines("s").first?.hasPrefix(#"{"records":7,"failed":6,"#) == true)
    #expect(try scratch.lines("a").count == 1)
    for message in [
      "blind: label: blind: expected a picture with its answer, found none", "broken: decode:",
      "empty: label: empty: expected an answer to learn, found an empty one", "ids.token_ids.json: expected ids below",
      "masked: label: masked: expected an answer to learn, found an empty one", "none: label: none: expected an answer",
    ] {
      #expect(outcome.errors.contains("left out \(message)") || outcome.errors.contains(message), "\(outcome.errors)")
    }
  }

  @Test func promptsWithoutPicturesAreLearntWhereAsked() throws {
    let scratch = try ScratchFolder()
    let models = "examples/models"
    func tune(_ folder: String, _ arguments: String = "") throws -> (status: Int32, errors: String) {
      let script = """
        $TOOL run pipelines/scenes.pipe count=16 'tasks=[captions, text]' > $OUT/in.tar
        tar tf $OUT/in.tar | grep -c jpg > $OUT/pictures
        exec $TOOL run pipelines/sdvit.pipe target=\(models)/scenes-target draft=\(models)/scenes-phase1 save=$OUT/\(folder) answer=txt \
          shards=$OUT/in.tar cache=$OUT/features epochs=1 batch=4 steps=9 \(arguments) > $OUT/a
        """
      let outcome = try Command.shell(script, scratch: scratch.path)
      return (outcome.status, outcome.errors)
    }
    let strict = try tune("strict")
    #expect(strict.status == 1 && strict.errors.contains("expected a picture with its answer"), "\(strict.errors)")
    let pictures = try #require(Int(try scratch.lines("pictures")[0]))
    #expect(pictures <= 12)
    #expect(try scratch.lines("a").count == (pictures + 3) / 4)
    let open = try tune("open", "picture=optional")
    #expect(open.status == 0, "\(open.errors)")
    #expect(try scratch.lines("a").count == 4)
  }

  @Test(arguments: [
    ("steps=3 update=[language, tower]", 64, "tower"), ("steps=0", 64, "steps"), ("lr=fast", 64, "lr"),
  ])
  func aWrongArgumentIsSaidBeforeAnyModelIsLoaded(train: String, status: Int32, message: String) throws {
    let scratch = try ScratchFolder()
    let outcome = try Command.shell("exec \(try pipe(scratch, train))d", scratch: scratch.path)
    #expect(outcome.status == status && outcome.errors.contains(message), "\(outcome.errors)")
  }

  @Test func aFolderThatIsSomethingElseIsNotReplaced() throws {
    let scratch = try ScratchFolder()
    let tool = try pipe(scratch, "steps=1")
    let outcome = try Command.shell(
      "mkdir $OUT/d; echo mine > $OUT/d/letter; exec \(tool)d > $OUT/a", scratch: scratch.path)
    #expect(outcome.status == 66)
    #expect(outcome.errors.contains("is there already and holds no training state"), "\(outcome.errors)")
    #expect(try scratch.lines("d/letter") == ["mine"])
  }

  /// Neither read for ever nor silently done.
  @Test func inputThatTeachesNothingEndsTheRun() throws {
    let scratch = try ScratchFolder()
    let script = """
      mkdir $OUT/p; for i in 0 1 2; do cp Tests/Fixtures/shapes/shape-00.jpg $OUT/p/$i.jpg; done
      tar cf $OUT/in.tar -C $OUT/p 0.jpg 1.jpg 2.jpg
      timeout -k 2 60 $TOOL run pipelines/pretrain-projector.pipe target=Tests/Fixtures/models/random-target \
        language=Tests/Fixtures/models/qwen2-echo steps=5 save=$OUT/d < $OUT/in.tar > $OUT/a
      """
    let outcome = try Command.shell(script, scratch: scratch.path)
    #expect(
      outcome.status == 66 && outcome.errors.contains("no record of the input is an example"), "\(outcome.errors)")
    #expect(outcome.errors.split(separator: "\n").count == 4)
  }

  @Test func aTrainedFolderIsNotBegunAnewUnasked() throws {
    let scratch = try ScratchFolder()
    let tool = try pipe(scratch, "steps=2")
    #expect(
      try Command.shell("\(tool)d > $OUT/a; cp $OUT/d/model.safetensors $OUT/kept", scratch: scratch.path).status == 0)
    let again = try Command.shell("\(tool)d > $OUT/a", scratch: scratch.path)
    #expect(again.status == 66 && again.errors.contains("holds a training run of 2 steps"), "\(again.errors)")
    let other = try Command.shell("\(tool)d --resume --set train.objective=kl >> $OUT/a", scratch: scratch.path)
    #expect(other.status == 64 && other.errors.contains("a run with objective=next-token goes on"), "\(other.errors)")
    let script =
      "cp -r Tests/Fixtures/models/random-target $OUT/t; sed -i 's:path=\"Tests.*target\":path=\"'$OUT'/t\":' "
    let moved = try Command.shell(script + "$OUT/train.pipe; \(tool)d --resume >> $OUT/a", scratch: scratch.path)
    #expect(moved.status == 0 && moved.errors.contains("trained for a target called random-target"), "\(moved.errors)")
    #expect(try scratch.bytes("d/model.safetensors") == scratch.bytes("kept"))
  }

  /// A run that goes on late in an epoch may see no example of it any more.
  @Test func aRunGoesOnBehindTheLastExampleOfAnEpoch() throws {
    let scratch = try ScratchFolder()
    let script = """
      mkdir $OUT/p; for i in 0 1 2; do cp Tests/Fixtures/shapes/shape-00.jpg $OUT/p/$i.jpg; done; echo A circle. > $OUT/p/1.txt
      tar cf $OUT/in.tar -C $OUT/p 0.jpg 1.jpg 1.txt 2.jpg
      RUN="timeout -k 2 60 $TOOL run pipelines/pretrain-projector.pipe target=Tests/Fixtures/models/random-target"
      RUN="$RUN language=Tests/Fixtures/models/qwen2-echo shards=$OUT/in.tar batch=1 shuffle=1 save=$OUT/d"
      $RUN steps=1 > $OUT/a; $RUN steps=3 --resume >> $OUT/a
      """
    let outcome = try Command.shell(script, scratch: scratch.path)
    // Pictures without a caption are failed records.
    #expect(outcome.status == 1, "\(outcome.errors)")
    #expect(try scratch.lines("a").count == 3)
  }
}
