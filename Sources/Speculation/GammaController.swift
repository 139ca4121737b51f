/// Chooses how many tokens to propose a round, from what rounds cost and what they bring.
///
/// A round of γ proposals costs V(rows) + γ·c and brings (1 − α^(γ+1)) / (1 − α) tokens an answer, where α is how often
/// a proposal stands. All three are measured as the run goes, with old measurements fading. Where no γ pays, it goes
/// down to 0 and drafting is tried again only now and then. What it chooses changes the time a run takes, never a token.
package struct GammaController: Sendable {
  /// The largest γ it chooses.
  package static let maximum = 8
  /// While drafting is off, every so many rounds one tries it.
  private static let retryInterval = 64
  /// A choice stands for so many rounds before another is considered.
  private static let settleInterval = 8

  /// Seconds of a verifying pass by its rows, as intercept and slope of fading sums.
  private var weight = 0.0
  private var rows = 0.0
  private var rowsSquared = 0.0
  private var seconds = 0.0
  private var rowSeconds = 0.0
  private var draftSeconds: Double?
  private var tried = 1.0
  private var stood = 0.5
  private var round = 0
  private var current = 3

  package init() {}

  /// γ of the next round.
  package mutating func next() -> Int {
    round += 1
    // The first rounds show what passes of few and of many rows cost.
    if round <= 6 { return [3, 0, 3, 1, 4, 2][round - 1] }
    if current == 0 { return round % Self.retryInterval < 2 ? 2 : reconsidered() }
    return reconsidered()
  }

  private mutating func reconsidered() -> Int {
    guard round % Self.settleInterval == 0 || round == 7 else { return current }
    let best = (0...Self.maximum).max { rate($0) < rate($1) } ?? 0
    // A change must promise something: a switch to and fro between equals would only cost.
    if rate(best) > rate(current) * 1.02 { current = best }
    return current
  }

  /// Tokens a second that rounds of γ proposals promise, for one answer.
  private func rate(_ gamma: Int) -> Double {
    let alpha = min(0.999, stood / tried)
    var tokens = 0.0
    var chance = 1.0
    for _ in 0...gamma {
      tokens += chance
      chance *= alpha
    }
    return tokens / max(1e-9, verifySeconds(Double(gamma + 1)) + Double(gamma) * (draftSeconds ?? 0))
  }

  private func verifySeconds(_ count: Double) -> Double {
    guard weight > 0 else { return 1e-3 }
    let spread = weight * rowsSquared - rows * rows
    let slope = spread > 1e-9 * rowsSquared ? max(0, (weight * rowSeconds - rows * seconds) / spread) : 0
    return max(1e-9, (seconds - slope * rows) / weight + slope * count)
  }

  /// What a round showed.
  ///
  /// - Parameters:
  ///   - answers: how many answers shared the pass.
  ///   - proposed: tokens proposed for each of them at most, `steps` that the drafter took for them.
  ///   - accepted: proposals that stood, and proposals that were looked at, over all answers.
  ///   - draft, verify: seconds.
  ///   - isCatchingUp: whether the drafter also read what was written while it was off.
  package mutating func record(
    proposed: Int, steps: Int, accepted: Int, examined: Int, draft: Double, verify: Double, isCatchingUp: Bool
  ) {
    let count = Double(proposed + 1)
    let fade = 0.97
    weight = weight * fade + 1
    rows = rows * fade + count
    rowsSquared = rowsSquared * fade + count * count
    seconds = seconds * fade + verify
    rowSeconds = rowSeconds * fade + count * verify
    guard steps > 0 else { return }
    if !isCatchingUp {
      let step = draft / Double(steps)
      draftSeconds = draftSeconds.map { $0 * 0.9 + step * 0.1 } ?? step
    }
    tried = tried * 0.95 + Double(examined)
    stood = stood * 0.95 + Double(accepted)
  }

  /// What it has settled on, for people; nil before it was asked.
  package var summary: String? {
    guard round > 0 else { return nil }
    let alpha = (stood / tried * 100).rounded() / 100
    return "γ \(current), acceptance \(alpha), draft step \(milliseconds(draftSeconds ?? 0)) ms, "
      + "one row \(milliseconds(verifySeconds(1))) ms, \(current + 1) rows \(milliseconds(verifySeconds(Double(current + 1)))) ms"
  }

  private func milliseconds(_ seconds: Double) -> Double { (seconds * 1e5).rounded() / 100 }
}
