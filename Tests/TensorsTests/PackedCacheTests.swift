import CKernels
import Foundation
import Tensors
import Testing

private let engine = Engine(threads: 2)

/// A folder with a source file, and a place for what is kept; removed with its owner.
private final class Scratch {
  let path = FileManager.default.temporaryDirectory.path + "/massv-pipe-test-" + UUID().uuidString
  var source: String { path + "/model/model.safetensors" }
  var cache: String { path + "/cache" }

  init() throws {
    try FileManager.default.createDirectory(atPath: path + "/model", withIntermediateDirectories: true)
    try write([1, 2, 3], to: source)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func write(_ bytes: [UInt8], to path: String) throws { try Data(bytes).write(to: URL(fileURLWithPath: path)) }

  func read(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: path))) }

  /// Names of the files in the cache's folder.
  func kept() -> [String] { ((try? FileManager.default.contentsOfDirectory(atPath: cache)) ?? []).sorted() }

  /// Sets a file's time of change, the part of it below a second too.
  func setTime(_ path: String, _ time: timespec) throws {
    let times = [time, time]
    try #require(utimensat(AT_FDCWD, path, times, 0) == 0)
  }
}

/// The model of these tests: one weight whose panels are whole, one with half a panel and half a group of columns.
private let shapes = [(name: "a.weight", rows: 32, columns: 64), (name: "b.weight", rows: 20, columns: 48)]

private func values(_ rows: Int, _ columns: Int) -> Tensor {
  let noise = (0..<rows * columns).map { Float(Int64(bitPattern: mp_mix(7, UInt64($0))) >> 40) / Float(1 << 23) }
  return Tensor(rows: rows, columns: columns, values: noise)
}

/// One start of a run: what it read, and how.
private struct Load {
  let path: String
  /// Weights that were made, not read.
  let made: [String]
  let bytes: [[UInt8]]
  /// What the weights compute, as bits so that all numbers compare.
  let products: [[UInt32]]
  /// Whether each weight begins at a cache line.
  let isAligned: Bool
  let problem: String?
}

private func load(
  _ scratch: Scratch, _ format: WeightFormat = .q8, sources: [String]? = nil, smallest: Int = 0, folder: String? = nil
) -> Load {
  let cache = PackedCache(
    folder: folder ?? scratch.cache, sources: sources ?? [scratch.source], format: format, smallest: smallest, engine)
  var made: [String] = []
  let weights = shapes.map { shape in
    cache.weight(shape.name, rows: shape.rows, columns: shape.columns, format: format) {
      made.append(shape.name)
      return Weight(StoredTensor(values(shape.rows, shape.columns)), as: format, engine)
    }
  }
  return Load(
    path: cache.path, made: made, bytes: weights.map { $0.withBytes { Array($0) } },
    products: weights.map { Linear(weight: $0, bias: nil)(values(3, $0.columns), engine).values.map(\.bitPattern) },
    isAligned: weights.allSatisfy { $0.withBytes { Int(bitPattern: $0.baseAddress) % 64 == 0 } },
    problem: cache.save())
}

private let all = shapes.map(\.name)

/// Inode and time of change: what a file that was written anew has not kept.
private func identity(_ path: String) throws -> [Int] {
  var info = stat()
  try #require(stat(path, &info) == 0)
  return [Int(info.st_ino), info.st_mtim.tv_sec, info.st_mtim.tv_nsec]
}

@Suite struct PackedCacheTests {
  @Test(arguments: [WeightFormat.q8, .q4]) func whatIsMadeIsKeptAndReadBackToTheSameBytes(format: WeightFormat) throws {
    let scratch = try Scratch()
    let first = load(scratch, format)
    #expect(first.made == all && first.problem == nil)
    #expect(scratch.kept() == [URL(fileURLWithPath: first.path).lastPathComponent])
    let written = try identity(first.path)
    let second = load(scratch, format)
    #expect(second.made == [] && second.problem == nil)
    #expect(second.bytes == first.bytes && second.products == first.products)
    #expect(second.isAligned)
    // A run that made nothing writes nothing.
    #expect(try identity(first.path) == written)
  }

  @Test func twoFormatsAreTwoFiles() throws {
    let scratch = try Scratch()
    let eight = load(scratch, .q8)
    let four = load(scratch, .q4)
    #expect(four.made == all)
    #expect(eight.path.hasSuffix(".q8.safetensors") && four.path.hasSuffix(".q4.safetensors"))
    #expect(scratch.kept().count == 2)
    #expect(load(scratch, .q8).made == [] && load(scratch, .q4).made == [])
    #expect(load(scratch, .q4).bytes == four.bytes)
  }

  @Test func aSourceWhoseSizeOrTimeChangedIsMadeAnew() throws {
    let scratch = try Scratch()
    let time = timespec(tv_sec: 1_700_000_000, tv_nsec: 5)
    try scratch.setTime(scratch.source, time)
    let path = load(scratch).path
    // Reading it changes nothing.
    _ = try scratch.read(scratch.source)
    #expect(load(scratch).made == [])
    try scratch.setTime(scratch.source, timespec(tv_sec: time.tv_sec, tv_nsec: 6))
    #expect(load(scratch).made == all, "a nanosecond later")
    #expect(load(scratch).made == [])
    try scratch.setTime(scratch.source, timespec(tv_sec: time.tv_sec - 1, tv_nsec: 6))
    #expect(load(scratch).made == all, "an older file was put in its place")
    try scratch.write([1, 2, 3, 4], to: scratch.source)
    try scratch.setTime(scratch.source, timespec(tv_sec: time.tv_sec - 1, tv_nsec: 6))
    #expect(load(scratch).made == all, "a byte longer, of the same time")
    let again = load(scratch)
    #expect(again.made == [] && again.path == path)
    // Each replaced the last: no old weights pile up.
    #expect(scratch.kept().count == 1)
  }

  @Test func otherSourcesHaveAnotherFile() throws {
    let scratch = try Scratch()
    let one = load(scratch)
    let shard = scratch.path + "/model/second.safetensors"
    try scratch.write([1], to: shard)
    let two = load(scratch, sources: [shard, scratch.source])
    #expect(two.made == all && two.path != one.path)
    #expect(load(scratch, sources: [scratch.source, shard]).made == [], "the order of shards does not matter")
    // A folder of the same name elsewhere.
    let elsewhere = scratch.path + "/other/model"
    try FileManager.default.createDirectory(atPath: elsewhere, withIntermediateDirectories: true)
    try FileManager.default.copyItem(atPath: scratch.source, toPath: elsewhere + "/model.safetensors")
    #expect(load(scratch, sources: [elsewhere + "/model.safetensors"]).path != one.path)
  }

  @Test func aWeightOfAnotherShapeOrNameIsMade() throws {
    let scratch = try Scratch()
    let path = load(scratch).path
    let cache = PackedCache(folder: scratch.cache, sources: [scratch.source], format: .q8, smallest: 0, engine)
    #expect(cache.path == path)
    for (name, rows, columns) in [("a.weight", 33, 64), ("a.weight", 32, 65), ("c.weight", 32, 64)] {
      var isMade = false
      let weight = cache.weight(name, rows: rows, columns: columns, format: .q8) {
        isMade = true
        return Weight(StoredTensor(values(rows, columns)), as: .q8, engine)
      }
      #expect(isMade && weight.rows == rows && weight.columns == columns)
    }
  }

  @Test func lessThanTheSmallestIsNotKept() throws {
    let scratch = try Scratch()
    let size = shapes.reduce(0) { $0 + WeightFormat.q8.byteCount(rows: $1.rows, columns: $1.columns) }
    let small = load(scratch, smallest: size + 1)
    #expect(small.made == all && small.problem == nil)
    #expect(!FileManager.default.fileExists(atPath: scratch.cache), "not even a folder")
    _ = load(scratch, smallest: size)
    #expect(load(scratch, smallest: size).made == [])
  }

  @Test func aFolderThatCannotBeWrittenIsNoFailure() throws {
    let scratch = try Scratch()
    // A file stands where the folder should: whoever runs the tests, nobody can write there.
    let inFile = load(scratch, folder: scratch.source + "/cache")
    #expect(inFile.made == all)
    #expect(inFile.problem?.contains("the quantised weights cannot be kept") == true)
    #expect(inFile.problem?.hasPrefix(inFile.path) == true)
    #expect(try scratch.read(scratch.source) == [1, 2, 3])
    // A folder that is not empty stands where the file should: what was written aside is taken away again.
    let path = load(scratch, smallest: .max).path
    try FileManager.default.createDirectory(atPath: path + "/x", withIntermediateDirectories: true)
    let inFolder = load(scratch)
    #expect(inFolder.made == all && inFolder.bytes == inFile.bytes)
    #expect(inFolder.problem?.contains("the quantised weights cannot be kept") == true)
    #expect(scratch.kept() == [URL(fileURLWithPath: path).lastPathComponent])
  }
}

/// What was kept, damaged in every way: the weights are those of a first run.
@Suite struct DamagedCacheTests {
  private let scratch: Scratch
  private let first: Load
  private let whole: [UInt8]
  /// Where the tensors' bytes begin.
  private let data: Int

  init() throws {
    scratch = try Scratch()
    first = load(scratch)
    whole = try scratch.read(first.path)
    data = 8 + Int(whole.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) })
    try #require(whole.count == data + first.bytes.reduce(0) { $0 + $1.count })
  }

  /// A run that finds these bytes where the weights were kept.
  private func run(finding bytes: [UInt8]) throws -> Load {
    try scratch.write(bytes, to: first.path)
    return load(scratch)
  }

  private func flipped(_ place: Int, _ mask: UInt8 = 1) -> [UInt8] {
    var bytes = whole
    bytes[place] ^= mask
    return bytes
  }

  @Test func aFlippedByteOfAWeightIsMadeAnew() throws {
    let second = data + first.bytes[0].count
    for (place, name) in [
      (data, all[0]), (data + 777, all[0]), (second - 1, all[0]), (second, all[1]), (whole.count - 1, all[1]),
    ] {
      for bit in [UInt8(1), 0x80] {
        let found = try run(finding: flipped(place, bit))
        #expect(found.made == [name], "byte \(place)")
        #expect(found.bytes == first.bytes, "byte \(place)")
      }
    }
  }

  /// A run that repairs one weight keeps the others too: the next run finds all of them. Whether the model is large enough
  /// to be kept is a matter of all its weights, not of those that were made.
  @Test(arguments: [false, true]) func aRepairedFileHoldsEveryWeight(isJustLargeEnough: Bool) throws {
    let smallest = isJustLargeEnough ? whole.count - data : 0
    try scratch.write(flipped(data), to: first.path)
    #expect(load(scratch, smallest: smallest).made == [all[0]])
    #expect(load(scratch, smallest: smallest).made == [])
    #expect(load(scratch, smallest: smallest).made == [])
  }

  @Test func aFlippedByteOfTheHeaderDoesNoHarm() throws {
    // The length, and every third byte of the text: names, numbers and braces are among them.
    for place in Array(0..<8) + Array(stride(from: 8, to: data, by: 3)) {
      let found = try run(finding: flipped(place, place % 2 == 0 ? 1 : 0x80))
      #expect(found.bytes == first.bytes && found.products == first.products, "byte \(place)")
    }
  }

  @Test func aTruncatedFileIsMadeAnew() throws {
    for length in [0, 1, 7, 8, 9, data / 2, data - 1, data, data + 1, data + first.bytes[0].count, whole.count - 1] {
      let found = try run(finding: Array(whole[..<length]))
      #expect(found.made == all && found.bytes == first.bytes, "\(length) of \(whole.count) bytes")
      #expect(load(scratch).made == [], "it was not replaced")
    }
  }

  /// A header of one's own before the weights' bytes.
  private func file(_ header: String, _ data: ArraySlice<UInt8>) -> [UInt8] {
    withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian, Array.init) + Array(header.utf8) + data
  }

  @Test func aHostileFileIsMadeAnewOrDoesNoHarm() throws {
    let header = String(decoding: whole[8..<data], as: UTF8.self).trimmingCharacters(in: .whitespaces)
    let bytes = whole[data...]
    // Sound weights at every place within a cache line: the kernels must not count on where they begin.
    for spaces in 0..<64 {
      let moved = try run(finding: file(header + String(repeating: " ", count: spaces), bytes))
      #expect(moved.bytes == first.bytes && moved.products == first.products, "\(spaces) spaces")
    }
    let hostile = [
      file("{}", []), file("[]", []), file(#"{"__metadata__":[]}"#, []), file(#"{"__metadata__":{"source":1}}"#, []),
      file(header.replacing("\"U8\"", with: "\"F32\""), bytes), file(header.replacing("\"U8\"", with: "\"Q9\""), bytes),
      file(header.replacing("\"source\"", with: "\"sauce\""), bytes),
      file(header.replacing("panels ", with: "panels 9"), bytes), file(header.replacing("q8", with: "q4"), bytes),
      file(header.replacing("\"shape\":[", with: "\"shape\":[1,"), bytes),
      file(header.replacing("\"shape\":[", with: "\"shape\":[-"), bytes),
      file(header.replacing("\"data_offsets\":[", with: "\"data_offsets\":[9"), bytes),
      file(header.replacing("\"data_offsets\":[0", with: "\"data_offsets\":[9223372036854775807"), bytes),
      file(header.replacing("a.weight", with: "b.weight"), bytes), file(header, bytes.reversed()[...]),
      file(header, bytes.map { _ in 0xFF }[...]), Array("not a cache at all".utf8),
      [UInt8](repeating: 0xFF, count: whole.count), [UInt8](repeating: 0, count: whole.count),
    ]
    for (index, bytes) in hostile.enumerated() {
      let found = try run(finding: bytes)
      #expect(found.bytes == first.bytes && found.products == first.products, "file \(index)")
      #expect(found.made == all, "file \(index)")
    }
  }

  /// What is no regular file is passed over: not followed into a wait, either.
  @Test func aPipeInItsPlaceDoesNotStopTheRun() throws {
    try FileManager.default.removeItem(atPath: first.path)
    try #require(mkfifo(first.path, 0o600) == 0)
    let done = DispatchSemaphore(value: 0)
    let (scratch, expected) = (scratch, first.bytes)
    nonisolated(unsafe) let place = scratch
    nonisolated(unsafe) var found: [[UInt8]] = []
    Thread.detachNewThread {
      found = load(place).bytes
      done.signal()
    }
    guard done.wait(timeout: .now() + 1) == .success else {
      Issue.record("it waits for a writer of the pipe")
      // Somebody comes, so that the thread ends.
      close(open(first.path, O_WRONLY | O_NONBLOCK))
      done.wait()
      return
    }
    #expect(found == expected)
  }
}
