import Foundation
import Models
import Speculation
import Tensors
import Testing

private let models =
  URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent().path + "/Tests/Fixtures/models/"

@Test func theLongestEndThatOccurredBeforeIsContinued() {
  func next(_ text: [Int32], _ count: Int = 3) -> [Int32] { NGramProposer.continuation(of: text, count: count) }
  #expect(next([1, 2, 3, 9, 9, 1, 2, 3]) == [9, 9, 1])
  #expect(next([1, 2, 3]) == [] && next([]) == [] && next([5]) == [])
  // A longer end counts more than a later place, and among equals the later place.
  #expect(next([1, 2, 7, 7, 2, 8, 8, 1, 2]) == [7, 7, 2])
  #expect(next([2, 7, 2, 8, 5, 2]) == [8, 5, 2])
  // No more than four tokens are looked for.
  #expect(next([9, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 6, 9, 1, 2, 3, 4]) == [6, 9, 1])
  // A repetition goes on into the guesses.
  #expect(next([4, 4], 5) == [4, 4, 4, 4, 4])
  #expect(next([1, 2, 1, 2, 1], 4) == [2, 1, 2, 1])
  #expect(next([1, 2, 1], 0) == [] && next([1, 2, 1], -1) == [])
}

@Test func aGuessOfOneTokenIsRejectedByTheRule() {
  let weights: [Double] = [4, 1, 3, 2]
  let target = weights.map { Float(log($0 / 10)) }
  let draft: [Float] = [-.infinity, -.infinity, 0, -.infinity]
  var counts = [Double](repeating: 0, count: 4)
  for index in 0..<40_000 {
    let noise = NoiseStream(seed: 5, key: "\(index)")
    counts[Int(Acceptance.reject(2, target: target, draft: draft, noise: noise, position: 0) ?? 2)] += 1
  }
  for (count, weight) in zip(counts, weights) { #expect(abs(count / 40_000 - weight / 10) < 0.01, "\(counts)") }
}

/// A language model that answers prompts, plainly and by looking up.
private struct Lookup {
  let target: any LanguageModel
  let proposer = NGramProposer()

  init() throws {
    let files = try ModelFiles(path: models + "qwen2-text")
    target = try files.family.load(files).language
  }

  func answers(gamma: Int?, temperature: Float, _ acceptance: Acceptance = .gumbel, inFlight: Int = 1) -> [Answer] {
    var settings = SamplingSettings(vocabulary: 428)
    settings.temperature = temperature
    let decoder = BatchDecoder(
      target: target, rules: ChoiceRules(sampling: settings, acceptance: acceptance, seed: 3, stops: [12]),
      engine: Engine(threads: 1))
    let requests = (0..<6).map { record in
      let prompt = (0..<(5 + record)).map { Int32(($0 * 7 + record) % 400 + 5) }
      return DecodeRequest(
        key: "\(record)", prompt: prompt, embeddings: target.embed(prompt),
        positions: prompt.indices.map { Position($0) }, nextPosition: prompt.count,
        drafting: gamma == 0
          ? nil
          : Drafting(
            proposer: proposer, prompt: DraftPrompt(tokens: prompt, embeddings: Tensor(rows: 0, columns: 0)),
            gamma: gamma), maximumTokens: 60)
    }
    return decoder.answers(to: requests, inFlight: inFlight)
  }
}

@Test func lookingUpChangesNoToken() throws {
  let lookup = try Lookup()
  for temperature: Float in [0, 0.5] {
    let plain = lookup.answers(gamma: 0, temperature: temperature)
    for gamma in [1, 5, nil] {
      for inFlight in [1, 4] {
        let found = lookup.answers(gamma: gamma, temperature: temperature, inFlight: inFlight)
        #expect(found.map(\.tokens) == plain.map(\.tokens), "γ \(gamma as Any), T \(temperature)")
        if temperature == 0, gamma == 5 { #expect(found.reduce(0) { $0 + $1.accepted } > 50) }
      }
    }
  }
  let drawn = lookup.answers(gamma: 5, temperature: 0.5, .rejection)
  #expect(drawn.allSatisfy { !$0.tokens.isEmpty } && drawn.reduce(0) { $0 + $1.accepted } > 0)
}

@Test func roundsAddUpToTheAnswer() throws {
  let lookup = try Lookup()
  for answer in lookup.answers(gamma: 5, temperature: 0) + lookup.answers(gamma: 0, temperature: 0.5) {
    #expect(answer.log.count == answer.rounds)
    #expect(answer.log.reduce(0) { $0 + $1.proposed } == answer.drafted)
    #expect(answer.log.reduce(0) { $0 + $1.accepted } == answer.accepted)
    #expect(answer.log.reduce(1) { $0 + $1.tokens } == answer.tokens.count)
    #expect(answer.stood.count == answer.tokens.count && answer.stood.filter { $0 }.count == answer.accepted)
    #expect(answer.log.allSatisfy { $0.accepted <= $0.examined && $0.examined <= $0.proposed })
  }
}
