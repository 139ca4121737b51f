/// What rounds of drafting cost and bring, in plain decoding's seconds per token.
struct DraftingCosts {
  /// The share of proposals that stood among those that were looked at.
  let acceptance: Double
  /// A draft token.
  let draftStep: Double
  /// A pass of the target over a round's proposals.
  let verify: Double
  /// Proposals a round.
  let proposed: Double
  let rounds: Double

  /// What a line with drafts says beside that of plain decoding; nil where one of them says too little.
  init?(_ standing: Standing, plain: Standing) {
    let tally = standing.tally
    let examined = tally.examinedAt.reduce(0, +)
    let plainTokens = plain.tally.samples.reduce(0) { $0 + $1.roundTokens }
    let plainSeconds = plain.tally.seconds.decoding
    guard tally.drafted > 0, tally.rounds > 0, examined > 0, plainTokens > 0, plainSeconds > 0 else { return nil }
    let token = plainSeconds / plainTokens
    rounds = Double(tally.rounds)
    acceptance = Double(tally.acceptedAt.reduce(0, +)) / Double(examined)
    draftStep = tally.seconds.draft / Double(tally.drafted) / token
    verify = tally.seconds.verify / rounds / token
    proposed = Double(tally.drafted) / rounds
  }
}

/// How fast drafting is where each proposal stands with the same chance: a round of γ brings 1 + a + … + a^γ tokens and
/// costs V(γ) + γ·c, and a pass of the target costs V(γ) = 1 + v·γ.
struct SpeedModel {
  /// v: what a further row adds to a pass of the target.
  let perRow: Double

  /// The v that fits passes as they were measured, longer ones with more weight.
  init(_ costs: [DraftingCosts]) {
    let sums = costs.reduce((0.0, 0.0)) { sums, cost in
      (
        sums.0 + cost.rounds * cost.proposed * (cost.verify - 1),
        sums.1 + cost.rounds * cost.proposed * cost.proposed
      )
    }
    perRow = sums.1 > 0 ? sums.0 / sums.1 : 0
  }

  /// V: what a pass over γ proposals costs.
  func verify(_ gamma: Int) -> Double { max(0.01, 1 + perRow * Double(gamma)) }

  /// Tokens of a round.
  static func tokens(_ acceptance: Double, _ gamma: Int) -> Double {
    var (sum, power) = (1.0, 1.0)
    for _ in 0..<max(0, gamma) {
      power *= acceptance
      sum += power
    }
    return sum
  }

  /// How many times as fast as plain decoding.
  func speed(_ acceptance: Double, draftStep: Double, _ gamma: Int) -> Double {
    Self.tokens(acceptance, gamma) / (verify(gamma) + Double(gamma) * max(0, draftStep))
  }

  /// The acceptance from which drafting gains; nil where none is enough.
  func breakEven(draftStep: Double, _ gamma: Int) -> Double? {
    let cost = verify(gamma) + Double(gamma) * draftStep
    guard cost <= Double(gamma + 1) else { return nil }
    var (low, high) = (0.0, 1.0)
    for _ in 0..<40 {
      let middle = (low + high) / 2
      if Self.tokens(middle, gamma) < cost { low = middle } else { high = middle }
    }
    return high
  }
}
