import Foundation
import Images
import JSON
import Samples
import Testing

private let fixture = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .appendingPathComponent("Fixtures/expected/resize.json")

/// The source pixels of a case, as make_resize.py describes them.
private func source(seed: UInt32, width: Int, height: Int, extreme: Bool) -> Picture {
  var state = seed
  let bytes = (0..<width * height * 3).map { _ in
    state = state &* 1_664_525 &+ 1_013_904_223
    let byte = UInt8(state >> 24)
    return extreme ? (byte >= 128 ? 255 : 0) : byte
  }
  return Picture(width: width, height: height, rgb: bytes)
}

@Test func resizedPicturesHavePillowsBytes() throws {
  let cases = try #require(JSONValue(parsing: Array(Data(contentsOf: fixture))).array)
  let filters: [(String, Resampling)] = [("lanczos", .lanczos), ("bilinear", .bilinear), ("bicubic", .bicubic)]
  for item in cases {
    let from = try #require(item["from"]?.array).compactMap(\.int)
    let to = try #require(item["to"]?.array).compactMap(\.int)
    let picture = source(
      seed: UInt32(try #require(item["seed"]?.int)), width: from[0], height: from[1],
      extreme: try #require(item["extreme"]?.bool as Bool?))
    for (name, filter) in filters {
      let resized = picture.resized(width: to[0], height: to[1], filter)
      #expect([resized.width, resized.height] == to)
      #expect(SHA256.hexDigest(of: resized.rgb) == item[name]?.string, "\(from) to \(to), \(name)")
    }
  }
  #expect(cases.count == 60)
}
