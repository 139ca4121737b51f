import Foundation
import Samples
import Testing

private let sharedData: String? = {
  let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().path
  let path = ProcessInfo.processInfo.environment["MASSV_SHARED_DATA"] ?? root + "/shared/data"
  return FileManager.default.fileExists(atPath: path) ? path : nil
}()

/// Everything that a shard of these bytes holds.
private func samples(_ bytes: [UInt8], limits: SampleLimits = SampleLimits()) throws -> [Sample] {
  let path = FileManager.default.temporaryDirectory.path + "/massv-pipe-test-" + UUID().uuidString
  defer { try? FileManager.default.removeItem(atPath: path) }
  try Data(bytes).write(to: URL(fileURLWithPath: path))
  return try all(path, limits)
}

private func all(_ path: String, _ limits: SampleLimits = SampleLimits()) throws -> [Sample] {
  let reader = try SampleReader(path: path, limits: limits)
  var samples: [Sample] = []
  while let sample = reader.next() { samples.append(sample) }
  return samples
}

private func tar(_ samples: [(String, [(String, String)])], marker: Bool = true) throws -> [UInt8] {
  let writer = TarWriter()
  var bytes: [UInt8] = []
  for (key, members) in samples {
    bytes += try writer.sample(key: key, members: members.map { SampleMember(field: $0.0, bytes: Array($0.1.utf8)) })
  }
  return marker ? bytes + writer.end() : bytes
}

private let two = [("a/1", [("jpg", "one"), ("txt", "caption")]), ("a/2.x", [("seg.png", "two")])]

@Test func membersWithOneKeyAreOneSample() throws {
  let found = try samples(tar(two))
  #expect(found.map(\.key) == ["a/1", "a/2"])
  #expect(found[0].members.map(\.field) == ["jpg", "txt"])
  #expect(found[1].members.map(\.field) == ["x.seg.png"])
  #expect(found.allSatisfy { $0.problem == nil })
  let upper = try samples(tar([("A", [("Seg.PNG", "x")])]))
  #expect(upper[0].key == "A" && upper[0].members[0].field == "seg.png" && upper[0].members[0].written == "Seg.PNG")
  #expect(
    try samples(tar(two), limits: SampleLimits(members: 1))[0].problem?.description.contains("limit of 1 members")
      == true)
}

@Test func concatenatedShardsReadAsOne() throws {
  let bytes = try tar(two) + [UInt8](repeating: 0, count: 9 * 512) + tar([("b", [("txt", "x")])])
  #expect(try samples(bytes).map(\.key) == ["a/1", "a/2", "b"])
  #expect(try samples(bytes).allSatisfy { $0.problem == nil })
}

@Test func aShardWithoutItsMarkerIsReported() throws {
  let found = try samples(tar(two, marker: false))
  #expect(found.map(\.key).prefix(2) == ["a/1", "a/2"])
  #expect(found.count == 3 && found[2].isOfShard)
  #expect(found[2].problem?.description.contains("ends without its end-of-archive marker after 3 members") == true)
  // One block of zeros is half a marker.
  let half = try samples(tar(two, marker: false) + [UInt8](repeating: 0, count: 512))
  #expect(half.last?.problem?.description.contains("ends inside its end-of-archive marker") == true)
}

@Test func membersBehindALoneZeroBlockAreReadAndReported() throws {
  let bytes = try tar(two, marker: false) + [UInt8](repeating: 0, count: 512) + tar([("b", [("txt", "x")])])
  let found = try samples(bytes)
  #expect(found.map(\.key).filter { !$0.hasPrefix("/") } == ["a/1", "a/2", "b"])
  #expect(found.compactMap(\.problem).map(\.description).filter { $0.contains("lone zero block") }.count == 1)
}

@Test func readingGoesOnBehindABrokenHeader() throws {
  var bytes = try tar([("a", [("txt", "1")]), ("b", [("txt", "2")]), ("c", [("txt", "3")])])
  bytes[1024 + 20] ^= 0x55
  let found = try samples(bytes)
  #expect(found.map(\.key).filter { !$0.hasPrefix("/") } == ["a", "c"])
  #expect(found.filter(\.isOfShard).count == 1)
  #expect(found.first(where: \.isOfShard)?.problem?.description.contains("reading goes on at byte 2048") == true)
}

@Test func aTornMemberIsNamedWithItsSize() throws {
  let long = String(repeating: "x", count: 2000)
  let found = try samples(Array(tar([("a", [("txt", "whole")]), ("b", [("jpg", long)])]).prefix(3 * 512 + 700)))
  #expect(found.map(\.key) == ["a", "b"] && found[0].problem == nil)
  #expect(found[1].problem?.description.contains("member b.jpg: expected 2000 bytes, found fewer: ") == true)
}

@Test func everyTruncationIsReported() throws {
  let whole = try tar([("a", [("jpg", String(repeating: "x", count: 700)), ("txt", "t")]), ("b", [("txt", "u")])])
  for length in stride(from: 0, to: whole.count - 511, by: 97) {
    let found = try samples(Array(whole[..<length]))
    #expect(found.contains { $0.problem != nil }, "cut at \(length)")
  }
}

@Test func aFieldTwiceCostsItsSampleAlone() throws {
  let found = try samples(tar([("a", [("txt", "1"), ("TXT", "2")]), ("b", [("txt", "3")])]))
  #expect(found.map(\.key) == ["a", "b"])
  #expect(found[0].problem?.description.contains("field \"txt\" twice") == true)
  #expect(found[1].problem == nil)
}

@Test func limitsCostTheirSampleAlone() throws {
  let bytes = try tar([("a", [("txt", "1234567890")]), ("b", [("txt", "3"), ("cls", "4")]), ("c", [("txt", "5")])])
  let members = try samples(bytes, limits: SampleLimits(memberBytes: 5, sampleBytes: 1000))
  #expect(members.map { $0.problem == nil } == [false, true, true])
  let records = try samples(bytes, limits: SampleLimits(memberBytes: 50, sampleBytes: 100))
  #expect(records.map { $0.problem == nil } == [true, false, true])
}

@Test func whatIsNoFileOfASampleIsPassedOver() {
  let named = SampleReader.split("a/b.seg.PNG")
  #expect(named?.key == "a/b" && named?.written == "seg.PNG")
  #expect(SampleReader.split("a.b/c.jpg")?.key == "a.b/c")
  for path in ["README", ".hidden.jpg", "a/.b.jpg", "__meta__/a.jpg", "__info__.json", "__a.b__", "a/"] {
    #expect(SampleReader.split(path) == nil, "\(path)")
  }
  // At the beginning alone, as webdataset's own reader has it.
  for (path, key) in [("a/__i__.jpg", "a/__i__"), ("a/__b__/c.jpg", "a/__b__/c"), ("__MACOSX/1.jpg", "__MACOSX/1")] {
    #expect(SampleReader.split(path)?.key == key, "\(path)")
  }
}

@Test(arguments: ["gzip", "xz", "zstd", "lz4", "bzip2"]) func compressedShardsRead(program: String) throws {
  let folder = FileManager.default.temporaryDirectory.path + "/massv-pipe-test-" + UUID().uuidString
  defer { try? FileManager.default.removeItem(atPath: folder) }
  try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  try Data(tar(two)).write(to: URL(fileURLWithPath: folder + "/a.tar"))
  let shell = Process()
  shell.executableURL = URL(fileURLWithPath: "/bin/sh")
  // Two streams one behind the other, as `cat a.tar.gz a.tar.gz` leaves them.
  shell.arguments = [
    "-c",
    "command -v \(program) >/dev/null || exit 3; cd '\(folder)'; \(program) -c a.tar > b; cat b b > c; head -c 300 b > d",
  ]
  try shell.run()
  shell.waitUntilExit()
  if shell.terminationStatus == 3 { return print("\(program) is not here: skipped") }
  #expect(try all(folder + "/c").map(\.key) == ["a/1", "a/2", "a/1", "a/2"])
  #expect(try all(folder + "/c").allSatisfy { $0.problem == nil })
}

/// A shell's output, files for its arguments.
private func shell(_ script: String, _ files: [UInt8]...) throws -> [UInt8] {
  let folder = FileManager.default.temporaryDirectory.path + "/massv-pipe-test-" + UUID().uuidString
  defer { try? FileManager.default.removeItem(atPath: folder) }
  try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  let paths = files.indices.map { "\(folder)/\($0)" }
  for (path, bytes) in zip(paths, files) { try Data(bytes).write(to: URL(fileURLWithPath: path)) }
  let process = Process()
  process.executableURL = URL(fileURLWithPath: "/bin/sh")
  process.arguments = ["-c", script, "sh"] + paths
  let pipe = Pipe()
  process.standardOutput = pipe
  try process.run()
  return Array(pipe.fileHandleForReading.readDataToEndOfFile())
}

@Test func shardsThatAreCompressedOtherwiseReadAsOne() throws {
  let (one, other) = (try tar([("a", [("txt", "x")])]), try tar([("b", [("txt", "y")])]))
  for first in ["gzip", "bzip2", "lz4"] {
    for second in ["cat", "gzip", "bzip2", "xz", "zstd", "lz4"] {
      let found = try samples(shell("\(first) -c < \"$1\"; \(second) < \"$2\"", one, other))
      #expect(found.map(\.key) == ["a", "b"], "\(first), \(second)")
      #expect(found.allSatisfy { $0.problem == nil }, "\(first), \(second)")
    }
  }
  // One that holds nothing does not end the shard.
  let gap = try samples(
    shell("gzip -c < \"$1\"; bzip2 -c < /dev/null; gzip -c < /dev/null; gzip -c < \"$2\"", one, other))
  #expect(gap.map(\.key) == ["a", "b"] && gap.allSatisfy { $0.problem == nil })
  // Frames that are for others stand before lz4's and zstd's.
  let skipped = "printf '\\120\\052\\115\\030\\005\\000\\000\\000hello'"
  for program in ["lz4", "zstd"] {
    let found = try samples(shell("\(skipped); \(program) -c < \"$1\"", one))
    #expect(found.map(\.key) == ["a"] && found.allSatisfy { $0.problem == nil }, "\(program)")
  }
  let between = try samples(shell("lz4 -c < \"$1\"; \(skipped); lz4 -c < \"$2\"; \(skipped)", one, other))
  #expect(between.map(\.key) == ["a", "b"] && between.allSatisfy { $0.problem == nil })
  // The third is none of the second's, which is not compressed.
  let plain = try samples(shell("gzip -c < \"$1\"; cat \"$2\"; gzip -c < \"$1\"", one, other))
  #expect(plain.map(\.key).prefix(2) == ["a", "b"] && plain.last?.problem != nil)
}

/// Damage that still unpacks is found by its checksum.
@Test(arguments: ["gzip", "lz4"]) func aChecksumThatDoesNotFitIsReported(program: String) throws {
  let content = String(decoding: (0..<3000).map { UInt8(33 + $0 * $0 % 90) }, as: UTF8.self)
  let packed = try shell("\(program) -c < \"$1\"", tar([("a", [("txt", content)])]))
  #expect(try samples(packed).allSatisfy { $0.problem == nil })
  // gzip ends with checksum and length, LZ4 with a checksum.
  var damaged = packed
  damaged[damaged.count - (program == "gzip" ? 8 : 4)] ^= 1
  let found = try samples(damaged)
  #expect(found.last?.problem?.description.contains("\(program): damaged data, or a checksum") == true, "\(found)")
  if program == "gzip" { #expect(found.first?.key == "a" && found.first?.members.count == 1) }
}

/// A letter and its accent are two, in pax names too, and stay so.
@Test(arguments: ["pax", "gnu"]) func namesAreReadAndWrittenAsTheyAre(format: String) throws {
  let folder = FileManager.default.temporaryDirectory.path + "/massv-pipe-test-" + UUID().uuidString
  defer { try? FileManager.default.removeItem(atPath: folder) }
  try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  let names = ["e\u{301}", "\u{E9}", String(repeating: "x", count: 120) + "e\u{301}"]
  for name in names { try Data("1".utf8).write(to: URL(fileURLWithPath: "\(folder)/\(name).txt")) }
  let list = names.map { "'\($0).txt'" }.joined(separator: " ")
  let packed = try shell("cd '\(folder)'; tar cf - --format=\(format) \(list)")
  func bytes(_ samples: [Sample]) -> [[UInt8]] { samples.map { Array($0.key.utf8) } }
  let found = try samples(packed)
  #expect(bytes(found) == names.map { Array($0.utf8) })
  // Behind a global header, as git writes one.
  if format == "pax" {
    let global = try shell("cd '\(folder)'; tar cf - --format=pax --pax-option=globexthdr.name=g,comment=x \(list)")
    #expect(try bytes(samples(global)) == bytes(found))
  }
  #expect(try bytes(samples(tar(found.map { ($0.key, [("txt", "1")]) }))) == bytes(found))
}

@Test func patternsStandForTheirNames() throws {
  #expect(try ShardPattern.expand("d/{008..011}.tar") == ["d/008.tar", "d/009.tar", "d/010.tar", "d/011.tar"])
  #expect(try ShardPattern.expand("{a,b}-{1..2}") == ["a-1", "a-2", "b-1", "b-2"])
  #expect(try ShardPattern.expand("plain.tar") == ["plain.tar"])
  for bad in ["{", "a{b}c", "{1..99999999999}", "{5..1}", "{0..999999}{0..999999}"] {
    #expect(throws: ShardPattern.Failure.self, "\(bad)") { try ShardPattern.expand(bad) }
  }
}

@Test(.enabled(if: sharedData != nil, "no torture archives beside the project"))
func everyTortureArchiveEndsInSamplesOrProblems() throws {
  let folder = try #require(sharedData) + "/tar-torture"
  let files = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String }.sorted() ?? []
  var archives = 0
  for file in files where file != "manifest.tsv" {
    var isFolder: ObjCBool = false
    _ = FileManager.default.fileExists(atPath: folder + "/" + file, isDirectory: &isFolder)
    if isFolder.boolValue { continue }
    archives += 1
    let found = try all(folder + "/" + file, SampleLimits(memberBytes: 64 << 20, sampleBytes: 256 << 20))
    let damaged = ["trunc", "incomplete", "size_base256", "size_octal_max", "huge", "html", "garbage"]
    if damaged.contains(where: file.contains), !file.contains("compat") {
      #expect(found.contains { $0.problem != nil }, "\(file) reads as whole")
    }
    if file.contains("wds_ok") { #expect(found.count == 3 && found.allSatisfy { $0.problem == nil }, "\(file)") }
  }
  #expect(archives == 159)
}

/// Regular files that Python's tarfile counts where it reads an archive as sound: `ok 5=1 0=2`.
private func regularFiles(_ verdict: Substring) -> Int? {
  guard verdict.hasPrefix("ok "), !verdict.contains("short") else { return nil }
  // A regular file's type is 0, 7, S where it is sparse, or in old archives a zero byte.
  return verdict.dropFirst(3).split(separator: " ").reduce(0) { sum, piece in
    let parts = piece.split(separator: "=", omittingEmptySubsequences: false)
    return parts.count == 2 && ["0", "7", "S", "\0"].contains(parts[0]) ? sum + (Int(parts[1]) ?? 0) : sum
  }
}

@Test(.enabled(if: sharedData != nil, "no torture archives beside the project"))
func regularFilesAreThoseThatTarfileFinds() throws {
  let folder = try #require(sharedData) + "/tar-torture"
  let manifest = String(decoding: try Data(contentsOf: URL(fileURLWithPath: folder + "/manifest.tsv")), as: UTF8.self)
  // Python takes these for regular files: an empty name, and a header type of its own.
  let known: Set = ["synth/empty_name.tar"]
  var compared = 0
  for line in manifest.split(separator: "\n").dropFirst() {
    let columns = line.split(separator: "\t", omittingEmptySubsequences: false)
    guard columns.count > 5, let expected = regularFiles(columns[5]), !known.contains(String(columns[0])) else {
      continue
    }
    let descriptor = open(folder + "/" + columns[0], O_RDONLY)
    let members = TarMembers(name: "a", descriptor: descriptor, closes: true, limit: 1 << 30)
    var found = 0
    while let event = members.next() { if case .member = event { found += 1 } }
    #expect(found == expected, "\(columns[0])")
    compared += 1
  }
  #expect(compared > 80)
}
