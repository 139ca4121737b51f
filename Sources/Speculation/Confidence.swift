import CKernels

/// A proposal and how sure its drafter is of it.
package struct Guess: Sendable, Equatable {
  package let token: Int32
  /// Of the drafter, after temperature and cuts.
  package let probability: Float

  package init(token: Int32, probability: Float) {
    self.token = token
    self.probability = probability
  }
}

/// How often proposals stand, by the drafter's probability and by the token itself. It is learned as a run goes: a drafter's
/// probabilities say how sure it is of its own text and not of the target's, and some words it never gets right.
package struct Confidence: Sendable {
  /// Proposals that were looked at, and those of them that stood.
  private struct Count: Sendable {
    var tried = 0.0
    var stood = 0.0

    mutating func add(_ isStanding: Bool) {
      // Beyond some, the oldest count for little.
      let rest = 1 - 1 / Confidence.memory
      tried = tried * rest + 1
      stood = stood * rest + (isStanding ? 1 : 0)
    }

    /// The share that stood, where so many weigh as much as what else is known.
    func share(_ prior: Double, of known: Double) -> Double { (stood + prior * known) / (tried + prior) }
  }

  private static let memory = 2000.0
  /// The strength of a prior: so many proposals' worth of a coarser count goes into each finer one.
  private static let prior = 8.0
  private static let classes = 12
  private static let tokens = 1024
  private static let tokenClasses = 4

  private var all = Count(tried: 1, stood: 0.5)
  private var byProbability = [Count](repeating: Count(), count: classes)
  /// By token, several of which may share a place, and by how probable it was.
  private var byToken = [Count](repeating: Count(), count: tokens * tokenClasses)

  package init() {}

  /// What is no number is as unlikely as can be.
  private static func place(_ probability: Float, of classes: Int) -> Int {
    if probability >= 1 { return classes - 1 }
    return probability > 0 ? Int(probability * Float(classes)) : 0
  }

  private static func tokenPlace(_ guess: Guess) -> Int {
    let place = Int(mp_mix(0, UInt64(bitPattern: Int64(guess.token))) % UInt64(tokens))
    return place * tokenClasses + self.place(guess.probability, of: tokenClasses)
  }

  /// Of all proposals, how many stood; half of them before there were any.
  var mean: Double { all.stood / all.tried }

  /// The chance that a proposal stands.
  package func chance(_ guess: Guess) -> Double {
    let likes = byProbability[Self.place(guess.probability, of: Self.classes)].share(Self.prior, of: mean)
    return min(0.999, byToken[Self.tokenPlace(guess)].share(Self.prior, of: likes))
  }

  /// Takes in whether a proposal stood.
  package mutating func add(_ guess: Guess, stood: Bool) {
    all.add(stood)
    byProbability[Self.place(guess.probability, of: Self.classes)].add(stood)
    byToken[Self.tokenPlace(guess)].add(stood)
  }
}
