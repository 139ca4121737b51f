import Foundation
import Images
import Samples
import Testing

private let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent()

/// The torture files, which are not part of the project; nil where they are not here.
private let torture: URL? = {
  let beside = root.deletingLastPathComponent().appendingPathComponent("shared/data").path
  let data = ProcessInfo.processInfo.environment["MASSV_SHARED_DATA"] ?? beside
  let folder = URL(fileURLWithPath: data).appendingPathComponent("torture")
  return FileManager.default.fileExists(atPath: folder.path) ? folder : nil
}()

private let absent: Comment = "the torture files are not here; MASSV_SHARED_DATA names their folder"

/// A line of torture.tsv: what Pillow sees in a file. make_torture.py says how it is read.
private struct Expectation {
  let path: String
  let format: String
  let width: Int
  let height: Int
  let sha256: String
  /// Of JPEG alone, because inverse transforms may differ in their rounding.
  let samples: [[UInt8]]

  var isRefusal: Bool { width == 0 }

  init(_ line: Substring) throws {
    let fields = line.split(separator: "\t").map(String.init)
    try #require(fields.count == 6, "\(line)")
    (path, format, sha256) = (fields[0], fields[1], fields[4])
    width = try #require(Int(fields[2]))
    height = try #require(Int(fields[3]))
    samples = try fields[5].split(separator: ",").filter { $0 != "-" }.map { hex in
      let value = try #require(UInt32(hex, radix: 16))
      return [UInt8(value >> 16), UInt8(value >> 8 & 255), UInt8(value & 255)]
    }
  }

  static func all() throws -> [Expectation] {
    let table = root.appendingPathComponent("Tests/Fixtures/expected/torture.tsv")
    return try String(contentsOf: table, encoding: .utf8).split(separator: "\n").map { try Expectation($0) }
  }
}

private func bytes(_ path: String) throws -> [UInt8] {
  Array(try Data(contentsOf: try #require(torture).appendingPathComponent(path)))
}

/// Files whose pixels are not Pillow's, each with the reason; none at present.
private let differences: [String: String] = [:]

@Test(.enabled(if: torture != nil, absent))
func picturesHavePillowsSizeAndPixels() throws {
  var decoded = 0
  for expected in try Expectation.all() where !expected.isRefusal && differences[expected.path] == nil {
    decoded += 1
    let content = try bytes(expected.path)
    do {
      compare(try Picture(decoding: content), expected)
    } catch {
      Issue.record("\(expected.path): Pillow decodes it, but here: \(error)")
    }
  }
  #expect(decoded > 850)
}

private func compare(_ picture: Picture, _ expected: Expectation) {
  #expect(picture.width == expected.width && picture.height == expected.height, "\(expected.path)")
  guard picture.width == expected.width, picture.height == expected.height else { return }
  if expected.samples.isEmpty {
    #expect(SHA256.hexDigest(of: picture.rgb) == expected.sha256, "\(expected.path)")
  }
  for (i, colour) in expected.samples.enumerated() {
    let at = (i * 104_729 % picture.height * picture.width + i * 7919 % picture.width) * 3
    let found = Array(picture.rgb[at..<at + 3])
    let distance = zip(found, colour).map { abs(Int($0) - Int($1)) }.max() ?? 0
    #expect(distance <= 2, "\(expected.path), sample \(i): \(found), Pillow has \(colour)")
  }
}

@Test(.enabled(if: torture != nil, absent))
func filesThatPillowRefusesThrowOrDecode() throws {
  let refused = try Expectation.all().filter(\.isRefusal)
  var decoded: [String] = []
  for expected in refused where (try? Picture(decoding: bytes(expected.path))) != nil { decoded.append(expected.path) }
  print("of \(refused.count) files that Pillow refuses, \(refused.count - decoded.count) throw and these decode:")
  for path in decoded { print("  \(path)") }
  // Damage behind the pixels is passed over here; most of these files are damaged within.
  #expect(decoded.count < refused.count / 2)
}

@Test(.enabled(if: torture != nil, absent))
func everyFileOfTheFolderDecodesOrThrows() throws {
  let folder = try #require(torture)
  let listed = Dictionary(uniqueKeysWithValues: try Expectation.all().map { ($0.path, $0.format) })
  let walker = try #require(FileManager.default.enumerator(atPath: folder.path))
  var decoded = 0, thrown = 0, unknown = 0
  for case let path as String in walker where walker.fileAttributes?[.type] as? FileAttributeType == .typeRegular {
    let content = try bytes(path)
    let format = PictureFormat(content)
    #expect(format?.rawValue == listed[path], "\(path)")
    do {
      _ = try Picture(decoding: content)
      decoded += 1
    } catch {
      thrown += 1
      #expect(!error.description.isEmpty, "\(path)")
    }
    if format == nil { unknown += 1 }
  }
  print("\(decoded) torture files decode, \(thrown) throw, \(unknown) of them neither JPEG nor PNG nor WebP")
  #expect(thrown >= unknown && decoded + thrown >= listed.count + unknown)
}
