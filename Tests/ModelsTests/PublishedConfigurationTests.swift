import Foundation
import Models
import Testing

/// Published configuration files, where they lie beside the project; nothing of them is part of it.
private let published = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("shared/data/configs").path

private let present = FileManager.default.fileExists(atPath: published)

@Suite(.enabled(if: present, "no published configurations beside the project"))
struct PublishedConfigurationTests {
  @Test(arguments: ["Qwen2.5-VL-3B-Instruct", "Qwen2.5-VL-7B-Instruct"])
  func visionLanguageConfigurationsParse(name: String) throws {
    let folder = published + "/qwen2.5-vl/" + name
    let large = name.contains("7B")
    for file in ["config.json", "config.resolved-by-transformers-5.23.0.json"] {
      let scratch = FileManager.default.temporaryDirectory.path + "/massv-pipe-test-" + UUID().uuidString
      defer { try? FileManager.default.removeItem(atPath: scratch) }
      try FileManager.default.createDirectory(atPath: scratch, withIntermediateDirectories: true)
      try FileManager.default.copyItem(atPath: folder + "/" + file, toPath: scratch + "/config.json")
      try FileManager.default.copyItem(
        atPath: folder + "/preprocessor_config.json", toPath: scratch + "/preprocessor_config.json")
      let config = try ConfigReader(path: scratch + "/config.json")
      let model = try Qwen25VL.configuration(ModelFiles(path: scratch))
      #expect(model.language.sizes.hidden == (large ? 3584 : 2048))
      #expect(model.language.sizes.layers == (large ? 28 : 36))
      #expect(model.language.sizes.vocabulary == (large ? 152064 : 151936))
      #expect(model.language.sizes.tiedHead == !large)
      #expect(model.language.sizes.headWidth == 128)
      #expect(model.language.rope == RotarySettings(base: 1_000_000, sections: [16, 24, 24]))
      #expect(model.vision.fullAttentionBlocks == [7, 15, 23, 31])
      #expect(model.imagePlan.sizing == .own(factor: 28, minimumPixels: 3136, maximumPixels: 12_845_056))
      #expect(model.imageToken == 151655)
      let defaults = try GenerationDefaults(folder: folder, config: config)
      #expect(defaults.endOfSequence == [151645, 151643])
      #expect(defaults.repetitionPenalty == 1.05)
    }
  }

  @Test(arguments: [("Qwen2.5-0.5B-Instruct", 896, 24), ("Qwen2.5-1.5B-Instruct", 1536, 28)])
  func languageConfigurationsParse(name: String, hidden: Int, layers: Int) throws {
    let folder = published + "/qwen2.5/" + name
    let config = try ConfigReader(path: folder + "/config.json")
    let model = try Qwen2.configuration(config)
    let sizes = model.sizes
    #expect(sizes.hidden == hidden && sizes.layers == layers && sizes.vocabulary == 151936 && sizes.tiedHead)
    #expect(model.rope == RotarySettings(base: 1_000_000))
    let defaults = try GenerationDefaults(folder: folder, config: config)
    #expect(defaults.temperature == 0.7 && defaults.topK == 20 && defaults.topP == 0.8)
  }

  @Test func promptsAreThePublishedTemplates() throws {
    let folder = published + "/PROMPTS.md"
    let page = try String(contentsOfFile: folder, encoding: .utf8)
    for withImage in [true, false] {
      let rendered = Qwen25VL.render(ChatTurn(text: "Describe this image.", hasImage: withImage))
      #expect(page.contains("'" + rendered.replacingOccurrences(of: "\n", with: "\\n") + "'"))
    }
  }
}
