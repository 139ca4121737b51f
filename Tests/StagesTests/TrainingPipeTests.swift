import Foundation
import JSON
import Pipeline
import Samples
import Testing

/// Training through pipes: from tar to drafter.
@Suite struct TrainingPipeTests {
  private static let captions = Place.root + "/Tests/Fixtures/captions/"

  /// A training pipe; `student` and `train` are further arguments of those calls.
  private func pipe(_ shards: String, language: String = Place.text, student: String = "", train: String) -> String {
    """
    let target  = model   path="\(Place.target)"
    let drafter = student path="\(language)" target=target \(student)
    read shards="\(shards)" | decode | encode model=target | prompt model=target text="Describe."
    | label model=drafter | batch size=16 | train model=drafter \(train)
    """
  }

  /// Several passes over the pictures: a shard under several names.
  private func copies(_ count: Int, _ scratch: Scratch) throws -> String {
    for index in 1...count {
      try FileManager.default.createSymbolicLink(
        atPath: scratch.file("train-\(index).tar.gz"), withDestinationPath: Self.captions + "train.tar.gz")
    }
    return scratch.file("train-{1..\(count)}.tar.gz")
  }

  private func losses(_ name: String, _ scratch: Scratch) throws -> [Double] {
    try scratch.lines(of: name).map { try #require($0["loss"]?.double) }
  }

  /// The mean loss on pictures that were not learnt from.
  private func heldOut(_ folder: String, _ student: String, _ scratch: Scratch) throws -> Double {
    let name = "held-" + (folder as NSString).lastPathComponent
    let train = "save=\"\(scratch.file(name))\" log=\"\(scratch.file("held.jsonl"))\" lr=0 update=[language]"
    #expect(try run(pipe(Self.captions + "held.tar.gz", language: folder, student: student, train: train)) == nil)
    let losses = try losses("held.jsonl", scratch)
    return losses.reduce(0, +) / Double(losses.count)
  }

  @Test func aProjectorAloneLearnsWhatThePictureShows() throws {
    let scratch = try Scratch()
    let shards = try copies(8, scratch)
    let settings = "steps=128 lr=0.003 log=\"\(scratch.file("log"))\""
    let words = "save=\"\(scratch.file("words"))\" update=[language] \(settings)"
    #expect(try run(pipe(shards, student: "projector=none", train: words)) == nil)
    let both = "save=\"\(scratch.file("phase1"))\" update=[projector] \(settings)"
    #expect(try run(pipe(shards, language: scratch.file("words"), student: "projector=mlp", train: both)) == nil)
    let blind = try heldOut(scratch.file("words"), "projector=none", scratch)
    let seeing = try heldOut(scratch.file("phase1"), "", scratch)
    print("held-out loss: \(blind) from text alone, \(seeing) with a projector on the same language model")
    #expect(seeing < 0.8 * blind)
    // The language model is the one that it was, to the byte.
    #expect(try scratch.bytes(of: "phase1/model.safetensors") == scratch.bytes(of: "words/model.safetensors"))
  }

  @Test(arguments: ["mlp", "linear", "resampler"]) func thirtyTwoPairsAreLearntByHeart(projector: String) throws {
    let scratch = try Scratch()
    let train =
      "save=\"\(scratch.file("d"))\" log=\"\(scratch.file("log"))\" steps=160 lr=0.004 update=[projector, language]"
    let few = try fewPairs(32, times: 80, scratch)
    #expect(try run(pipe(few, student: "projector=\(projector) queries=6", train: train)) == nil)
    let last = try losses("log", scratch).suffix(2)
    print("loss on 32 pairs, \(projector): \(last)")
    #expect(last.allSatisfy { $0 < 0.05 })
  }

  /// A drafter of every kind drafts for its target, whose answers stay what they are.
  @Test(arguments: ["projector=mlp pool=2", "projector=linear", "projector=resampler queries=3", "projector=none"])
  func whatWasTrainedDrafts(student: String) throws {
    let scratch = try Scratch()
    let train =
      "save=\"\(scratch.file("d"))\" log=\"\(scratch.file("log"))\" steps=3 storage=bf16 update=[language]"
    #expect(try run(pipe(Self.captions + "train.tar.gz", student: student, train: train)) == nil)
    func captions(_ draft: String, _ name: String) throws -> [UInt8] {
      let meter = Meter()
      let text = """
        let target  = model   path="\(Place.target)"
        let drafter = drafter path="\(draft)" target=target
        read shards="\(Self.captions)held.tar.gz" | limit records=6 | decode | encode model=target
        | project model=drafter | prompt model=target text="Describe." | draft model=drafter tokens=3
        | verify model=target max-tokens=12 | emit fields=[key, text] path="\(scratch.file(name))"
        """
      #expect(try run(text, meter: meter) == nil)
      #expect((meter.reading["drafted"] > 0) == (draft != "none"))
      return try scratch.bytes(of: name)
    }
    #expect(try captions(scratch.file("d"), "drafted") == captions("none", "plain"))
  }

  /// The target's distributions, written by one pipe and learnt by the next.
  @Test func keptDistributionsTeach() throws {
    let scratch = try Scratch()
    func distil(_ draft: String, keep: Int) throws -> String {
      let name = "\(keep)-\(draft.utf8.count).tar"
      let text = """
        let target  = model   path="\(Place.target)"
        let drafter = drafter path="\(draft)" target=target
        read shards="\(Self.captions)held.tar.gz" | limit records=8 | ask samples=2 temperatures=[1, 0] | decode
        | encode model=target | project model=drafter | prompt model=target text="Describe." | draft model=drafter
        | verify model=target max-tokens=10 keep=\(keep)
        | emit format=tar fields=[token_ids, distribution] path="\(scratch.file(name))"
        """
      #expect(try run(text) == nil)
      return scratch.file(name)
    }
    let shard = try distil("none", keep: 4)
    #expect(try read(shard) == read(distil(Place.massv, keep: 4)), "who drafts changes nothing that is kept")
    func train(_ shard: String, _ name: String = "d") throws -> RunFailure? {
      let settings = "save=\"\(scratch.file(name))\" log=\"\(scratch.file("log"))\" steps=1 objective=kl"
      return try run(pipe(shard, train: settings))
    }
    #expect(try train(shard) == nil)
    #expect(try losses("log", scratch).allSatisfy { $0 > 0 && $0 < 100 })
    #expect(try train(Self.captions + "held.tar.gz", "e")?.message.contains("has no distribution.json") == true)
    // They are of the tokens beside them, and of no other answer.
    func other(_ objective: String, _ name: String) throws -> RunFailure? {
      let train = "save=\"\(scratch.file(name))\" log=\"\(scratch.file("log"))\" steps=1 objective=\(objective)"
      let labels = pipe(shard, train: train).replacing("label model=drafter", with: "label model=drafter field=txt")
      return try run(labels)
    }
    #expect(try other("kl", "f")?.message.contains("has no distribution.json") == true)
    let meter = Meter()
    #expect(try other("next-token", "g") == nil && meter.reading["failed"] == 0)
  }

  /// A record without its distribution is left out, as any other that cannot be learnt from.
  @Test func aRecordWithoutDistributionCostsThatRecord() throws {
    let scratch = try Scratch()
    let held =
      "let target = model path=\"\(Place.target)\" read shards=\"\(Self.captions)held.tar.gz\" | limit records=6"
    let distil = """
      \(held) | decode | encode model=target | prompt model=target text="Describe."
      | generate model=target max-tokens=6 keep=4
      | emit format=tar fields=[token_ids, distribution] path="\(scratch.file("all.tar"))"
      """
    #expect(try run(distil) == nil)
    let reader = try SampleReader(path: scratch.file("all.tar"), limits: SampleLimits())
    var samples: [(key: String, members: [(String, [UInt8])])] = []
    while let sample = reader.next() {
      let isKept = samples.count % 2 == 0
      samples.append(
        (
          sample.key,
          sample.members.filter { isKept || $0.field != "distribution.json" }.map { ($0.field, $0.bytes) }
        ))
    }
    let meter = Meter()
    let train = "save=\"\(scratch.file("d"))\" log=\"\(scratch.file("log"))\" steps=1 objective=kl"
    #expect(try run(pipe(scratch.shard("some.tar", samples), train: train), meter: meter) == nil)
    #expect(meter.reading["records"] == 6 && meter.reading["failed"] == 3)
    // Batches of one: such a record is a batch without anything to learn, and no end.
    let (single, name) = (Meter(), scratch.file("single"))
    let steps = "save=\"\(name)\" log=\"\(scratch.file("log2"))\" steps=3 objective=kl"
    let ones = pipe(scratch.file("some.tar"), train: steps).replacing("batch size=16", with: "batch size=1")
    #expect(try run(ones, meter: single) == nil)
    #expect(single.reading["records"] - single.reading["failed"] == 3 && single.reading["failed"] >= 2)
    // Another answer, of which none is kept, takes the old one's distributions with it.
    let again = distil.replacing("\(Self.captions)held.tar.gz", with: scratch.file("all.tar"))
      .replacing("keep=4", with: "").replacing("fields=[token_ids, distribution]", with: "fields=[token_ids]")
      .replacing("path=\"\(scratch.file("all.tar"))\"", with: "path=\"\(scratch.file("again.tar"))\"")
    #expect(try run(again) == nil)
    let second = try SampleReader(path: scratch.file("again.tar"), limits: SampleLimits())
    let fields = try #require(second.next()).members.map(\.field)
    #expect(fields.contains("token_ids.json") && !fields.contains("distribution.json") && fields.contains("txt"))
    // What was not kept cannot be written.
    let unkept = distil.replacing(" keep=4", with: "").replacing("format=tar ", with: "")
    #expect(try run(unkept, meter: meter) == nil)
    #expect(try scratch.lines(of: "all.tar").first?["error"]?["message"]?.string?.contains("keep=16") == true)
  }

  /// Tokens that were added to the target's vocabulary alone.
  @Test func tokensThatTheStudentCannotWriteFailTheirRecord() throws {
    let scratch = try Scratch()
    let picture = try read(Place.root + "/Tests/Fixtures/shapes/shape-00.jpg")
    let shard = try scratch.shard(
      "in.tar",
      ["[391]", "[5, 6]", "[5, 391]"].enumerated().map { index, ids in
        ("r\(index)", [("jpg", picture), ("token_ids.json", Array(ids.utf8))])
      })
    let models = Place.root + "/Tests/Fixtures/models/"
    let meter = Meter()
    let pipe = """
      let target  = model   path="\(models)gemma3-hub"
      let drafter = student path="\(models)gemma3-text" target=target projector=mlp
      read shards="\(shard)" | decode | encode model=target | prompt model=target text="Describe."
      | label model=drafter | batch | train model=drafter save="\(scratch.file("d"))" log="\(scratch.file("log"))" steps=1
      """
    #expect(try run(pipe, meter: meter) == nil)
    #expect(meter.reading["records"] == 3 && meter.reading["failed"] == 2)
  }

  /// What cannot be saved or is not heeded is said before anything is learnt.
  @Test(arguments: [
    (#"path="gguf/qwen2vl-text.gguf""#, "expected a folder"),
    (#"path="random-target" weights=q8"#, "\"weights\" is not"),
    (#"path="random-target" kv=f16"#, "\"kv\" is not"),
  ]) func aModelInTrainingIsAFolderInFloats(model: String, message: String) throws {
    let models = Place.root + "/Tests/Fixtures/models/"
    let pipe = """
      let target  = model \(model.replacing("path=\"", with: "path=\"\(models)")) trained=true
      let student = student path=none target=target
      read shards="\(Place.exampleShard)" | decode | patch model=target | prompt model=target text="x"
      | label model=student | batch | train model=student save="nowhere/d" steps=1
      """
    #expect(try run(pipe)?.message.contains(message) == true)
  }

  /// Readers load what is stored as what it is.
  @Test(arguments: [("f32", "float32"), ("bf16", "bfloat16"), ("q8", "bfloat16")])
  func theConfigurationSaysWhatIsStored(storage: String, type: String) throws {
    let scratch = try Scratch()
    let train =
      "save=\"\(scratch.file("d"))\" log=\"\(scratch.file("log"))\" steps=1 update=[projector, language] storage=\(storage)"
    #expect(try run(pipe(Self.captions + "train.tar.gz", train: train)) == nil)
    #expect(try JSONValue(parsing: scratch.bytes(of: "d/config.json"))["torch_dtype"]?.string == type)
  }

  private func fewPairs(_ count: Int, times: Int, _ scratch: Scratch) throws -> String {
    let all = "read shards=\"\(Self.captions)train.tar.gz\" | limit records=\(count) "
    #expect(try run(all + "| emit format=tar fields=[key] path=\"\(scratch.file("few.tar"))\"") == nil)
    for index in 1...times {
      try FileManager.default.createSymbolicLink(
        atPath: scratch.file("few-\(index).tar"), withDestinationPath: scratch.file("few.tar"))
    }
    return scratch.file("few-{1..\(times)}.tar")
  }
}
