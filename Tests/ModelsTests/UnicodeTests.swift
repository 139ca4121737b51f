import Foundation
import Testing

@testable import Models

/// Composition where Foundation's goes wrong: old jamo beside those that compose, planes whose low half looks like others.
@Test(arguments: [
  ("\u{1100}\u{1161}", "\u{AC00}"), ("\u{1100}\u{1176}", "\u{1100}\u{1176}"), ("\u{1112}\u{1176}", "\u{1112}\u{1176}"),
  ("\u{1100}\u{1161}\u{11A7}", "\u{AC00}\u{11A7}"), ("\u{1100}\u{1161}\u{11A8}", "\u{AC01}"),
  ("\u{1100}\u{1161}\u{11C3}", "\u{AC00}\u{11C3}"), ("\u{AC00}\u{11C2}", "\u{AC1B}"),
  ("\u{1113}\u{1169}", "\u{1113}\u{1169}"), ("\u{230B5}\u{3099}", "\u{230B5}\u{3099}"),
  ("\u{10041}\u{0301}", "\u{10041}\u{0301}"), ("e\u{0301}", "\u{E9}"), ("\u{0958}", "\u{0915}\u{093C}"),
])
func textIsComposedAsUnicodeSays(text: String, composed: String) {
  let bytes = Array(text.utf8)
  let result = bytes.withUnsafeBufferPointer { Normalization.composed($0) }
  #expect(Array(result.unicodeScalars) == Array(composed.unicodeScalars))
}

/// Gemma's template strips the text as Python does, by code points.
@Test(arguments: [
  (" \u{301}a", "\u{301}a"), ("a \u{FE0F}", "a \u{FE0F}"), ("a\u{94D}\r\n", "a\u{94D}"), ("\u{1C}\u{1F} a\u{1D}", "a"),
  (" \u{3000}\n", ""), ("a  b", "a  b"),
])
func gemmasTextIsStrippedByCodePoints(text: String, stripped: String) {
  let rendered = Gemma3Text.family.render(ChatTurn(text: text, hasImage: false))
  let whole = "<bos><start_of_turn>user\n\(stripped)<end_of_turn>\n<start_of_turn>model\n"
  #expect(Array(rendered.unicodeScalars) == Array(whole.unicodeScalars))
}

private let tokenizer = #"""
  {"added_tokens": [], "normalizer": PLACE_N, "pre_tokenizer": PLACE_P, "post_processor": null, "decoder": null,
   "model": {"type": "BPE", "vocab": {"\u0915": 0, "\u093e": 1, "\u0915\u093e": 2, " ": 3, "\u2581": 4}, "merges": PLACE_M}}
  """#

private func read(merges: String = "[]", splits: String = "null", normalizer: String = "null") throws -> Tokenizer {
  let path = FileManager.default.temporaryDirectory.path + "/massv-pipe-test-\(UUID().uuidString).json"
  defer { try? FileManager.default.removeItem(atPath: path) }
  let text = tokenizer.replacing("PLACE_M", with: merges).replacing("PLACE_P", with: splits)
    .replacing("PLACE_N", with: normalizer)
  try text.write(toFile: path, atomically: true, encoding: .utf8)
  return try Tokenizer(path: path)
}

/// The space between the halves of a merge and a mark behind it are one character.
@Test func aMergesSecondHalfMayBeAMark() throws {
  #expect(try read(merges: "[\"\u{915} \u{93E}\"]").encode("\u{915}\u{93E}") == [2])
  #expect(try read(merges: "[[\"\u{915}\", \"\u{93E}\"]]").encode("\u{915}\u{93E}") == [2])
}

@Test(arguments: [
  (
    #"{"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": "[0-9]|[^0-9]+"}, "behavior": "Isolated"}, {"type": "ByteLevel", "add_prefix_space": false}]}"#,
    "use_regex false behind Split"
  ), (#"{"type": "Metaspace", "replacement": "", "prepend_scheme": "always"}"#, "a replacement"),
])
func splitsThatCannotBeFollowedAreNamed(splits: String, expected: String) throws {
  do {
    _ = try read(splits: splits)
    Issue.record("\(splits) was read")
  } catch { #expect("\(error)".contains(expected), "\(error)") }
}
