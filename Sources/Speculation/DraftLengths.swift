import Foundation

/// What one round proposed for an answer, and what came of it.
package struct Proposed: Sendable {
  /// Proposals.
  package var count: Int
  /// Tokens that the answer got: those that stood and, unless one of them ended it, the target's own.
  package var brought: Int
  /// Those of them that text may go on behind, with how sure the drafter is; empty where it does not say.
  package var guesses: [Guess]

  package init(count: Int, brought: Int, guesses: [Guess] = []) {
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
  /// Rounds of answers after which the oldest count for little.
  private static let memory = 1000.0

  private(set) var confidence = Confidence()
  /// By γ, from 1 on.
  private var goals: [Goal] = []
  /// Rounds of answers, and of all that were together.
  private var rounds = 0
  private var roundsTogether = 0

  /// What is known of γ.
  private struct Goal: Sendable {
    let gamma: Int
    /// Of the chance below which there is no further proposal, its logarithm.
    var threshold: Double
    var rounds = 0.0
    var tokens = 0.0
    /// Rounds of answers that had so many proposals.
    var lengths = [Double](repeating: 0, count: longest + 1)

    /// - Parameter chance: that a proposal stands: were it the same for all, every answer would have γ.
    init(gamma: Int, chance: Double) {
      self.gamma = gamma
      threshold = (Double(gamma) - 0.5) * log(chance)
    }
  }

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
    gamma == 0 ? 1 : goals[gamma - 1].tokens / goals[gamma - 1].rounds
  }

  /// Proposals that an answer has in the mean: fewer than γ where many answers end.
  func proposals(_ gamma: Int) -> Double {
    guard gamma > 0 else { return 0 }
    let goal = goals[gamma - 1]
    return goal.lengths.enumerated().reduce(0) { $0 + Double($1.offset) * $1.element } / goal.rounds
  }

  /// Steps of the drafter that a round of so many answers takes: as many as the longest of them has proposals.
  func steps(_ gamma: Int, answers: Int) -> Double {
    guard gamma > 0 else { return 0 }
    let goal = goals[gamma - 1]
    var (steps, below) = (0.0, 0.0)
    for count in goal.lengths.dropLast() {
      below += count / goal.rounds
      steps += 1 - pow(min(1, below), Double(answers))
    }
    return steps
  }

  /// Takes in what a round made of its answers.
  mutating func add(_ rounds: [Proposed]) {
    let rounds = rounds.filter { !$0.guesses.isEmpty }
    if rounds.isEmpty { return }
    let chances = rounds.map { round in
      round.guesses.reduce(into: [Double]()) { $0.append(($0.last ?? 1) * confidence.chance($1)) }
    }
    if self.rounds >= Self.needed, goals.isEmpty {
      goals = (1...Scheduler.maximumGamma).map { Goal(gamma: $0, chance: confidence.mean) }
    }
    if !goals.isEmpty { roundsTogether += 1 }
    self.rounds += rounds.count
    for index in goals.indices { add(rounds, chances, to: &goals[index]) }
    for round in rounds {
      for (place, guess) in round.guesses.prefix(round.brought).enumerated() {
        confidence.add(guess, stood: place < round.brought - 1)
      }
    }
  }

  /// How far γ would have gone, and what that would have brought.
  ///
  /// - Parameter chances: that all proposals up to each stand.
  private func add(_ rounds: [Proposed], _ chances: [[Double]], to goal: inout Goal) {
    let threshold = exp(goal.threshold)
    let rest = max(0.5, 1 - Double(rounds.count) / Self.memory)
    goal.rounds *= rest
    goal.tokens *= rest
    for length in goal.lengths.indices { goal.lengths[length] *= rest }
    var excess = 0
    for (round, chances) in zip(rounds, chances) {
      let (length, tokens) = outcome(round, chances, threshold)
      goal.rounds += 1
      goal.tokens += tokens
      goal.lengths[length] += 1
      excess += length - goal.gamma
    }
    // In the mean it is to be γ: a step towards it, larger where many answers or little else say so.
    let step = max(0.1 / (1 + goal.rounds / 8), min(0.05, 0.005 * Double(rounds.count)))
    goal.threshold = min(0, max(-5, goal.threshold + step * Double(excess) / Double(rounds.count)))
  }

  /// Proposals and tokens of an answer, had they stopped at this chance.
  private func outcome(_ round: Proposed, _ chances: [Double], _ threshold: Double) -> (length: Int, tokens: Double) {
    if let stop = chances.prefix(round.count - 1).firstIndex(where: { $0 < threshold }) {
      return (stop + 1, Double(min(round.brought, stop + 2)))
    }
    var (length, tokens) = (round.count, Double(round.brought))
    guard chances.count == round.count, var chance = chances.last else { return (length, tokens) }
    // It would have gone further: what is not known of that is taken to be as all else.
    let mean = confidence.mean
    var further = 1.0
    while length < Self.longest, chance >= threshold {
      length += 1
      chance *= mean
      further *= mean
      if round.brought > round.count { tokens += further }
    }
    return (length, tokens)
  }
}
