import Foundation
import JSON
import Models
import Testing

private let expected = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .appendingPathComponent("Fixtures/expected")

@Test(arguments: ["prompts.json", "prompts-families.json"]) func promptsEqualTheRenderedTemplates(file: String) throws {
  let data = try Data(contentsOf: expected.appendingPathComponent(file))
  let cases = try #require(try JSONValue(parsing: Array(data)).array)
  let families = [
    "qwen2.5-vl": Qwen25VL.family, "qwen2.5": Qwen2.family, "gemma3": Gemma3.family, "gemma3_text": Gemma3Text.family,
    "llava": Llava.family,
  ]
  for item in cases {
    let family = try #require(families[item["family"]?.string ?? ""])
    let turn = ChatTurn(
      text: try #require(item["prompt"]?.string), system: item["system"]?.string, hasImage: item["image"]?.bool == true)
    #expect(family.render(turn) == item["rendered"]?.string)
  }
  #expect(cases.count > 5)
}
