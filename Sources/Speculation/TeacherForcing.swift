import Foundation
import Models
import Tensors

/// Half the sum of |p − q|: 0 where two distributions are equal, 1 where they share no token.
///
/// - Parameters:
///   - p, q: log-probabilities over the same vocabulary.
package func totalVariation(_ p: [Float], _ q: [Float]) -> Double {
  var sum = 0.0
  for (p, q) in zip(p, q) where p != q { sum += abs(exp(Double(p)) - exp(Double(q))) }
  // A model whose logits are no numbers agrees with nothing.
  return sum.isNaN ? 1 : min(1, sum / 2)
}

/// How far drafters are from their target along an answer that the target wrote: each model reads prompt and answer in
/// one pass, and their distributions are held against each other place by place.
package struct TeacherForcing {
  /// Rows whose distributions are in memory together.
  private static let rowsAtOnce = 64

  private let settings: SamplingSettings
  private let engine: Engine

  /// - Parameter settings: how logits become a distribution. At temperature 0, where only the likeliest token counts,
  ///   the distributions are those of temperature 1.
  package init(_ settings: SamplingSettings, _ engine: Engine) {
    var settings = settings
    if settings.temperature == 0 { settings.temperature = 1 }
    self.settings = settings
    self.engine = engine
  }

  /// The total variation distances of each drafter at the places of the answer.
  ///
  /// A drafter that sees nothing of the prompt has no distribution of the first place: its distances begin with the
  /// second.
  ///
  /// - Parameters:
  ///   - request: the prompt as the target sees it, embeddings included.
  ///   - answer: the target's own.
  package func distances(
    _ request: DecodeRequest, target: any LanguageModel, answer: [Int32],
    drafters: [(language: any LanguageModel, prompt: DraftPrompt)]
  ) -> [[Double]] {
    guard !answer.isEmpty, !drafters.isEmpty else { return drafters.map { _ in [] } }
    let own = hidden(request, target, answer)
    let guessed = drafters.map { hidden($0.prompt, $0.language, answer) }
    var seen = Set(request.prompt)
    var distances: [[Double]] = drafters.map { _ in [] }
    for first in stride(from: 0, to: answer.count, by: Self.rowsAtOnce) {
      let places = first..<min(answer.count, first + Self.rowsAtOnce)
      // What a row's penalty acts on: all tokens before it.
      let before = places.map { place in
        defer { seen.insert(answer[place]) }
        return seen
      }
      let p = distributions(own, target, places, before, answer.count)
      for (index, drafter) in drafters.enumerated() {
        let q = distributions(guessed[index], drafter.language, places, before, answer.count)
        distances[index] += compared(p.suffix(q.count), q)
      }
    }
    return distances
  }

  private func hidden(_ request: DecodeRequest, _ target: any LanguageModel, _ answer: [Int32]) -> Tensor {
    let positions = request.positions + answer.indices.dropLast().map { Position(request.nextPosition + $0) }
    return hidden(
      request.embeddings, target, answer, positions, bidirectional: request.bidirectional)
  }

  private func hidden(_ prompt: DraftPrompt, _ language: any LanguageModel, _ answer: [Int32]) -> Tensor {
    let count = prompt.embeddings.rows + answer.count - 1
    return hidden(prompt.embeddings, language, answer, (0..<count).map { Position($0) }, bidirectional: nil)
  }

  /// The hidden states behind the prompt's last row and every token of the answer but the last.
  private func hidden(
    _ prompt: Tensor, _ language: any LanguageModel, _ answer: [Int32], _ positions: [Position],
    bidirectional: Range<Int>?
  ) -> Tensor {
    if positions.isEmpty { return Tensor(rows: 0, columns: language.configuration.hidden) }
    let parts = [prompt, language.embed(Array(answer.dropLast()))].filter { $0.rows > 0 }
    let span = DecoderSpan(
      cache: language.configuration.makeCache(capacity: positions.count), positions: positions,
      bidirectional: bidirectional)
    let all = language.hiddenStates(Tensor.stacking(parts), spans: [span], engine)
    return all.rows(max(0, prompt.rows - 1)..<all.rows)
  }

  /// The distributions at these places of the answer; of a model that has none for the first, those behind it.
  ///
  /// - Parameter hidden: the states for the last of `count` places and as many before it as there are.
  private func distributions(
    _ hidden: Tensor, _ language: any LanguageModel, _ places: Range<Int>, _ before: [Set<Int32>], _ count: Int
  ) -> [[Float]] {
    let missing = count - hidden.rows
    let known = max(places.lowerBound, missing)..<places.upperBound
    if known.isEmpty { return [] }
    let logits = language.logits(hidden.rows(known.lowerBound - missing..<known.upperBound - missing), engine)
    return logits.withValues { values in
      engine.map(known.count, work: known.count * logits.columns) { row in
        let seen = before[known.lowerBound - places.lowerBound + row]
        return settings.process(values + row * logits.columns, columns: logits.columns, seen: seen)
      }
    }
  }

  private func compared(_ p: ArraySlice<[Float]>, _ q: [[Float]]) -> [Double] {
    engine.map(q.count, work: q.count * settings.vocabulary) { totalVariation(p[p.startIndex + $0], q[$0]) }
  }
}
