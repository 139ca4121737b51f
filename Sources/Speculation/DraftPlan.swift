/// How many tokens a drafter proposes for an answer in one round.
package struct DraftPlan: Sendable {
  /// Proposals at most.
  package var most: Int
  /// Where to stop earlier, nil for nowhere: every answer has as many proposals as it has room for.
  package var doubts: Doubts?

  package init(most: Int) { self.most = most }

  /// When a further proposal is not worth its cost, since those before it may not all stand.
  package struct Doubts: Sendable {
    /// How often proposals stand, by how sure the drafter is of them.
    var confidence: Confidence
    /// The chance that all stand, below which there is no further one.
    var threshold: Double
  }

  /// Whether the drafter's probabilities of its proposals are asked for.
  var weighs: Bool { doubts != nil }

  /// Whether another token is to be proposed behind those of such probabilities.
  func goesOn(_ probabilities: [Float]) -> Bool {
    guard probabilities.count < most, let doubts else { return probabilities.count < most }
    var chance = 1.0
    for probability in probabilities { chance *= doubts.confidence.chance(probability) }
    return probabilities.isEmpty || chance >= doubts.threshold
  }
}

/// How often proposals stand, by the probability that the drafter gave them: learned as a run goes, since a drafter's
/// probabilities say how sure it is of its own text and not of the target's.
package struct Confidence: Sendable {
  private var tried = [Double](repeating: 0, count: Self.classes)
  private var stood = [Double](repeating: 0, count: Self.classes)
  private static let classes = 12
  /// Proposals of a class after which the oldest count for little.
  private static let memory = 1000.0
  /// Proposals of a class that weigh as much as what all classes together say of it.
  private static let prior = 16.0

  package init() {}

  private static func place(_ probability: Float) -> Int {
    min(classes - 1, max(0, Int(probability * Float(classes))))
  }

  /// Of all proposals, how many stood; half of them before there were any.
  var mean: Double { (stood.reduce(0, +) + 0.5) / (tried.reduce(0, +) + 1) }

  /// The chance that a proposal of such a probability stands.
  package func chance(_ probability: Float) -> Double {
    let place = Self.place(probability)
    return min(0.999, (stood[place] + Self.prior * mean) / (tried[place] + Self.prior))
  }

  /// Takes in whether a proposal stood.
  mutating func add(_ probability: Float, stood isStanding: Bool) {
    let place = Self.place(probability)
    let rest = 1 - 1 / Self.memory
    tried[place] = tried[place] * rest + 1
    stood[place] = stood[place] * rest + (isStanding ? 1 : 0)
  }
}
