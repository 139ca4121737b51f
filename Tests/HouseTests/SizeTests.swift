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

/// Functions that are read at one go.
@Test func functionsStayWithinTheirSize() throws {
  let walker = try #require(
    FileManager.default.enumerator(at: root.appendingPathComponent("Sources"), includingPropertiesForKeys: nil))
  let start = try Regex(
    #"^(?<indent> *)(?:@\w+ )*(?:(?:package|private|fileprivate|static|mutating|convenience|override) )*(?:func |init|deinit)"#
  )
  var count = 0
  for case let file as URL in walker where file.pathExtension == "swift" {
    let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n", omittingEmptySubsequences: false)
    for (number, line) in lines.enumerated() {
      guard let match = try start.prefixMatch(in: line), let indent = match["indent"]?.substring else { continue }
      // The body begins where the declaration's last line opens it, and ends with a brace below the declaration.
      guard let opening = lines[number...].firstIndex(where: { $0.hasSuffix("{") || $0.hasSuffix("}") || $0.isEmpty }),
        lines[opening].hasSuffix("{"), let end = lines[opening...].firstIndex(where: { $0 == indent + "}" })
      else { continue }
      count += 1
      #expect(end - number < 40, "\(file.lastPathComponent):\(number + 1) has \(end - number + 1) lines")
    }
  }
  #expect(count > 1000)
}
