import Foundation
import Models
import Samples
import Tensors

/// What a model's visual features depend on, in 32 bytes.
///
/// Of the small files every byte counts. Weight files are looked at in places, so that a model of many gigabytes takes no
/// longer than a small one: name, size, tensor table, first and last megabyte, and 256 pages spread over the rest. The
/// folder's own name does not count, nor does a file's time.
enum EncoderFingerprint {
  /// Bump when the same files give other features, or features are kept in another way.
  private static let version = "massv-pipe visual features 1"
  private static let edge = 1 << 20
  private static let page = 1 << 12
  private static let pages = 256
  private static let settings = ["config.json", "preprocessor_config.json", "processor_config.json"]

  /// - Parameters:
  ///   - path: the model's folder or `.gguf` file.
  ///   - vision: the `mmproj` file that belongs to a `.gguf` file.
  ///   - weights: the format that the encoder computes in.
  ///   - maximumPixels: what pictures are brought to at most, nil for what the settings say.
  static func digest(path: String, vision: String?, weights: String, maximumPixels: Int? = nil) throws -> [UInt8] {
    let limit = maximumPixels.map { ["at most \($0) pixels"] } ?? []
    var facts = ([version, weights] + limit).joined(separator: "\n").utf8.map { $0 }
    func add(_ name: String, _ digest: [UInt8]) { facts += Array("\n\(name)\n".utf8) + digest }
    var files = [path, vision].compactMap { $0 }
    if !path.hasSuffix(".gguf") {
      for name in settings where FileManager.default.fileExists(atPath: "\(path)/\(name)") {
        let file = try MappedFile(path: "\(path)/\(name)")
        add(name, withExtendedLifetime(file) { SHA256.digest(of: file.bytes) })
      }
      files = try WeightStore(folder: path).files
    }
    for path in files {
      let file = try MappedFile(path: path)
      add((path as NSString).lastPathComponent, withExtendedLifetime(file) { digest(of: file.bytes) })
    }
    return SHA256.digest(of: facts)
  }

  /// A weight file's size and some of its bytes.
  private static func digest(of file: UnsafeRawBufferPointer) -> [UInt8] {
    func part(_ range: Range<Int>) -> [UInt8] {
      SHA256.digest(of: UnsafeRawBufferPointer(rebasing: file[range.clamped(to: 0..<file.count)]))
    }
    var facts = Array("\(file.count)".utf8)
    // A safetensors file begins with the length of its tensor table.
    let table = file.count >= 8 ? file.loadUnaligned(as: UInt64.self) : 0
    let isTable = table < UInt64(file.count) && table < 1 << 30
    facts += part(0..<max(edge, isTable ? 8 + Int(table) : 0))
    facts += part(max(0, file.count - edge)..<file.count)
    let step = max(page, file.count / pages)
    for start in stride(from: 0, to: file.count, by: step) { facts += part(start..<start + page) }
    return SHA256.digest(of: facts)
  }
}
