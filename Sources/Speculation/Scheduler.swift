/// Chooses how many records to keep in flight and how many tokens to propose a round, from what rounds cost and what
/// they bring.
///
/// A round of B answers with γ proposals each costs V + γ·C and brings B · (1 + α₁ + α₁α₂ + …) tokens. V, the target's pass,
/// grows with its rows B(γ+1), slowly while they share the reading of the weights, and with the keys and values that it
/// reads, once for each answer; C is a step of the drafter; α is how often a proposal stands, by its place in the round. All
/// of them are measured as the run goes. Where drafters say how sure they are, γ is what answers have in the mean
/// (`DraftLengths`). What is chosen changes the time a run takes, never a token.
package struct Scheduler: Sendable {
  /// The largest γ it chooses.
  package static let maximumGamma = 8
  /// The most records in flight that it chooses.
  package static let maximumInFlight = 64
  /// A choice stands for so many rounds before another is considered: for fewer where a round of many answers is long.
  private static func settleInterval(_ answers: Int) -> Int { answers < 16 ? 8 : 4 }
  /// Records in flight that it chooses among: near neighbours cost alike, and so each is measured the more often.
  private static let counts = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64]
  /// The one of `counts` that stands for so many answers.
  private static func bucket(_ answers: Int) -> Int { counts.last { $0 <= answers } ?? 1 }
  /// Records that come into flight at once where there are none.
  package static let firstInFlight = 4
  /// Records in flight while it is found out what γ brings: more would cost more tokens a trial, one would show little.
  private static let trialInFlight = 2

  private var verifying = CostFit(count: 8)
  private var drafting = CostFit(count: 2)
  /// Seconds of reading a prompt by the drafter, which plain decoding does without, and the tokens that pay for it.
  private var reading = 0.0
  private var answerTokens = 0.0
  private var draftedRounds = 0
  private var hasDrafted: Bool { draftedRounds > 0 }
  private var acceptance = AcceptanceByPosition()
  /// Where drafters that know how sure they are stop.
  private var lengths = DraftLengths()
  private var round = 0
  private var gamma = 3
  /// What the first rounds try, to see what passes of few and of many rows cost.
  private static let trialGammas = [3, 0, 3, 1, 4, 2]
  private var trials = 0
  private var hasChosen = false
  private var lastAnswers = 0
  /// Rows of the passes that have been measured.
  private var fewestRows = Int.max / 8
  private var mostRows = 0
  /// Rounds without drafting after which it is tried again; it doubles each time that it does not pay.
  private var patience = 64
  private var roundsWithout = 0
  /// The most answers that have been measured together.
  private var mostAnswers = 0
  /// Rounds that were measured, by `bucket` and γ.
  private var measuredRounds: [Int: [Int: Int]] = [:]
  /// A bonus for choices that were measured seldom: their rate counts for 3.5 % more, divided by the root of one more than
  /// the rounds that were measured.
  private static let doubt = 0.035
  /// Rounds since there were more than ever before, or since more were asked for: memory or the input may not allow more.
  private var roundsSinceGrowth = 0
  /// Rounds without growth after which a few more answers are tried that never were, if they seem nearly as good; it
  /// doubles each time.
  private var stepPatience = 256
  /// Rounds without growth after which it is forgotten what many more answers cost; it doubles each time.
  private var growthPatience = 16384
  private var roundsSinceChoice = Int.max / 2
  private var cachedEach = 0.0
  private var inFlight = Scheduler.trialInFlight

  package init() {}

  // MARK: Choices

  /// How the answers of a round propose γ tokens, where it was chosen here.
  package func plan(_ gamma: Int) -> DraftPlan { lengths.plan(gamma) }

  /// γ of the next round, for answers that leave it open.
  package mutating func nextGamma(answers: Int) -> Int {
    round += 1
    if trials < Self.trialGammas.count {
      guard isTrying else { return isPatienceOver(answers) ? 1 : 0 }
      trials += 1
      return Self.trialGammas[trials - 1]
    }
    if gamma == 0, isPatienceOver(answers) { return 2 }
    guard round % Self.settleInterval(answers) == 0 || !hasChosen else { return gamma }
    hasChosen = true
    let best = (0...Self.maximumGamma).max { hope(answers, $0) < hope(answers, $1) } ?? 0
    // A change must promise something: a switch to and fro between equals would only cost.
    if hope(answers, best) > hope(answers, gamma) * 1.005 {
      if gamma == 0 { patience = 64 }
      gamma = best
    }
    return gamma
  }

  /// Counts a round without drafting, and says whether drafting is to be measured again: its steps may have been held up
  /// when they were first measured.
  private mutating func isPatienceOver(_ answers: Int) -> Bool {
    roundsWithout += 1
    guard roundsWithout >= patience, mayPay(answers, drafting: 0) else { return false }
    // Two rounds: in the first, the drafter also reads what it has missed.
    if roundsWithout > patience { (roundsWithout, patience) = (0, min(4096, 2 * patience)) }
    return true
  }

  /// Whether it is still to be seen what passes of few and of many rows cost. One round of drafting alone may have been
  /// held up: it is not taken as knowing that more cannot pay.
  private var isTrying: Bool {
    trials < Self.trialGammas.count && (draftedRounds <= 1 || mayPay(max(1, lastAnswers)))
  }

  /// Whether a drafter that is nearly always right would pay, as far as passes of few and of many rows are known.
  ///
  /// - Parameter share: of what its steps were measured to cost.
  private func mayPay(_ answers: Int, drafting share: Double = 1) -> Bool {
    mostRows < 4 * fewestRows || rate(answers, 2, acceptance: 0.95, drafting: share) > rate(answers, 0)
  }

  /// How many records may come into flight before the next round, beside so many: the first lines do not wait for the
  /// prompts of all.
  package static func admissions(beside answers: Int) -> Int {
    answers < firstInFlight ? firstInFlight - answers : max(2, answers / 4)
  }

  /// How many records to keep in flight.
  ///
  /// - Parameters:
  ///   - most: what memory allows.
  ///   - fixedGamma: the γ of all rounds, nil where it is chosen too.
  package mutating func nextInFlight(most: Int, fixedGamma: Int?) -> Int {
    // What γ brings is found out while rounds are short: among many answers, each trial would cost many tokens.
    guard mostAnswers > 0, fixedGamma != nil || !isTrying else {
      return min(most, Self.trialInFlight)
    }
    // What was measured since the last choice changes little; more answers than ever before may change much.
    guard roundsSinceChoice >= Self.settleInterval(lastAnswers) || roundsSinceGrowth == 0 else {
      return min(most, inFlight)
    }
    roundsSinceChoice = 0
    reconsiderMore(most)
    // No further than twice what has been measured, so that the next step is measured before the one after it.
    let limit = min(most, Self.maximumInFlight, 2 * mostAnswers)
    func hope(_ answers: Int) -> Double {
      guard fixedGamma == nil, hasDrafted else { return self.hope(answers, fixedGamma ?? 0) }
      return (0...Self.maximumGamma).map { self.hope(answers, $0) }.max() ?? 0
    }
    let rates = Self.counts.filter { $0 <= max(1, limit) }.map { (answers: $0, rate: hope($0)) }
    let best = rates.map(\.rate).max() ?? 0
    // The fewest that are as good as the best: fewer caches, sooner answers.
    let chosen = rates.first { $0.rate >= best * 0.997 }?.answers ?? 1
    // Costs have steps that no fit foresees: while the most that were tried are nearly as good, more may be better still.
    let isTimeForMore = roundsSinceGrowth > stepPatience
    if let next = rates.last?.answers, next > mostAnswers,
      isTimeForMore || roundsSinceGrowth < Self.settleInterval(lastAnswers),
      mostAnswers < 2 * chosen || hope(Self.bucket(mostAnswers)) > best * 0.9
    {
      inFlight = next
      if isTimeForMore { (roundsSinceGrowth, stepPatience) = (0, 2 * stepPatience) }
    } else if hope(chosen) > hope(min(limit, inFlight)) * 1.002 || inFlight > limit {
      inFlight = chosen
    }
    return inFlight
  }

  /// Forgets now and then what many more answers were measured to cost: in a long run, the machine may not be what it was
  /// then, and they are tried again.
  private mutating func reconsiderMore(_ most: Int) {
    guard roundsSinceGrowth > growthPatience, inFlight < min(most, Self.maximumInFlight) else { return }
    (roundsSinceGrowth, growthPatience) = (0, 2 * growthPatience)
    mostAnswers = max(1, lastAnswers)
    verifying.forget { Load.answers(ofKind: $0) > 2 * mostAnswers }
    measuredRounds = measuredRounds.filter { $0.key <= 2 * mostAnswers }
  }

  /// Tokens a second that these rounds may bring. What was measured seldom may be better than it seemed: else one slow spell
  /// of the machine would rule it out for good.
  private func hope(_ answers: Int, _ gamma: Int) -> Double {
    let rounds = measuredRounds[Self.bucket(answers), default: [:]][measured(gamma), default: 0]
    return rate(answers, gamma) * (1 + Self.doubt / Double(1 + rounds).squareRoot())
  }

  /// What a round of γ proposals counts as: where answers have γ only in the mean, rounds of one show what all cost.
  private func measured(_ gamma: Int) -> Int { lengths.isKnown ? min(1, gamma) : gamma }

  /// What a round of γ proposals is likely to be: proposals and tokens of an answer, and the drafter's steps.
  private func likely(_ answers: Int, _ gamma: Int) -> (proposals: Double, steps: Double, tokens: Double) {
    guard lengths.isKnown else { return (Double(gamma), Double(gamma), acceptance.tokensARound(gamma)) }
    return (lengths.proposals(gamma), lengths.steps(gamma, answers: answers), lengths.tokensARound(gamma))
  }

  /// Seconds that the target is likely to take for a round.
  private func passSeconds(_ answers: Int, _ gamma: Int, proposals: Double) -> Double {
    let load = Load(
      answers: answers, rows: gamma + 1, total: Double(answers) * (1 + proposals),
      cached: Int(cachedEach * Double(answers)))
    // Where answers have γ only in the mean, what differs from γ to γ is the rows alone.
    return lengths.isKnown
      ? verifying.cost(load.amounts, group: load.group) : verifying.cost(load.amounts, kind: load.kind)
  }

  /// Tokens a second that rounds of `answers` with γ proposals each promise.
  private func rate(_ answers: Int, _ gamma: Int, acceptance: Double? = nil, drafting share: Double = 1) -> Double {
    let likely = likely(answers, gamma)
    var seconds = passSeconds(answers, gamma, proposals: likely.proposals)
    if likely.steps > 0 {
      let each = Double(answers) * likely.proposals / likely.steps
      seconds += share * likely.steps * drafting.cost([1, each], kind: answers)
    }
    let each = acceptance.map { self.acceptance.tokensARound(gamma, acceptance: $0) } ?? likely.tokens
    let tokens = Double(answers) * each
    if gamma > 0, answerTokens > 0 { seconds += share * reading * tokens / answerTokens }
    return tokens / max(1e-9, seconds)
  }

  // MARK: Measurements

  /// What a round showed.
  ///
  /// - Parameters:
  ///   - steps: that the drafter took, each for all answers.
  ///   - rounds: of each answer.
  ///   - draft, verify: seconds; those of the drafter's steps alone, without its prompts.
  ///   - isCatchingUp: whether the drafter also read what was written while it was off.
  package mutating func record(
    _ load: Load, steps: Int, rounds: [Proposed], draft: Double, verify: Double, isCatchingUp: Bool
  ) {
    verifying.add(load.amounts, cost: verify, kind: load.kind, group: load.group)
    roundsSinceGrowth = load.answers > mostAnswers ? 0 : roundsSinceGrowth + 1
    roundsSinceChoice += 1
    lastAnswers = load.answers
    measuredRounds[Self.bucket(load.answers), default: [:]][measured(load.rows - 1), default: 0] += 1
    mostAnswers = max(mostAnswers, load.answers)
    fewestRows = min(fewestRows, load.answers * load.rows)
    mostRows = max(mostRows, load.answers * load.rows)
    cachedEach += (Double(load.cached) / Double(max(1, load.answers)) - cachedEach) * (cachedEach == 0 ? 1 : 0.1)
    guard steps > 0 else { return }
    draftedRounds += 1
    if !isCatchingUp {
      let each = (load.total - Double(load.answers)) / Double(steps)
      drafting.add([1, each], cost: draft / Double(steps), kind: load.answers)
    }
    acceptance.add(proposed: rounds.map(\.count), brought: rounds.map(\.brought))
    lengths.add(rounds)
  }

  /// What the drafter took to read a prompt.
  package mutating func recordReading(seconds: Double) { reading += (seconds - reading) * (reading == 0 ? 1 : 0.1) }

  /// How many tokens an answer had in the end.
  package mutating func recordEnd(tokens: Int) {
    answerTokens += (Double(tokens) - answerTokens) * (answerTokens == 0 ? 1 : 0.05)
  }

  // MARK: Report

  /// What it has settled on and why, for people; nil before anything was measured.
  package func summary(fixedGamma: Int?) -> String? {
    guard mostAnswers > 0 else { return nil }
    let gamma = hasDrafted ? fixedGamma ?? (hasChosen ? gamma : 0) : 0
    let answers = min(inFlight, max(1, mostAnswers))
    func pass(_ rows: Int) -> String {
      "\(milliseconds(passSeconds(answers, rows - 1, proposals: Double(rows - 1)))) ms"
    }
    var text =
      "\(answers) in flight, γ \(gamma)\(lengths.isKnown && gamma > 0 && fixedGamma == nil ? " in the mean" : "")"
    if hasDrafted {
      let alpha = (acceptance.mean * 100).rounded() / 100
      text += ", acceptance \(alpha), draft step \(milliseconds(drafting.cost([1, Double(answers)], kind: answers))) ms"
    }
    text += "; a pass of \(answers) rows \(pass(1))"
    if gamma > 0 { text += ", of \(answers * (gamma + 1)) \(pass(gamma + 1))" }
    let rates = [0] + (gamma > 0 ? [gamma] : [])
    return text + "; "
      + rates.map { "\($0 == 0 ? "plain" : "γ \($0)") \(Int(rate(answers, $0))) tokens/s" }.joined(separator: ", ")
  }

  private func milliseconds(_ seconds: Double) -> Double { (seconds * 1e5).rounded() / 100 }
}
