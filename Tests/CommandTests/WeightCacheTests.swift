import Foundation
import Samples
import Testing

/// A text model whose quantised weights are worth keeping, made of a small one: its vocabulary goes on with a million rows
/// of zeros, that no token has. They are a hole in the file and take no disk.
private func makeModel(_ folder: String) throws {
  let rows = 1 << 20
  let source = Command.root + "/Tests/Fixtures/models/qwen2-echo"
  try FileManager.default.copyItem(atPath: source, toPath: folder)
  let config = try String(contentsOfFile: folder + "/config.json", encoding: .utf8)
  try config.replacing("\"vocab_size\": 448", with: "\"vocab_size\": \(rows)")
    .write(toFile: folder + "/config.json", atomically: true, encoding: .utf8)
  let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: source + "/model.safetensors")))
  let data = 8 + Int(bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) })
  var header = try #require(try JSONSerialization.jsonObject(with: Data(bytes[8..<data])) as? [String: Any])
  let table = "model.embed_tokens.weight"
  var entry = try #require(header[table] as? [String: Any])
  let place = try #require(entry["data_offsets"] as? [Int])
  let end = bytes.count - data
  entry["shape"] = [rows, 64]
  entry["data_offsets"] = [end, end + rows * 64 * 2]
  header[table] = entry
  let text = try JSONSerialization.data(withJSONObject: header)
  var file = Data(withUnsafeBytes(of: UInt64(text.count).littleEndian, Array.init)) + text
  file += Data(bytes[data...] + bytes[(data + place[0])..<(data + place[1])])
  try file.write(to: URL(fileURLWithPath: folder + "/model.safetensors"))
  #expect(truncate(folder + "/model.safetensors", off_t(8 + text.count + end + rows * 64 * 2)) == 0)
}

/// A folder with such a model, prompts and a pipe, and what a run without a cache writes.
@Suite(.serialized) struct WeightCacheTests {
  private let scratch: ScratchFolder
  private let expected: [UInt8]

  init() throws {
    scratch = try ScratchFolder()
    try makeModel(scratch.path + "/model")
    let writer = TarWriter()
    var tar: [UInt8] = []
    for (index, prompt) in ["What is red?", "A small dog", "Name three colours."].enumerated() {
      tar += try writer.sample(key: "r\(index)", members: [SampleMember(field: "txt", bytes: Array(prompt.utf8))])
    }
    try Data(tar + writer.end()).write(to: URL(fileURLWithPath: scratch.path + "/in.tar"))
    let pipe = """
      let m = model path="\(scratch.path)/model" weights=q8
      read | prompt model=m | generate model=m temperature=0 max-tokens=6 | emit fields=[key, text, token_ids]
      """
    try Data(pipe.utf8).write(to: URL(fileURLWithPath: scratch.path + "/a.pipe"))
    let outcome = try Command.shell(
      "MASSV_PIPE_CACHE= HOME=$OUT/home XDG_CACHE_HOME=$OUT/xdg $TOOL run $OUT/a.pipe < $OUT/in.tar > $OUT/a",
      scratch: scratch.path)
    try #require(outcome.status == 0, "\(outcome.errors)")
    // An empty name switches the cache off, whatever other places there are.
    #expect(outcome.errors == "")
    expected = try scratch.bytes("a")
    #expect(Set(try scratch.lines("a").map { $0.drop { $0 != "," } }).count == 3)
    for folder in ["home", "xdg"] { #expect(!FileManager.default.fileExists(atPath: scratch.path + "/" + folder)) }
  }

  /// Runs the pipe; what it said.
  private func run(_ environment: String = "MASSV_PIPE_CACHE=$OUT/cache", before: String = ":") throws -> String {
    let outcome = try Command.shell(
      "\(before); env -u MASSV_PIPE_CACHE \(environment) $TOOL run $OUT/a.pipe < $OUT/in.tar > $OUT/a",
      scratch: scratch.path)
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(try scratch.bytes("a") == expected, "\(environment)")
    return outcome.errors
  }

  private func kept(_ folder: String = "cache") -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: scratch.path + "/" + folder)) ?? []).map {
      scratch.path + "/\(folder)/" + $0
    }
  }

  private func inode(_ path: String) throws -> UInt64 {
    var info = stat()
    try #require(stat(path, &info) == 0)
    return UInt64(info.st_ino) << 32 ^ UInt64(info.st_mtim.tv_sec * 1_000_000_000 + info.st_mtim.tv_nsec)
  }

  @Test func weightsAreMadeOnceAndAgainWhereTheModelChanged() throws {
    #expect(try run() == "")
    let path = try #require(kept().first)
    #expect(kept().count == 1 && path.hasSuffix(".q8.safetensors"))
    let first = try inode(path)
    #expect(try run() == "")
    #expect(try inode(path) == first, "it was made a second time")
    #expect(try run(before: "touch $OUT/model/model.safetensors") == "")
    let second = try inode(path)
    #expect(second != first && kept().count == 1)
    // One byte of the table, far from the header.
    let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
    let middle = UInt64(30 << 20)
    try file.seek(toOffset: middle)
    let byte = try #require(try file.read(upToCount: 1)).first ?? 0
    try file.seek(toOffset: middle)
    try file.write(contentsOf: Data([byte ^ 0x40]))
    try file.close()
    #expect(try run() == "")
    #expect(try inode(path) != second, "the damage stayed")
    #expect(truncate(path, 12_345_678) == 0)
    #expect(try run() == "")
    #expect(kept() == [path])
    #expect(try scratch.size(path) > 64 << 20)
  }

  /// Archives and copies keep dates, and two models of a shape have one size.
  @Test func anotherFileOfTheSameSizeAndDateIsAnother() throws {
    #expect(try run() == "")
    let path = try #require(kept().first)
    let first = try inode(path)
    let swap = "cd $OUT/model; cp -p --sparse=always model.safetensors x; mv x model.safetensors; cd - > /dev/null"
    #expect(try run(before: swap) == "")
    #expect(try inode(path) != first)
  }

  @Test func aCacheThatCannotBeWrittenIsNoFailure() throws {
    #expect(try run("MASSV_PIPE_CACHE=/dev/null/cache").contains("the quantised weights cannot be kept"))
    // A limit on file sizes stands for the full disk.
    #expect(try run(before: "ulimit -f 2000").contains("the quantised weights cannot be kept: File too large"))
    #expect(kept() == [])
  }

  /// Nothing is written before the models are there, so that nobody has to wait for them.
  @Test func aSignalWhileModelsLoadEndsAtOnce() throws {
    let script = "MASSV_PIPE_CACHE= exec $TOOL run $OUT/a.pipe --threads 1 < $OUT/in.tar > $OUT/a"
    let process = try Command.start(script, scratch: scratch.path)
    var status: Int32 = 0
    while waitpid(process, &status, WNOHANG) == 0 {
      let maps = (try? String(contentsOfFile: "/proc/\(process)/maps", encoding: .utf8)) ?? ""
      if maps.contains("/model.safetensors") { break }
    }
    kill(process, SIGTERM)
    while waitpid(process, &status, 0) < 0, errno == EINTR {}
    #expect(status == (128 + SIGTERM) << 8)
    #expect(try scratch.bytes("errors").isEmpty && scratch.bytes("a").isEmpty)
  }

  @Test func theUsersCacheFolderStandsIn() throws {
    #expect(try run("XDG_CACHE_HOME=$OUT/xdg HOME=$OUT/home") == "")
    #expect(kept("xdg/massv-pipe").count == 1 && kept("home") == [])
    #expect(try run("-u XDG_CACHE_HOME HOME=$OUT/home") == "")
    #expect(kept("home/.cache/massv-pipe").count == 1)
    // Without any place there is no cache.
    #expect(try run("-u XDG_CACHE_HOME -u HOME") == "")
  }

  @Test func runsAtTheSameTimeDoNotDisturbEachOther() throws {
    let names = ["b", "c"]
    let processes = try names.map { name in
      try Command.start(
        "MASSV_PIPE_CACHE=$OUT/cache exec $TOOL run $OUT/a.pipe --threads 1 < $OUT/in.tar > $OUT/\(name)",
        scratch: scratch.path)
    }
    for (name, process) in zip(names, processes) {
      var status: Int32 = 0
      while waitpid(process, &status, 0) < 0, errno == EINTR {}
      #expect(status == 0)
      #expect(try scratch.bytes(name) == expected)
    }
    #expect(try scratch.bytes("errors").isEmpty)
    let paths = kept()
    #expect(paths.count == 1)
    let before = try paths.map(inode)
    #expect(try run() == "")
    #expect(try kept().map(inode) == before)
  }

  @Test func aSmallModelIsNotKept() throws {
    let pipe = """
      let m = model path="\(Command.root)/Tests/Fixtures/models/random-target" weights=q8
      read | decode | encode model=m | prompt model=m text="Describe." | generate model=m max-tokens=2 | emit fields=[key]
      """
    try Data(pipe.utf8).write(to: URL(fileURLWithPath: scratch.path + "/small.pipe"))
    let outcome = try Command.shell(
      "MASSV_PIPE_CACHE=$OUT/cache $TOOL run $OUT/small.pipe < Tests/Fixtures/shapes.tar > $OUT/a",
      scratch: scratch.path)
    #expect(outcome.status == 0 && outcome.errors == "")
    #expect(!FileManager.default.fileExists(atPath: scratch.path + "/cache"))
  }
}

extension ScratchFolder {
  fileprivate func size(_ path: String) throws -> Int {
    (try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? 0
  }
}
