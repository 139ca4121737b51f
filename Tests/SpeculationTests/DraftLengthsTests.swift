import CKernels
import Foundation
import Tensors
import Testing

@testable import Models
@testable import Speculation

/// A drafter whose proposals stand with known chances: of two tokens and two probabilities.
private struct Drafter {
  var draws = UInt64(0)

  mutating func happens(_ chance: Double) -> Bool {
    draws += 1
    return Double(mp_mix(5, draws) >> 11) * 0x1p-53 < chance
  }

  /// A round of an answer as it is planned.
  mutating func round(_ plan: DraftPlan) -> Proposed {
    var (guesses, standing) = ([Guess](), 0)
    while plan.goesOn(guesses) {
      let isSure = happens(0.75)
      if happens(isSure ? 0.97 : 0.5), standing == guesses.count { standing += 1 }
      guesses.append(Guess(token: isSure ? 1 : 2, probability: isSure ? 0.9 : 0.4))
    }
    return Proposed(count: guesses.count, brought: standing + 1, guesses: guesses)
  }
}

/// What rounds of so many answers come to, once it is known where to stop.
private func means(_ lengths: inout DraftLengths, gamma: Int, together: Int, rounds: Int) -> (
  proposals: Double, tokens: Double
) {
  var drafter = Drafter()
  var (count, tokens) = (0, 0)
  for round in 0..<rounds + 200 {
    let found = (0..<together).map { _ in drafter.round(lengths.plan(gamma)) }
    lengths.add(found)
    if round < 200 { continue }
    count += found.reduce(0) { $0 + $1.count }
    tokens += found.reduce(0) { $0 + $1.brought }
  }
  let answers = Double(rounds * together)
  return (Double(count) / answers, Double(tokens) / answers)
}

/// Answers have γ proposals in the mean, one at a time as many together, and more of them stand than of γ for each.
@Test(arguments: [2, 4, 6], [1, 64])
func answersHaveGammaProposalsInTheMean(gamma: Int, together: Int) {
  var lengths = DraftLengths()
  let found = means(&lengths, gamma: gamma, together: together, rounds: 6400 / together)
  #expect(abs(found.proposals - Double(gamma)) < 0.3, "\(found)")
  #expect(abs(lengths.proposals(gamma) - Double(gamma)) < 0.5)
  #expect(abs(lengths.tokensARound(gamma) - found.tokens) < 0.05 * found.tokens, "\(found)")
  let chance = 0.75 * 0.97 + 0.25 * 0.5
  let fixed = (0...gamma).reduce(0.0) { sum, place in sum + (0..<place).reduce(1.0) { power, _ in power * chance } }
  #expect(found.tokens > 1.03 * fixed, "\(found), a fixed γ \(fixed)")
}

/// While one γ is in use, it is known of the others what they would bring.
@Test(arguments: [2, 3, 6])
func whatOtherGammasBringIsKnown(gamma: Int) {
  var (used, other) = (DraftLengths(), DraftLengths())
  _ = means(&used, gamma: 4, together: 1, rounds: 3000)
  let found = means(&other, gamma: gamma, together: 1, rounds: 3000)
  #expect(abs(used.tokensARound(gamma) - found.tokens) < 0.07 * found.tokens, "\(used.tokensARound(gamma)), \(found)")
  #expect(used.steps(gamma, answers: 64) > used.steps(gamma, answers: 1) + 0.5)
}

/// A drafter that is always as sure has γ proposals for every answer, no more and no fewer.
@Test func aDrafterThatNeverDoubtsHasAlwaysGamma() {
  var (lengths, drafter, counts) = (DraftLengths(), Drafter(), [Int]())
  for _ in 0..<1500 {
    var (guesses, standing) = ([Guess](), 0)
    let plan = lengths.plan(4)
    while plan.goesOn(guesses) {
      if drafter.happens(0.8), standing == guesses.count { standing += 1 }
      guesses.append(Guess(token: 1, probability: 0.9))
    }
    lengths.add([Proposed(count: guesses.count, brought: standing + 1, guesses: guesses)])
    counts.append(guesses.count)
  }
  #expect(counts.dropFirst(500).count { $0 == 4 } > 950, "\(counts.dropFirst(500).filter { $0 != 4 })")
}

/// How often proposals stand is told apart by their probability, and by the token where that is known.
@Test func confidenceIsLearnedByProbabilityAndByToken() {
  var (confidence, drafter) = (Confidence(), Drafter())
  #expect(confidence.chance(Guess(token: 3, probability: 0.9)) == 0.5)
  for _ in 0..<400 {
    confidence.add(Guess(token: 1, probability: 0.6), stood: drafter.happens(0.95))
    confidence.add(Guess(token: 2, probability: 0.6), stood: drafter.happens(0.2))
    confidence.add(Guess(token: 1, probability: 0.1), stood: drafter.happens(0.1))
  }
  let (right, wrong) = (Guess(token: 1, probability: 0.6), Guess(token: 2, probability: 0.6))
  #expect(abs(confidence.chance(right) - 0.95) < 0.05 && abs(confidence.chance(wrong) - 0.2) < 0.07)
  // A token that was never seen is as all of its probability are.
  #expect(abs(confidence.chance(Guess(token: 3, probability: 0.6)) - 0.575) < 0.07)
  #expect(confidence.chance(Guess(token: 3, probability: 0.1)) < 0.2)
  // Probabilities of any kind have a chance.
  for odd in [-1, 2, Float.infinity, -Float.infinity, Float.nan] {
    #expect((0...1).contains(confidence.chance(Guess(token: -1, probability: odd))))
  }
}

/// The probability of the largest logit is the softmax's, and 0 where there is none.
@Test(arguments: [1, 7, 600, 1009])
func theLargestProbabilityIsTheSoftmaxs(count: Int) {
  let logits = (0..<count).map { Float(mp_mix(4, UInt64($0)) % 2000) / 100 - 10 }
  let best = mp_argmax(logits, count)
  let sum = logits.reduce(0.0) { $0 + exp(Double($1) - Double(logits[best])) }
  #expect(abs(Double(mp_largest_probability(logits, count, best)) * sum - 1) < 1e-5)
  #expect(mp_largest_probability([-Float.infinity, -.infinity], 2, 0) == 0)
  #expect(mp_largest_probability([.nan, 1], 2, 0) == 0 && mp_largest_probability([.infinity, 1], 2, 0) == 0)
}

/// Nothing is proposed behind a token that ends the answer, nor beyond its room.
@Test func nothingIsProposedBehindAnEnd() {
  let rules = ChoiceRules(sampling: SamplingSettings(vocabulary: 9), seed: 0, stops: [7])
  let request = DecodeRequest(
    key: "a", prompt: [1], embeddings: Tensor(rows: 1, columns: 1), positions: [Position(0)], nextPosition: 1,
    maximumTokens: 4)
  let cache = KVCache(CacheShape(windows: [], heads: 1, width: 4, type: .f32), capacity: 8)
  let session = Session(request, cache: cache, rules: rules)
  session.propose(3)
  #expect(session.takesMore)
  session.propose(7)
  #expect(!session.takesMore)
  let other = Session(request, cache: cache, rules: rules)
  for token in [Int32(1), 2, 3] { other.propose(token) }
  #expect(!other.takesMore && other.drafts.count == 3)
  // Prompt lookup would go on with 2 7 3 1.
  let (proposer, engine) = (NGramProposer(), Engine(threads: 1))
  let text: [Int32] = [1, 2, 7, 3, 1]
  let asked = Session(request, cache: cache, rules: rules)
  asked.proposalState = proposer.begin(
    DraftPrompt(tokens: text, embeddings: Tensor(rows: 5, columns: 1)), capacity: 4, PromptReader(), engine)
  #expect(proposer.propose(DraftPlan(most: 4), for: [asked], engine) == 2 && asked.drafts == [2, 7])
}
