import Foundation
import JSON
import Models
import Testing

private let expected = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .appendingPathComponent("Fixtures/expected/prompts.json")

@Test func promptsEqualTheRenderedTemplates() throws {
  let cases = try #require(try JSONValue(parsing: Array(Data(contentsOf: expected))).array)
  let families = ["qwen2.5-vl": Qwen25VL.family, "qwen2.5": Qwen2.family]
  for item in cases {
    let family = try #require(families[item["family"]?.string ?? ""])
    let turn = ChatTurn(
      text: try #require(item["prompt"]?.string), system: item["system"]?.string, hasImage: item["image"]?.bool == true)
    #expect(family.render(turn) == item["rendered"]?.string)
  }
  #expect(cases.count > 5)
}
