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
  /// Rounds of answers before it is known well enough where to stop.
  private static let needed = 64.0
  /// Rounds of answers after which the oldest count for little.
  private static let memory = 1000.0

  private(set) var confidence = Confidence()
  /// By γ, from 1 on.
  private var goals = (1...Scheduler.maximumGamma).map { Goal(gamma: $0) }

  /// What is known of γ.
  private struct Goal: Sendable {
    let gamma: Int
    /// Of the chance below which there is no further proposal, its logarithm.
    var threshold: Double
    var rounds = 0.0
    var tokens = 0.0
    /// Rounds of answers that had so many proposals.
    var lengths = [Double](repeating: 0, count: longest + 1)

    init(gamma: Int) {
      self.gamma = gamma
      threshold = -0.1 * Double(gamma)
    }
  }

  /// Whether there is something to go by.
  var isKnown: Bool { goals[0].rounds >= Self.needed }

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
    gamma == 0 ? 1 : goals[gamma - 1].tokens / max(1, goals[gamma - 1].rounds)
  }

  /// Proposals that an answer has in the mean: fewer than γ where many answers end.
  func proposals(_ gamma: Int) -> Double {
    guard gamma > 0 else { return 0 }
    let goal = goals[gamma - 1]
    return goal.lengths.enumerated().reduce(0) { $0 + Double($1.offset) * $1.element } / max(1, goal.rounds)
  }

  /// Steps of the drafter that a round of so many answers takes: as many as the longest of them has proposals.
  func steps(_ gamma: Int, answers: Int) -> Double {
    guard gamma > 0 else { return 0 }
    let goal = goals[gamma - 1]
    var (steps, below) = (0.0, 0.0)
    for count in goal.lengths.dropLast() {
      below += count / max(1, goal.rounds)
      steps += 1 - pow(min(1, below), Double(answers))
    }
    return steps
  }

  /// Takes in what a round made of an answer.
  mutating func add(_ round: Proposed) {
    guard round.count > 0, !round.guesses.isEmpty else { return }
    var chances: [Double] = []
    for guess in round.guesses { chances.append((chances.last ?? 1) * confidence.chance(guess)) }
    for index in goals.indices { add(round, chances, to: &goals[index]) }
    for (place, guess) in round.guesses.prefix(round.brought).enumerated() {
      confidence.add(guess, stood: place < round.brought - 1)
    }
  }

  /// How far γ would have gone, and what that would have brought.
  ///
  /// - Parameter chances: that all proposals up to each stand.
  private func add(_ round: Proposed, _ chances: [Double], to goal: inout Goal) {
    let threshold = exp(goal.threshold)
    var (length, tokens) = (round.count, Double(round.brought))
    if let stop = chances.prefix(round.count - 1).firstIndex(where: { $0 < threshold }) {
      length = stop + 1
      tokens = Double(min(round.brought, length + 1))
    } else if chances.count == round.count, var chance = chances.last {
      // It would have gone further: what is not known of that is taken to be as all else.
      let mean = confidence.mean
      var further = 1.0
      while length < Self.longest, chance >= threshold {
        length += 1
        chance *= mean
        further *= mean
        if round.brought > round.count { tokens += further }
      }
    }
    let rest = 1 - 1 / Self.memory
    goal.rounds = goal.rounds * rest + 1
    goal.tokens = goal.tokens * rest + tokens
    for place in goal.lengths.indices { goal.lengths[place] *= rest }
    goal.lengths[length] += 1
    // In the mean it is to be γ: a step towards it, smaller the more is known.
    let step = max(0.005, 0.1 / (1 + goal.rounds / 8))
    goal.threshold = min(0, max(-5, goal.threshold + step * Double(length - goal.gamma)))
  }
}
