/// What one call of the target made of one answer's proposals.
package struct Round: Sendable, Equatable {
  package let proposed: Int
  package let accepted: Int
  /// Tokens that it added to the answer: the proposals that stood and, unless one of those ended it, the target's own.
  package let tokens: Int

  package init(proposed: Int, accepted: Int, tokens: Int) {
    self.proposed = proposed
    self.accepted = accepted
    self.tokens = tokens
  }

  /// Proposals that the target's choices were held against: none behind the first that fell or ended the answer.
  package var examined: Int { min(proposed, tokens) }
}

/// An answer and the raw counters of its making.
package struct Answer: Sendable, Equatable {
  /// Generated ids, the one that ended the answer included.
  package var tokens: [Int32] = []
  /// Target calls after the prompt's.
  package var rounds = 0
  package var drafted = 0
  package var accepted = 0
  /// Every round, in order.
  package var log: [Round] = []
  /// The likeliest tokens of each place, where they are kept.
  package var likeliest: [LikeliestTokens] = []

  package init() {}

  /// Of each token, whether it is a proposal that stood. The first is the prompt's own.
  package var stood: [Bool] {
    tokens.prefix(1).map { _ in false }
      + log.flatMap { round in (0..<round.tokens).map { $0 < round.accepted } }
  }
}
