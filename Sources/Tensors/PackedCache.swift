import CKernels
import Foundation
import JSON
import Synchronization

/// Quantised weights of one model, kept in a file so that they are made once.
///
/// The file is a safetensors file of bytes, mapped; its metadata name the sources it was made from and a checksum of
/// each tensor. Whatever does not fit, a changed source, another format, a damaged byte, is made anew.
package final class PackedCache: Sendable {
  /// The file.
  package let path: String
  private let identity: String
  private let smallest: Int
  private let engine: Engine
  private let kept: SafetensorsFile?
  private let given = Mutex(Given())

  /// All that a model was given, whether it was kept or made: a file is written whole.
  private struct Given {
    var weights: [(name: String, weight: Weight)] = []
    var someWereMade = false
  }

  /// Bump when panels change, or which weights have which format: what is kept was fitted beside the others.
  private static let layout = "massv-pipe panels 3"

  /// - Parameters:
  ///   - folder: where such files are kept; it is made when the first is.
  ///   - sources: the files that the weights come from.
  ///   - smallest: bytes of weights below which none are kept: they are quicker made than read.
  package init(folder: String, sources: [String], format: WeightFormat, smallest: Int = 64 << 20, _ engine: Engine) {
    let places = sources.sorted().map { URL(fileURLWithPath: $0).standardizedFileURL.path }
    let key = places.joined(separator: "\n").utf8.reduce(UInt64(0)) { mp_mix($0, UInt64($1)) }
    let model = URL(fileURLWithPath: places.first ?? "").deletingLastPathComponent().lastPathComponent
    let name = model.map { $0.isLetter || $0.isNumber || "-_.".contains($0) ? $0 : "_" }
    path = "\(folder)/\(String(name))-\(String(key, radix: 16)).\(format.rawValue).safetensors"
    identity = ([Self.layout, format.rawValue] + places.map(Self.state)).joined(separator: "\n")
    self.smallest = smallest
    self.engine = engine
    let file = try? SafetensorsFile(path: path)
    kept = file?.metadata["source"] == identity ? file : nil
  }

  /// The folder that the environment names: MASSV_PIPE_CACHE, or massv-pipe within the user's cache folder.
  package static var standardFolder: String? {
    let environment = ProcessInfo.processInfo.environment
    if let folder = environment["MASSV_PIPE_CACHE"] { return folder.isEmpty ? nil : folder }
    if let folder = environment["XDG_CACHE_HOME"], folder.hasPrefix("/") { return folder + "/massv-pipe" }
    return environment["HOME"].map { $0 + "/.cache/massv-pipe" }
  }

  /// A file's name, size, number, and times of change: one that was put in another's place may have its size and date.
  private static func state(_ path: String) -> String {
    var info = stat()
    guard stat(path, &info) == 0 else { return path }
    let times = [info.st_mtim, info.st_ctim].map { "\($0.tv_sec).\($0.tv_nsec)" }
    return ([path, "\(info.st_size)", "\(info.st_ino)"] + times).joined(separator: " ")
  }

  /// Whether nothing that fits is kept yet: the weights must be made.
  package var isEmpty: Bool { kept == nil }

  /// The weight as it was kept, or as `make` makes it.
  package func weight(
    _ name: String, rows: Int, columns: Int, format: WeightFormat, make: () -> Weight
  ) -> Weight {
    if let kept, let entry = kept.entries.first(where: { $0.name == name }) {
      let bytes = kept.bytes(entry)
      if entry.shape == [format.byteCount(rows: rows, columns: columns)],
        kept.metadata[name] == Self.checksum(bytes, engine), let start = bytes.baseAddress
      {
        let weight = Weight(rows: rows, columns: columns, format: format, start: start, owner: kept.file)
        given.withLock { $0.weights.append((name, weight)) }
        return weight
      }
    }
    let weight = make()
    given.withLock {
      $0.weights.append((name, weight))
      $0.someWereMade = true
    }
    return weight
  }

  private static func checksum(_ bytes: UnsafeRawBufferPointer, _ engine: Engine) -> String {
    let piece = 1 << 20
    let count = (bytes.count + piece - 1) / piece
    var sums = [UInt64](repeating: 0, count: count)
    sums.withUnsafeMutableBufferPointer { sums in
      nonisolated(unsafe) let sums = sums
      engine.parallel(count) { index in
        let part = UnsafeRawBufferPointer(rebasing: bytes[index * piece..<min(bytes.count, (index + 1) * piece)])
        sums[index] = mp_checksum(part.baseAddress, part.count)
      }
    }
    return String(sums.reduce(0) { mp_mix($0, $1) }, radix: 16)
  }

  /// Keeps what was made, written aside and renamed. That it cannot be kept is no failure of the run.
  ///
  /// - Returns: what went wrong, for people.
  package func save() -> String? {
    let given = given.withLock { $0 }
    guard given.someWereMade, given.weights.reduce(0, { $0 + $1.weight.byteCount }) >= smallest else { return nil }
    removeLeftovers()
    let aside = "\(path).\(getpid())"
    do {
      try? FileManager.default.createDirectory(
        atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
      try write(given.weights, to: aside)
      guard rename(aside, path) == 0 else { throw WeightError(String(cString: strerror(errno))) }
      return nil
    } catch {
      unlink(aside)
      return "\(path): the quantised weights cannot be kept: \(error)"
    }
  }

  /// What runs that are no more have left aside.
  private func removeLeftovers() {
    let (folder, name) = ((path as NSString).deletingLastPathComponent, (path as NSString).lastPathComponent)
    for file in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] where file.hasPrefix(name + ".") {
      if let process = pid_t(file.dropFirst(name.count + 1)), kill(process, 0) != 0, errno == ESRCH {
        unlink(folder + "/" + file)
      }
    }
  }

  private func write(_ weights: [(name: String, weight: Weight)], to path: String) throws {
    var at = 0
    var header = JSONWriter()
    header.object { header in
      header.key("__metadata__")
      header.object { metadata in
        metadata.key("source")
        metadata.string(identity)
        for (name, weight) in weights {
          metadata.key(name)
          metadata.string(weight.withBytes { Self.checksum($0, engine) })
        }
      }
      for (name, weight) in weights {
        header.key(name)
        header.object { entry in
          entry.key("dtype")
          entry.string("U8")
          entry.key("shape")
          entry.array { $0.integer(weight.byteCount) }
          entry.key("data_offsets")
          entry.array {
            $0.integer(at)
            $0.integer(at + weight.byteCount)
          }
        }
        at += weight.byteCount
      }
    }
    // Panels begin at a cache line.
    let size = (8 + header.bytes.count + 63) / 64 * 64
    let text = header.bytes + Array(repeating: UInt8(ascii: " "), count: size - 8 - header.bytes.count)
    guard let file = fopen(path, "w") else { throw WeightError(String(cString: strerror(errno))) }
    var isWhole = withUnsafeBytes(of: UInt64(text.count).littleEndian) { Self.put($0, file) }
    isWhole = isWhole && text.withUnsafeBytes { Self.put($0, file) }
    for (_, weight) in weights { isWhole = isWhole && weight.withBytes { Self.put($0, file) } }
    let problem = String(cString: strerror(errno))
    guard fclose(file) == 0, isWhole else { throw WeightError(problem) }
  }

  private static func put(_ bytes: UnsafeRawBufferPointer, _ file: UnsafeMutablePointer<FILE>) -> Bool {
    fwrite(bytes.baseAddress, 1, bytes.count, file) == bytes.count
  }
}
