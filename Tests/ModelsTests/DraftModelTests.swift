import Foundation
import Models
import Testing

private let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent().path
private let models = root + "/Tests/Fixtures/models/"

private func complaint(drafter: String, target: String) throws -> String? {
  let target = try TargetModel(ModelFiles(path: target))
  do {
    _ = try DraftModel(ModelFiles(path: drafter), for: target)
    return nil
  } catch { return "\(error)" }
}

@Test(arguments: [
  ("gemma3-text", "gemma3-hub"), ("gemma3-massv", "gemma3-hub"), ("llama-text", "llava-hub"),
  ("llama-massv", "llava-hub"), ("qwen2-echo", "random-target"),
  ("gguf/gemma3-text.gguf", "gemma3-hub"), ("gguf/llama.gguf", "llava-hub"),
])
func aDrafterOfTheSameVocabularyFits(drafter: String, target: String) throws {
  #expect(try complaint(drafter: models + drafter, target: models + target) == nil)
}

@Test func anotherVocabularyIsAnErrorThatNamesTheFirstTokenThatDiffers() throws {
  let found = try complaint(drafter: models + "llama-text", target: models + "gemma3-hub")
  #expect(
    found?.contains("must share a vocabulary: token 0 is \"<unk>\" here and \"<pad>\" in") == true, "\(found ?? "")")
}

@Test func aDrafterForAnotherTargetIsAnError() throws {
  let folder = FileManager.default.temporaryDirectory.path + "/massv-pipe-test-" + UUID().uuidString
  defer { try? FileManager.default.removeItem(atPath: folder) }
  try FileManager.default.copyItem(atPath: models + "gemma3-massv", toPath: folder)
  let file = folder + "/massv.json"
  let text = try String(contentsOfFile: file, encoding: .utf8)
  try text.replacing("\"gemma3\"", with: "\"llava\"").write(toFile: file, atomically: true, encoding: .utf8)
  let found = try complaint(drafter: folder, target: models + "gemma3-hub")
  #expect(found?.contains("\"family\": expected the target's, \"gemma3\"") == true, "\(found ?? "")")
  try text.replacing("\"vision_width\": 48", with: "\"vision_width\": 47").write(
    toFile: file, atomically: true, encoding: .utf8)
  #expect(try complaint(drafter: folder, target: models + "gemma3-hub") != nil)
}
