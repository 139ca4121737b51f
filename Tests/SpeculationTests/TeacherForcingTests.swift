import Foundation
import Models
import Speculation
import Tensors
import Testing

private let models =
  URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent().path + "/Tests/Fixtures/models/"

private func logarithms(_ shares: [Double]) -> [Float] { shares.map { Float(log($0)) } }

@Test func distancesAreThoseOfAHandsCalculation() {
  func distance(_ p: [Double], _ q: [Double]) -> Double { totalVariation(logarithms(p), logarithms(q)) }
  #expect(abs(distance([0.5, 0.5, 0], [0.25, 0.25, 0.5]) - 0.5) < 1e-6)
  #expect(abs(distance([0.7, 0.2, 0.1], [0.2, 0.2, 0.6]) - 0.5) < 1e-6)
  #expect(abs(distance([0.6, 0.4], [0.5, 0.5]) - 0.1) < 1e-6)
  #expect(distance([1, 0], [0, 1]) == 1)
  #expect(distance([0.3, 0.7], [0.3, 0.7]) == 0)
  #expect(totalVariation([.nan, 0], [0, -.infinity]) == 1)
}

/// A target, another model with the same tokens and more rows, and an answer longer than a chunk.
private struct Forced {
  let target: any LanguageModel
  let other: any LanguageModel
  let engine = Engine(threads: 2)
  let prompt: [Int32] = (0..<20).map { Int32($0 * 17 % 400 + 5) }
  let answer: [Int32] = (0..<150).map { Int32($0 * $0 * 13 % 400 + 5) }

  init() throws {
    let targetFiles = try ModelFiles(path: models + "qwen2-echo")
    target = try targetFiles.family.load(targetFiles).language
    let otherFiles = try ModelFiles(path: models + "massv")
    other = try otherFiles.family.load(otherFiles).language
  }

  var request: DecodeRequest {
    DecodeRequest(
      key: "a", prompt: prompt, embeddings: target.embed(prompt), positions: prompt.indices.map { Position($0) },
      nextPosition: prompt.count, maximumTokens: answer.count)
  }

  func distances(_ settings: SamplingSettings, _ language: any LanguageModel, prompt: [Int32]? = nil) -> [Double] {
    let seen = prompt ?? self.prompt
    return TeacherForcing(settings, engine).distances(
      request, target: target, answer: answer,
      drafters: [(language, DraftPrompt(tokens: seen, embeddings: language.embed(seen)))])[0]
  }

  /// A model's distribution behind prompt and the first tokens of the answer, read alone.
  func distribution(_ language: any LanguageModel, _ settings: SamplingSettings, behind count: Int) -> [Float] {
    let text = prompt + answer.prefix(count)
    let span = DecoderSpan(
      cache: language.configuration.makeCache(capacity: text.count), positions: text.indices.map { Position($0) })
    let hidden = language.hiddenStates(language.embed(text), spans: [span], engine)
    let logits = language.logits(hidden.rows(hidden.rows - 1..<hidden.rows), engine)
    return logits.withValues { settings.process($0, columns: logits.columns, seen: Set(text)) }
  }
}

private func settings(_ temperature: Float, topP: Float = 1) -> SamplingSettings {
  var settings = SamplingSettings(vocabulary: 428)
  settings.temperature = temperature
  settings.topP = topP
  settings.repetitionPenalty = 1.2
  return settings
}

@Test func aDrafterThatIsTheTargetIsNowhereFromIt() throws {
  let forced = try Forced()
  #expect(forced.distances(settings(1), forced.target) == Array(repeating: 0, count: forced.answer.count))
}

@Test func everyPlaceIsComparedWithTheWholeTextBeforeIt() throws {
  let forced = try Forced()
  for settings in [settings(1), settings(0.6, topP: 0.8)] {
    let found = forced.distances(settings, forced.other)
    #expect(found.count == forced.answer.count && found.allSatisfy { (0...1).contains($0) })
    for place in [0, 1, 63, 64, 65, 127, 149] {
      let p = forced.distribution(forced.target, settings, behind: place)
      let q = forced.distribution(forced.other, settings, behind: place)
      #expect(abs(found[place] - totalVariation(p, q)) < 1e-4, "place \(place)")
    }
  }
  // Greedy decoding is judged at temperature 1.
  #expect(forced.distances(settings(0), forced.other) == forced.distances(settings(1), forced.other))
}

@Test func aDrafterWithoutAPromptBeginsWithTheSecondPlace() throws {
  let forced = try Forced()
  let found = forced.distances(settings(1), forced.other, prompt: [])
  #expect(found.count == forced.answer.count - 1 && found.allSatisfy { $0 > 0 && $0 <= 1 })
}
