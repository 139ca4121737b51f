import Foundation
import Models
import Testing

private let families = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent().appendingPathComponent("Sources/Models/Families")

/// The guide's sections, in its order.
private func sections() throws -> [String] {
  let guide = try String(contentsOf: families.appendingPathComponent("README.md"), encoding: .utf8)
  return guide.matches(of: /\ {3}- \*\*(.+?)\*\*/).map { String($0.1) }
}

@Test func everyFamilyHasTheGuidesSectionsInItsOrder() throws {
  let order = try sections()
  #expect(order.count == 6)
  let files = try FileManager.default.contentsOfDirectory(at: families, includingPropertiesForKeys: nil)
    .filter { $0.pathExtension == "swift" }
  #expect(files.count == ModelFamily.all.count)
  for file in files {
    let text = try String(contentsOf: file, encoding: .utf8)
    let found = text.matches(of: /\/\/ MARK: (.+)/).map { String($0.1) }
    let places = found.map { order.firstIndex(of: $0) ?? -1 }
    #expect(!places.contains(-1) && places == places.sorted(), "\(file.lastPathComponent): \(found)")
    #expect(found.first == "Configuration" && found.last == "Weight names", "\(file.lastPathComponent)")
    // Each is in the one list of families.
    #expect(text.contains("package static let family = ModelFamily("), "\(file.lastPathComponent)")
  }
}
