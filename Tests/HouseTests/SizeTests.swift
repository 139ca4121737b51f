import Foundation
import Testing

private let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent()

@Test func filesOfSourcesStayWithinTheirSizeAndHaveTellingNames() throws {
  let sources = root.appendingPathComponent("Sources")
  let walker = try #require(FileManager.default.enumerator(at: sources, includingPropertiesForKeys: nil))
  var count = 0
  for case let file as URL in walker where ["swift", "c", "h"].contains(file.pathExtension) {
    count += 1
    let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n", omittingEmptySubsequences: false)
    #expect(lines.count <= 300, "\(file.lastPathComponent) has \(lines.count) lines")
    for word in ["Utils", "Common", "Helpers", "Extensions"] {
      #expect(!file.lastPathComponent.contains(word), "\(file.lastPathComponent)")
    }
  }
  #expect(count > 20)
}
