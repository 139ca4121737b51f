/// How many tokens a drafter proposes for an answer in one round.
package struct DraftPlan: Sendable {
  /// Proposals at most.
  package var most: Int
  /// Where to stop earlier, nil for nowhere: every answer has as many proposals as it has room for.
  package var doubts: Doubts?

  package init(most: Int) { self.most = most }

  /// When a further proposal is not worth its cost, since those before it may not all stand.
  package struct Doubts: Sendable {
    /// How often proposals like these stand.
    var confidence: Confidence
    /// The chance that all stand, below which there is no further one.
    var threshold: Double
  }

  /// Whether the drafter's probabilities of its proposals are asked for.
  var weighs: Bool { doubts != nil }

  /// Whether another token is to be proposed behind these.
  func goesOn(_ guesses: [Guess]) -> Bool {
    guard guesses.count < most else { return false }
    guard let doubts, !guesses.isEmpty else { return true }
    return guesses.reduce(1) { $0 * doubts.confidence.chance($1) } >= doubts.threshold
  }
}
