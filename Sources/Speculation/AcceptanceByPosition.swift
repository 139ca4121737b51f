/// How often a proposal is followed by another token, by its place in a round: where a first one stood, the text is often one
/// that the drafter knows, and the next stands more often than on average.
///
/// A proposal that stands and ends its answer brings nothing further, like one that does not stand.
struct AcceptanceByPosition: Sendable {
  private var tried = [Double](repeating: 0, count: Scheduler.maximumGamma)
  private var stood = [Double](repeating: 0, count: Scheduler.maximumGamma)
  /// Proposals of a position after which the oldest count for little.
  private static let memory = 1000.0
  /// What a round of few answers takes from the old: a drafter that meets another kind of text is soon known for it.
  private static let mostForgotten = 0.05
  /// Proposals of a position that weigh as much as what all positions together say of it.
  private static let prior = 64.0

  /// Of proposals that were looked at, how many were followed by another token; half of them before any was looked at.
  var mean: Double { (stood.reduce(0, +) + 0.5) / (tried.reduce(0, +) + 1) }

  /// Takes in a round: of each answer, its proposals and the tokens that it got.
  mutating func add(proposed: [Int], brought: [Int]) {
    var (seen, kept) = (tried.map { _ in 0.0 }, tried.map { _ in 0.0 })
    for (proposed, brought) in zip(proposed, brought) {
      for position in 0..<min(proposed, brought, tried.count) {
        seen[position] += 1
        if position < brought - 1 { kept[position] += 1 }
      }
    }
    for position in tried.indices where seen[position] > 0 {
      let rest = 1 - min(Self.mostForgotten, seen[position] / Self.memory)
      tried[position] = tried[position] * rest + seen[position]
      stood[position] = stood[position] * rest + kept[position]
    }
  }

  /// Tokens that a round of γ proposals brings an answer, the target's own among them.
  ///
  /// - Parameter acceptance: of every proposal, instead of what was measured.
  func tokensARound(_ gamma: Int, acceptance: Double? = nil) -> Double {
    let mean = mean
    var (sum, chance) = (1.0, 1.0)
    for position in 0..<gamma {
      let known = min(position, tried.count - 1)
      chance *= acceptance ?? min(0.999, (stood[known] + Self.prior * mean) / (tried[known] + Self.prior))
      sum += chance
    }
    return sum
  }
}
