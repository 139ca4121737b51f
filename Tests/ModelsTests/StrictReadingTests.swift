import Foundation
import JSON
import Models
import Testing

@Test func escapesHaveFourHexadecimalDigits() throws {
  #expect(try JSONValue(parsing: Array(#""A\u00e9""#.utf8)).string == "Aé")
  for text in [#""\u+041""#, #""\u-000""#, #""\u 041""#, #""\u00g0""#] {
    #expect(throws: JSONError.self) { try JSONValue(parsing: Array(text.utf8)) }
  }
}

/// Two keys that look alike are two.
@Test func keysAreFoundByTheirLetters() throws {
  let json = try JSONValue(parsing: Array("{\"e\u{301}\": 1, \"\u{E9}\": 2}".utf8))
  #expect(json["\u{E9}"]?.int == 2 && json["e\u{301}"]?.int == 1)
}

@Test func aSystemLineGoesBeforeAPlainLlamasText() {
  #expect(Llama.family.render(ChatTurn(text: "Hi", system: "Be brief.", hasImage: false)) == "Be brief.\n\nHi")
  #expect(Llama.family.render(ChatTurn(text: "Hi", hasImage: false)) == "Hi")
}

/// An error names the key, what it expected and what it found.
@Test func settingsThatCannotBeAreNamed() throws {
  func failure(_ changes: String, in section: String) -> String {
    let json =
      #"{"text_config": {\#(section == "text" ? changes : "")}, "vision_config": {\#(section == "vision" ? changes : "")}}"#
    do {
      let config = ConfigReader(place: "config.json", json: try JSONValue(parsing: Array(json.utf8)))
      if section == "text" { _ = try Llama.configuration(config) } else { _ = try Gemma3.configuration(config) }
      return ""
    } catch { return "\(error)" }
  }
  #expect(failure(#""rope_theta": 0"#, in: "text").contains("\"rope_theta\": expected a number above 0, found 0"))
  // CLIP's own activation has no way back, and the family has none.
  #expect(failure(#""hidden_act": "quick_gelu""#, in: "vision").contains("expected \"gelu_pytorch_tanh\" or \"gelu\""))
}
