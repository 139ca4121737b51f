import Foundation
import Images
import JSON
import Models
import Pipeline
import Samples
import Tensors
import Testing

@testable import Stages

private let models = Place.root + "/Tests/Fixtures/models/"

/// A shard with pictures, some twice, a broken one, one under another name and records without any, and runs over it.
private struct Bench {
  let scratch: Scratch
  let shard: String
  private(set) var expected: [UInt8] = []

  init(target: String = Place.target) throws {
    scratch = try Scratch()
    let pictures = try [0, 1, 3, 4, 6, 7].map { try read(Place.root + "/Tests/Fixtures/shapes/shape-0\($0).jpg") }
    let png = try read(Place.root + "/Tests/Fixtures/images/tile-28x28.png")
    shard = try scratch.shard(
      "in.tar",
      [
        ("a", [("jpg", pictures[0])]), ("b", [("jpg", pictures[1]), ("png", png)]), ("c", [("jpg", pictures[0])]),
        ("text", [("txt", Array("What is red?".utf8))]), ("broken", [("jpg", Array(pictures[2].prefix(900)))]),
        ("none", [("cls", [0x31])]), ("d", [("jpeg", pictures[3])]), ("e", [("png", png)]),
        ("f", [("jpg", pictures[4])]), ("g", [("jpg", pictures[5])]),
      ])
    expected = try output("decode | encode model=t", target: target).bytes
    #expect(Set(try scratch.lines(of: "out").map { $0["text"]?.string ?? "" }).count > 6)
  }

  /// Runs a pipe whose pictures go through these links.
  func output(
    _ links: String, target: String = Place.target, options: String = "", epochs: Int = 1
  ) throws -> (bytes: [UInt8], reading: Meter.Reading, failure: RunFailure?) {
    let meter = Meter()
    let failure = try run(
      """
      let t = model path="\(target)" \(options)
      read shards="\(shard)" | repeat epochs=\(epochs) | \(links) | prompt model=t text="What is in the picture?"
      | generate model=t temperature=1 seed=5 max-tokens=24
      | emit fields=[key, index, width, height, sha256, text, token_ids] path="\(scratch.file("out"))"
      """, meter: meter)
    return (failure == nil ? try scratch.bytes(of: "out") : [], meter.reading, failure)
  }

  func cached(
    _ more: String = "", target: String = Place.target, options: String = "", epochs: Int = 1
  ) throws -> (bytes: [UInt8], reading: Meter.Reading, failure: RunFailure?) {
    try output(
      "cache path=\"\(scratch.file("cache"))\" model=t \(more) ( decode | encode model=t )", target: target,
      options: options, epochs: epochs)
  }
}

@Test(arguments: [Place.target, models + "gemma3-hub", models + "llava-hub"])
func theEncoderRunsOncePerPicture(target: String) throws {
  let bench = try Bench(target: target)
  let none = try bench.output("cache path=none model=t ( decode | encode model=t )", target: target)
  #expect(none.bytes == bench.expected && none.reading.notes["cache"] == nil)
  let first = try bench.cached(target: target)
  #expect(first.bytes == bench.expected)
  #expect(first.reading.notes["cache"] == "1 found, 6 made")
  let file = try bench.scratch.bytes(of: "cache")
  let second = try bench.cached(target: target)
  #expect(second.bytes == bench.expected)
  #expect(second.reading.notes["cache"] == "7 found, 0 made")
  #expect(try bench.scratch.bytes(of: "cache") == file)
  // The branch still has the broken picture, which fails before it is encoded, and the records without any.
  #expect((second.reading.seconds["encode"] ?? 0) < 1e-4 && (first.reading.seconds["encode"] ?? 0) > 1e-4)
}

@Test func aRunWithoutBrokenPicturesRunsNoBranchAtAll() throws {
  let scratch = try Scratch()
  let text = """
    let t = model path="\(Place.target)"
    read shards="\(Place.exampleShard)" | repeat epochs=2 | shuffle
    | cache path="\(scratch.file("cache"))" model=t ( decode | encode model=t ) | emit fields=[key, width, sha256]
      path="\(scratch.file("out"))"
    """
  let meters = [Meter(), Meter()]
  for meter in meters { #expect(try run(text, meter: meter) == nil) }
  #expect(meters[0].reading.notes["cache"] == "12 found, 12 made")
  #expect(meters[0].reading.seconds["encode"] != nil)
  #expect(meters[1].reading.notes["cache"] == "24 found, 0 made")
  #expect(meters[1].reading.seconds["encode"] == nil && meters[1].reading.seconds["decode"] == nil)
}

@Test func theFileHoldsTheEncodersBits() throws {
  let bench = try Bench()
  _ = try bench.cached()
  let file = try bench.scratch.bytes(of: "cache")
  let store = try ContentStore(
    path: bench.scratch.file("cache"), fingerprint: Array(file[12..<44]), maximumBytes: 1 << 30)
  let jpeg = try read(Place.root + "/Tests/Fixtures/shapes/shape-04.jpg")
  guard case .content(let content) = store.find(ContentKey(of: jpeg)) else {
    Issue.record("nothing is kept")
    return
  }
  let engine = Engine(threads: 1)
  let vision = try #require(try TargetModel(ModelFiles(path: Place.target, engine: engine)).vision)
  let picture = try Picture(decoding: jpeg, maximumPixels: 1 << 20)
  let plan = vision.imagePlan
  let target = try plan.target(height: picture.height, width: picture.width)
  let resized = picture.resized(width: target.width, height: target.height, .bicubic)
  let values = resized.mergedPatches(
    size: plan.layout.size, merge: plan.layout.merge, frames: plan.layout.frames,
    scale: PixelScale(rescale: plan.rescale, mean: plan.mean, deviation: plan.deviation))
  let grid = PatchGrid(height: target.height / plan.layout.size, width: target.width / plan.layout.size)
  let rows = Tensor(rows: grid.patches, columns: plan.layout.width, values: values)
  let features = vision.features(rows, grid: grid, engine)
  #expect(content.body == features.values.withUnsafeBytes { Array($0) })
  let numbers = content.head.withUnsafeBytes { head in
    (0..<6).map { Int(head.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self)) }
  }
  #expect(
    numbers == [grid.height, grid.width, features.rows, features.columns, picture.width, picture.height])
}

@Test func anotherModelIsRefused() throws {
  let bench = try Bench()
  #expect(try bench.cached().failure == nil)
  let file = try bench.scratch.bytes(of: "cache")
  let copy = bench.scratch.file("model")
  try FileManager.default.copyItem(atPath: Place.target, toPath: copy)
  // The same model at another place is the same.
  #expect(try bench.cached(target: copy).reading.notes["cache"] == "7 found, 0 made")
  func refusal(_ target: String, _ options: String = "") throws -> Bool {
    let failure = try bench.cached(target: target, options: options).failure
    return failure?.kind == .unreadable && failure?.message.contains("set another path, or delete it") == true
  }
  #expect(try refusal(Place.target, "weights=q8"))
  #expect(try refusal(models + "gemma3-hub"))
  let settings = copy + "/preprocessor_config.json"
  let text = try String(contentsOfFile: settings, encoding: .utf8)
  try (text + "\n").write(toFile: settings, atomically: true, encoding: .utf8)
  #expect(try refusal(copy))
  try text.write(toFile: settings, atomically: true, encoding: .utf8)
  #expect(try bench.cached(target: copy).failure == nil)
  // One bit of one weight.
  let weights = copy + "/model.safetensors"
  var bytes = try read(weights)
  bytes[bytes.count / 2] ^= 1
  try Data(bytes).write(to: URL(fileURLWithPath: weights))
  #expect(try refusal(copy))
  #expect(try bench.scratch.bytes(of: "cache") == file)
}

/// A file of many megabytes is looked at in places: at both ends, in its table, and here and there between.
@Test func aFingerprintSeesWhatIsInLargeFiles() throws {
  let scratch = try Scratch()
  let size = 12 << 20
  let table = Array("{\"a\":{\"dtype\":\"U8\",\"shape\":[\(size)],\"data_offsets\":[0,\(size)]}}".utf8)
  var bytes = withUnsafeBytes(of: UInt64(table.count).littleEndian, Array.init) + table
  bytes += [UInt8](repeating: 3, count: size)
  func digest(_ weights: String = "stored") throws -> [UInt8] {
    _ = try scratch.write(bytes, to: "model.safetensors")
    return try EncoderFingerprint.digest(path: scratch.path, vision: nil, weights: weights)
  }
  var seen = [try digest()]
  #expect(try digest() == seen[0] && seen[0].count == 32)
  seen.append(try digest("q8"))
  for range in [table.count + 9..<table.count + 10, bytes.count - 1..<bytes.count, 5 << 20..<6 << 20] {
    for place in range { bytes[place] ^= 1 }
    seen.append(try digest())
  }
  _ = try scratch.write(Array("{}".utf8), to: "preprocessor_config.json")
  seen.append(try digest())
  seen.append(
    try EncoderFingerprint.digest(path: scratch.path, vision: nil, weights: "stored", maximumPixels: 9216))
  #expect(Set(seen).count == 7)
}

@Test func aTornOrDamagedFileCostsWhatIsDamaged() throws {
  let bench = try Bench()
  #expect(try bench.cached().bytes == bench.expected)
  let whole = try bench.scratch.bytes(of: "cache")
  _ = try bench.scratch.write(Array(whole.dropLast(10)), to: "cache")
  let torn = try bench.cached()
  #expect(torn.bytes == bench.expected && torn.reading.notes["cache"] == "6 found, 1 made")
  #expect(try bench.scratch.bytes(of: "cache") == whole)
  // In the middle: within an entry's values, and within what stands before them.
  let entry = try #require(whole[60...].firstRange(of: whole[48..<56]))
  for place in [entry.lowerBound + 300, entry.lowerBound + 20] {
    var bytes = whole
    bytes[place] ^= 0x40
    _ = try bench.scratch.write(bytes, to: "cache")
    let damaged = try bench.cached()
    #expect(damaged.bytes == bench.expected && damaged.reading.notes["cache"] == "6 found, 1 made")
    #expect(try bench.cached().reading.notes["cache"] == "7 found, 0 made")
  }
}

@Test func aFullFileIsNoFailure() throws {
  let bench = try Bench()
  let full = try bench.cached("max-bytes=50K")
  #expect(full.bytes == bench.expected)
  let size = try bench.scratch.bytes(of: "cache").count
  #expect(size > 10_000 && size <= 51_200)
  let again = try bench.cached("max-bytes=50K")
  #expect(again.bytes == bench.expected && again.reading.notes["cache"] != "7 found, 0 made")
  #expect(try bench.cached().bytes == bench.expected)
  #expect(try bench.cached().reading.notes["cache"] == "7 found, 0 made")
}

@Test func theMemberThatIsKeptIsTheOneThatIsDecoded() throws {
  let bench = try Bench()
  let wrong = try bench.output(
    "cache path=\"\(bench.scratch.file("other"))\" model=t ( decode field=png | encode model=t )")
  #expect(wrong.failure?.kind == .usage && wrong.failure?.message.contains("give both the same field=") == true)
  let right =
    "limit records=2 | cache path=\"\(bench.scratch.file("png"))\" model=t field=png ( decode field=png | encode model=t )"
  #expect(try bench.output(right).reading.notes["cache"] == "0 found, 1 made")
  #expect(try bench.output(right).reading.notes["cache"] == "1 found, 0 made")
}

@Test func aBranchGivesOneRecordForOne() throws {
  let bench = try Bench()
  for links in ["limit records=0 | decode | encode model=t", "decode | encode model=t | limit records=0"] {
    for path in ["none", "\"\(bench.scratch.file("cache"))\""] {
      let failure = try bench.output("cache path=\(path) model=t ( \(links) )").failure
      #expect(failure?.kind == .usage && failure?.message.contains("its branch makes no record of one") == true)
    }
  }
  // Stages that wait for more records get none, and go on with the one.
  let shuffled = try bench.output("cache path=none model=t ( shuffle | decode | shuffle | encode model=t )")
  #expect(shuffled.bytes == bench.expected)
}

@Test func aCachesBranchIsCheckedBeforeAnythingIsLoaded() {
  func errors(_ links: String) -> String {
    do { _ = try pipe("let t = model path=x\nlet u = model path=y\nread | \(links)") } catch { return "\(error)" }
    return ""
  }
  let sound = "cache path=f model=t ( decode | encode model=t ) | prompt model=t | emit fields=[key, width, sha256]"
  #expect(errors(sound) == "")
  #expect(errors("repeat epochs=2 | " + sound) == "")
  #expect(errors("cache path=f model=t ( decode )").contains("keeps \"features\", which its branch does not write"))
  #expect(
    errors("cache path=f model=t ( decode | encode model=u )").contains(
      "3:40: error: \"encode\" has model \"u\", \"cache\" around it \"t\""))
  #expect(errors("cache path=f model=t ( encode model=t )").contains("\"encode\" reads \"image\""))
  #expect(errors("cache path=f model=t").contains("takes one branch"))
  #expect(errors("cache model=t ( decode | encode model=t )").contains("needs \"path\""))
  #expect(errors("\(sound) | repeat epochs=2").contains("\"cache\" writes a file, which \"repeat\" behind it"))
  #expect(
    errors("cache path=f model=t ( decode | encode model=t | emit fields=[key] )").contains(
      "cannot stand in the branch of \"cache\""))
  // What a branch makes beside the features is not there where they were found.
  #expect(
    errors("cache path=f model=t ( decode | encode model=t | prompt model=t ) | generate model=t").contains(
      "\"generate\" reads \"prompt\""))
}
