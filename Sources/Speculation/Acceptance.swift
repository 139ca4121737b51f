import Foundation

/// What becomes of a drafted token: pure functions of the distributions and the position's random numbers.
package enum Acceptance: String, Sendable, CaseIterable {
  /// Drafter and target draw with shared noise, and a draft stands where the target drew the same token: the output
  /// is the one that the target alone would have drawn (Gumbel coupling, arXiv 2408.07978).
  case gumbel
  /// A draft stands with probability min(1, p/q), else the residual max(0, p − q) is drawn from: the target's
  /// distribution, not its draws (arXiv 2211.17192).
  case rejection

  /// The rejection rule for one drafted token.
  ///
  /// - Parameters:
  ///   - target, draft: log-probabilities p and q of the same vocabulary.
  ///   - token: drawn from q.
  ///   - noise: the position's random numbers; the draft was drawn with others.
  /// - Returns: nil where the draft stands, else the token that takes its place.
  package static func reject(
    _ token: Int32, target: [Float], draft: [Float], noise: NoiseStream, position: Int
  ) -> Int32? {
    // A drafter that knows no probability for its own token has not drawn it: the target draws alone.
    guard draft[Int(token)] > -.infinity else {
      return noise.draw(target, position: position, purpose: .residual) ?? token
    }
    let ratio = Double(target[Int(token)]) - Double(draft[Int(token)])
    if noise.uniform(position: position, purpose: .acceptance) < exp(ratio) { return nil }
    return noise.draw(residual(target, draft), position: position, purpose: .residual) ?? token
  }

  /// log max(0, p − q), not normalised: drawing needs no normalisation.
  static func residual(_ target: [Float], _ draft: [Float]) -> [Float] {
    zip(target, draft).map { p, q in
      let difference = exp(Double(p)) - exp(Double(q))
      return difference > 0 ? Float(log(difference)) : -.infinity
    }
  }
}
