import Foundation
import Images

/// A Python process that decodes and resizes the same files with Pillow whenever it is asked to.
private final class Pillow {
  private let process = Process()
  private let input = Pipe()
  private let output = Pipe()

  init(_ python: String, _ files: [String], width: Int, height: Int) throws {
    let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("pillow.py").path
    process.executableURL = URL(fileURLWithPath: python)
    process.arguments = [script, "\(width)", "\(height)"] + files
    process.standardInput = input
    process.standardOutput = output
    try process.run()
  }

  /// Seconds for all files once.
  func seconds() throws -> Double {
    try input.fileHandleForWriting.write(contentsOf: Data("\n".utf8))
    var line = Data()
    while let byte = try output.fileHandleForReading.read(upToCount: 1), byte != Data("\n".utf8) { line += byte }
    return Double(String(decoding: line, as: UTF8.self)) ?? .nan
  }

  deinit { process.terminate() }
}

/// JPEG decoding and a bicubic resize on one thread, against Pillow where there is one.
func benchmarkPictures() throws {
  let files = try pictureFiles()
  let contents = try files.map { Array(try Data(contentsOf: URL(fileURLWithPath: $0))) }
  let (width, height) = (448, 336)
  let ours = {
    try timed {
      for bytes in contents {
        _ = try Picture(decoding: bytes).resized(width: width, height: height, .bicubic)
      }
    }
  }
  guard let python = ProcessInfo.processInfo.environment["PILLOW"] else {
    let seconds = try interleaved(15, [ours])[0] / Double(files.count)
    return print("pictures: \(formatted(seconds * 1e3)) ms to decode and resize a JPEG; set PILLOW to compare")
  }
  let pillow = try Pillow(python, files, width: width, height: height)
  let seconds = try interleaved(15, [ours, { try pillow.seconds() }]).map { $0 / Double(files.count) }
  print(
    "pictures: \(formatted(seconds[0] * 1e3)) ms to decode and resize a JPEG to \(width)×\(height), "
      + "Pillow \(formatted(seconds[1] * 1e3)) ms: \(formatted(seconds[1] / seconds[0])) times as fast, \(files.count) files"
  )
}
