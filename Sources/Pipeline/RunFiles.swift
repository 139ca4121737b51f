import Foundation
import Synchronization

/// The files that a run reads and writes, so that none is emptied that it reads, and none written from two places.
///
/// Only regular files count: of pipes and devices everyone has the same.
package final class RunFiles: Sendable {
  private struct Identity: Hashable {
    let device: UInt
    let inode: UInt
  }

  private struct Writer {
    let name: String
    /// Whether it writes to standard output, which several may do.
    let isStandard: Bool
    /// Whether it begins only when everything else has ended.
    let isLast: Bool
    /// Whether others of the same name may write it too.
    let shares: Bool
  }

  private struct State {
    var read: Set<Identity> = []
    var written: [Identity: Writer] = [:]
  }
  private let state = Mutex(State())

  init() {
    if let input = Self.identity(of: nil, STDIN_FILENO) { state.withLock { _ = $0.read.insert(input) } }
  }

  /// Says that a model's file is read, or those of its folder that make the model. Others may lie beside them.
  func readModel(_ path: String) throws(RunFailure) {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue else {
      return try read(path)
    }
    for name in (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    where name.hasSuffix(".safetensors") || name.hasSuffix(".index.json") || Self.settings.contains(name) {
      try read(path + "/" + name)
    }
  }

  /// What else a model's folder holds, as Hugging Face lays it out.
  private static let settings: Set = [
    "config.json", "generation_config.json", "massv.json", "preprocessor_config.json", "processor_config.json",
    "tokenizer.json", "tokenizer_config.json",
  ]

  /// Says that a file is read.
  package func read(_ path: String) throws(RunFailure) {
    guard let file = Self.identity(of: path, -1) else { return }
    let writer = state.withLock { state in
      state.read.insert(file)
      return state.written[file]
    }
    if let writer, writer.isLast {
      throw RunFailure(.usage, "\(writer.name): \(path) is the input itself")
    }
  }

  /// Whether a file has been read.
  package func isRead(_ path: String) -> Bool {
    guard let file = Self.identity(of: path, -1) else { return false }
    return state.withLock { $0.read.contains(file) }
  }

  /// Says that a file is written, before it is opened.
  ///
  /// - Parameters:
  ///   - path: nil for standard output.
  ///   - name: who writes, for messages.
  ///   - isLast: whether nothing is written before everything else has ended.
  ///   - shares: whether others of the same name may write it too.
  package func write(
    _ path: String?, by name: String, isLast: Bool = false, shares: Bool = false
  ) throws(RunFailure) {
    if let path, access(path, F_OK) != 0 {
      // What cannot be created is an error of whoever opens it.
      let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o666)
      guard descriptor >= 0 else { return }
      close(descriptor)
    }
    guard let file = Self.identity(of: path, STDOUT_FILENO) else { return }
    let shown = path ?? "standard output"
    let (isRead, other) = state.withLock { state in
      let other = state.written[file]
      if other == nil {
        state.written[file] = Writer(name: name, isStandard: path == nil, isLast: isLast, shares: shares)
      }
      return (state.read.contains(file), other)
    }
    if isRead { throw RunFailure(.usage, "\(name): \(shown) is the input itself") }
    if let other, path != nil || !other.isStandard, !(shares && other.shares && other.name == name) {
      throw RunFailure(.usage, "\(name): \(shown) is what \(other.name) writes already")
    }
  }

  /// Which file a path names, or a descriptor where there is no path; nil for what is no regular file.
  private static func identity(of path: String?, _ descriptor: Int32) -> Identity? {
    var status = stat()
    guard (path.map { stat($0, &status) } ?? fstat(descriptor, &status)) == 0, status.st_mode & S_IFMT == S_IFREG else {
      return nil
    }
    return Identity(device: UInt(status.st_dev), inode: UInt(status.st_ino))
  }
}
