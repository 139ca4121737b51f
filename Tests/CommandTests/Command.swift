import Foundation

/// Runs the tool as a shell would, and sees what a shell sees.
struct Command {
  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().path

  /// The tool lies beside the program that runs the tests.
  static let tool: String = {
    let tests = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    return URL(fileURLWithPath: tests).deletingLastPathComponent().path + "/massv-pipe"
  }()

  /// Models so small that starting them takes no time; what they write means nothing.
  static let tiny = "target=Tests/Fixtures/models/random-target draft=Tests/Fixtures/models/random-massv"

  struct Outcome {
    /// Exit status, or 128 + signal.
    let status: Int32
    /// Peak resident kilobytes.
    let peak: Int
    let errors: String
  }

  /// Runs a line of shell in the project's root, with `$TOOL` for the tool; `$OUT` is a scratch folder.
  static func shell(_ script: String, scratch: String) throws -> Outcome {
    let process = try start(script, scratch: scratch)
    var status: Int32 = 0
    var usage = rusage()
    while wait4(process, &status, 0, &usage) < 0, errno == EINTR {}
    let errors = (try? String(contentsOfFile: scratch + "/errors", encoding: .utf8)) ?? ""
    let code = status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + status & 0x7F
    return Outcome(status: code, peak: Int(usage.ru_maxrss), errors: errors)
  }

  /// Starts a line of shell whose last command replaces it, so that signals reach the tool; returns its process.
  static func start(_ script: String, scratch: String) throws -> pid_t {
    var process: pid_t = 0
    let words = ["/bin/sh", "-c", "cd '\(root)'; exec 2>'\(scratch)/errors'; " + script]
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    var environment = ProcessInfo.processInfo.environment
    environment["TOOL"] = tool
    environment["OUT"] = scratch
    var variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { (arguments + variables).forEach { free($0) } }
    guard posix_spawn(&process, "/bin/sh", nil, nil, &arguments, &variables) == 0 else {
      throw CocoaError(.executableLoad)
    }
    return process
  }
}

/// A folder that is removed with its owner.
final class ScratchFolder {
  let path: String

  init() throws {
    path = FileManager.default.temporaryDirectory.path + "/massv-pipe-test-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func bytes(_ name: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: path + "/" + name))) }

  func lines(_ name: String) throws -> [String] {
    String(decoding: try bytes(name), as: UTF8.self).split(separator: "\n").map(String.init)
  }
}
