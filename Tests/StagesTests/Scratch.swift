import Foundation
import JSON
import PipeLanguage
import Pipeline
import Samples
import Stages
import Testing

/// The project's root, and data beside it that is not part of it.
enum Place {
  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().path
  static let target = root + "/Tests/Fixtures/models/random-target"
  static let massv = root + "/Tests/Fixtures/models/random-massv"
  static let text = root + "/Tests/Fixtures/models/qwen2-echo"
  static let exampleShard = root + "/Tests/Fixtures/shapes.tar"

  /// Photographs and torture files, nil where they are not here.
  static let sharedData: String? = {
    let path =
      ProcessInfo.processInfo.environment["MASSV_SHARED_DATA"]
      ?? URL(fileURLWithPath: root).deletingLastPathComponent().path + "/shared/data"
    return FileManager.default.fileExists(atPath: path) ? path : nil
  }()
}

/// A folder that is removed with its owner.
final class Scratch {
  let path: String

  init() throws {
    path = FileManager.default.temporaryDirectory.path + "/massv-pipe-test-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func file(_ name: String) -> String { path + "/" + name }

  func write(_ bytes: [UInt8], to name: String) throws -> String {
    try Data(bytes).write(to: URL(fileURLWithPath: file(name)))
    return file(name)
  }

  func bytes(of name: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: file(name)))) }

  /// The output's lines, parsed.
  func lines(of name: String) throws -> [JSONValue] {
    try bytes(of: name).split(separator: UInt8(ascii: "\n")).map { try JSONValue(parsing: Array($0)) }
  }

  /// A shard of these samples; the path of its file.
  func shard(_ name: String, _ samples: [(key: String, members: [(String, [UInt8])])]) throws -> String {
    let writer = TarWriter()
    var bytes: [UInt8] = []
    for sample in samples {
      bytes += try writer.sample(
        key: sample.key, members: sample.members.map { SampleMember(field: $0.0, bytes: $0.1) })
    }
    return try write(bytes + writer.end(), to: name)
  }
}

/// Runs a pipe in this process; what ended it, or nil.
@discardableResult func run(
  _ text: String, parameters: [String] = [], options: RunContext.Options = .init(), meter: Meter = Meter()
) throws -> RunFailure? {
  let pipe = try BoundPipe(
    SourceText(name: "test.pipe", text: text), catalog: .standard, overrides: Overrides(parameters: parameters))
  do throws(RunFailure) {
    try Runner(pipe, context: RunContext(options: options, meter: meter)).run()
    return nil
  } catch {
    return error
  }
}

/// A pipe of the stage catalogue, checked.
func pipe(_ text: String) throws -> BoundPipe {
  try BoundPipe(SourceText(name: "test.pipe", text: text), catalog: .standard)
}

func read(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: path))) }
