import Foundation

/// What one round proposed for an answer, and what came of it.
package struct Proposed: Sendable {
  /// Proposals.
  package var count: Int
  /// Tokens that the answer got: those that stood and, unless one of them ended it, the target's own.
  package var brought: Int
  /// Those of them that text may go on behind, with how sure the drafter is; nil where it does not say.
  package var guesses: [Guess]?

  package init(count: Int, brought: Int, guesses: [Guess]? = nil) {
    self.count = count
    self.brought = brought
    self.guesses = guesses
  }
}

/// Where to stop proposing, so that answers have γ proposals in the mean: fewer where the drafter is in doubt, more where it
/// is sure. What γ brings that way is measured for every γ at once: of each round it is seen how far each would have gone.
struct DraftLengths: Sendable {
  /// The most proposals for an answer in one round.
  static let longest = 16
  /// Rounds of answers before it is known how often proposals stand, and as many again before where to stop; and rounds of
  /// as many answers as there were together.
  private static let needed = 64
  private static let neededTogether = 8

  private(set) var confidence = Confidence()
  /// By γ, from 1 on.
  private var goals: [Goal] = []
  /// Rounds of answers, and of all that were together.
  private var rounds = 0
  private var roundsTogether = 0

  /// Whether there is something to go by.
  var isKnown: Bool { rounds >= 2 * Self.needed && roundsTogether >= Self.neededTogether }

  /// How to propose γ tokens in the mean.
  func plan(_ gamma: Int) -> DraftPlan {
    var plan = DraftPlan(most: gamma)
    guard gamma > 0 else { return plan }
    // Until it is known where to stop, all have γ.
    let threshold = isKnown ? exp(goals[gamma - 1].threshold) : 0
    if isKnown { plan.most = Self.longest }
    plan.doubts = DraftPlan.Doubts(confidence: confidence, threshold: threshold)
    return plan
  }

  /// Tokens that a round of γ proposals brings an answer, the target's own among them.
  func tokensARound(_ gamma: Int) -> Double {
    gamma == 0 ? 1 : goals[gamma - 1].meanTokens
  }

  /// Proposals that an answer has in the mean: fewer than γ where many answers end.
  func proposals(_ gamma: Int) -> Double { gamma == 0 ? 0 : goals[gamma - 1].meanLength }

  /// Steps of the drafter that a round of so many answers takes: as many as the longest of them has proposals.
  func steps(_ gamma: Int, answers: Int) -> Double { gamma == 0 ? 0 : goals[gamma - 1].longest(of: answers) }

  /// Takes in what a round made of its answers.
  mutating func add(_ all: [Proposed]) {
    let rounds = all.compactMap { round in round.guesses.map { (round: round, guesses: $0) } }
    if rounds.isEmpty { return }
    let outcomes = rounds.map { round, guesses in
      (round, guesses.reduce(into: [Double]()) { $0.append(($0.last ?? 1) * confidence.chance($1)) })
    }
    if self.rounds >= Self.needed, goals.isEmpty {
      goals = (1...Scheduler.maximumGamma).map { Goal(gamma: $0, chance: confidence.mean) }
    }
    if !goals.isEmpty { roundsTogether += 1 }
    self.rounds += rounds.count
    for index in goals.indices { goals[index].add(outcomes, mean: confidence.mean) }
    for (round, guesses) in rounds {
      for (place, guess) in guesses.prefix(round.brought).enumerated() {
        confidence.add(guess, stood: place < round.brought - 1)
      }
    }
  }
}

/// What is known of γ proposals for an answer in the mean.
private struct Goal: Sendable {
  let gamma: Int
  /// The logarithm of the chance that all proposals stand: below it, there is no further one.
  private(set) var threshold: Double
  /// Rounds of answers; the oldest count for little.
  private var rounds = 0.0
  private var tokens = 0.0
  /// Rounds of answers that had so many proposals.
  private var lengths = [Double](repeating: 0, count: DraftLengths.longest + 1)
  private static let memory = 1000.0

  /// - Parameter chance: that a proposal stands: were it the same for all, every answer would have γ.
  init(gamma: Int, chance: Double) {
    self.gamma = gamma
    threshold = (Double(gamma) - 0.5) * log(chance)
  }

  var meanTokens: Double { tokens / rounds }

  var meanLength: Double {
    lengths.enumerated().reduce(0) { $0 + Double($1.offset) * $1.element } / rounds
  }

  /// Proposals of that of so many answers that has the most.
  func longest(of answers: Int) -> Double {
    var (longest, below) = (0.0, 0.0)
    for count in lengths.dropLast() {
      below += count / rounds
      longest += 1 - pow(min(1, below), Double(answers))
    }
    return longest
  }

  /// Takes in how far this γ would have gone, and what that would have brought.
  ///
  /// - Parameters:
  ///   - all: rounds, and for each of their proposals the chance that all up to it stand.
  ///   - mean: the chance that a proposal stands of which no more is known.
  mutating func add(_ all: [(round: Proposed, chances: [Double])], mean: Double) {
    let limit = exp(threshold)
    let rest = max(0.5, 1 - Double(all.count) / Self.memory)
    rounds *= rest
    tokens *= rest
    for length in lengths.indices { lengths[length] *= rest }
    var excess = 0
    for (round, chances) in all {
      let (length, brought) = outcome(round, chances, limit, mean)
      rounds += 1
      tokens += brought
      lengths[length] += 1
      excess += length - gamma
    }
    // In the mean it is to be γ: a step towards it, larger where many answers or little else say so.
    let step = max(0.1 / (1 + rounds / 8), min(0.05, 0.005 * Double(all.count)))
    threshold = min(0, max(-5, threshold + step * Double(excess) / Double(all.count)))
  }

  /// Proposals and tokens of an answer, had they stopped below this chance.
  private func outcome(
    _ round: Proposed, _ chances: [Double], _ limit: Double, _ mean: Double
  ) -> (length: Int, brought: Double) {
    if let stop = chances.prefix(round.count - 1).firstIndex(where: { $0 < limit }) {
      return (stop + 1, Double(min(round.brought, stop + 2)))
    }
    var (length, brought) = (round.count, Double(round.brought))
    // The last one ends the text, or it is known what comes behind it.
    guard chances.count == round.count, var chance = chances.last else { return (length, brought) }
    var further = 1.0
    while length < DraftLengths.longest, chance >= limit {
      length += 1
      chance *= mean
      further *= mean
      if round.brought > round.count { brought += further }
    }
    return (length, brought)
  }
}
