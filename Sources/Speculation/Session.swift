import CKernels
import Foundation
import Models
import Tensors

/// One answer in the making: the target's cache, the drafter's state, and the tokens so far.
///
/// Both lag one token behind: the last token of `answer` has been chosen but not yet read by either model.
package final class Session {
  package let request: DecodeRequest
  let cache: KVCache
  var proposalState: (any ProposalState)?
  package internal(set) var answer = Answer()
  /// This round's proposals.
  package private(set) var drafts: [Int32] = []
  /// Those of them that text may go on behind, with how sure the drafter is; nil where it was not asked or does not know.
  private(set) var guesses: [Guess]?
  package internal(set) var isFinished = false
  /// Whether the target's logits were no numbers: there is no answer then.
  package private(set) var isBroken = false
  private var seen: Set<Int32>
  /// The drafter's log-probabilities of each proposal's row; kept for the rejection rule alone.
  private var draftRows: [[Float]] = []
  private let noise: NoiseStream
  private let rules: ChoiceRules

  /// - Parameter cache: empty, or with the prompt in it.
  init(_ request: DecodeRequest, cache: KVCache, rules: ChoiceRules) {
    self.request = request
    self.cache = cache
    var rules = rules
    if let temperature = request.sampling.temperature { rules.sampling.temperature = temperature }
    self.rules = rules
    noise = NoiseStream(
      seed: rules.seed, key: request.sampling.noiseKey ?? request.key, sample: request.sampling.sample)
    seen = Set(request.prompt)
  }

  /// How many tokens may still be proposed: the target adds one of its own.
  package var room: Int { max(0, request.maximumTokens - answer.tokens.count - 1) }

  /// The place in the answer of the token that follows the first `offset` drafts.
  private func place(_ offset: Int) -> Int { answer.tokens.count + offset }

  /// What the target chooses in a row, were all drafts before it to stand.
  struct Choice {
    let token: Int32
    /// Whether the logits were no numbers.
    let isBroken: Bool
    var likeliest: LikeliestTokens?

    init(token: Int32, isBroken: Bool) {
      self.token = token
      self.isBroken = isBroken
    }

    /// - Parameter largest: nil where the logits were no numbers.
    init(largest: Int32?) { self.init(token: largest ?? 0, isBroken: largest == nil) }
  }

  /// The choice of a row: its largest value, or a draw with this position's noise.
  ///
  /// It reads the answer and the drafts, and changes neither: rows may be looked at all at once.
  ///
  /// - Parameter logits: the row behind the answer and the first `offset` drafts; it is used up.
  func choice(_ logits: UnsafeMutablePointer<Float>, columns: Int, _ offset: Int) -> Choice {
    var likeliest: LikeliestTokens?
    if rules.kept > 0 {
      likeliest = LikeliestTokens(
        logits, vocabulary: min(columns, rules.sampling.vocabulary), keeping: rules.kept)
    }
    var choice = chosen(logits, columns: columns, offset)
    choice.likeliest = likeliest
    return choice
  }

  private func chosen(_ logits: UnsafeMutablePointer<Float>, columns: Int, _ offset: Int) -> Choice {
    if rules.sampling.temperature == 0 {
      let token = rules.sampling.greedy(logits, columns: columns, seen: seen, drafts: drafts.prefix(offset))
      return Choice(largest: token)
    }
    let row = row(logits, columns, offset)
    let best = mp_argmax(row, row.count)
    guard best >= 0, row[best] > -.infinity else { return Choice(token: 0, isBroken: true) }
    if rejects, offset < drafts.count {
      let token = Acceptance.reject(
        drafts[offset], target: row, draft: draftRows[offset], noise: noise, position: place(offset))
      return Choice(token: token ?? drafts[offset], isBroken: false)
    }
    return Choice(token: noise.draw(row, position: place(offset), purpose: .token) ?? Int32(best), isBroken: false)
  }

  private func row(_ logits: UnsafePointer<Float>, _ columns: Int, _ offset: Int) -> [Float] {
    rules.sampling.process(logits, columns: columns, seen: seen, drafts: drafts.prefix(offset))
  }

  /// A token that a drafter proposes for the next place.
  struct Proposal {
    let token: Int32
    /// The drafter's, nil where it was not asked for.
    var probability: Float?
    /// Log-probabilities of all tokens, for the rejection rule alone.
    var row: [Float]?
    /// Whether the drafter's logits were no numbers.
    var isBroken = false
  }

  /// The drafter's choice for the next place.
  ///
  /// It is made by the target's own rule and, under Gumbel coupling, with the target's own noise, so that equal
  /// distributions choose equal tokens. It reads the answer and the proposals so far, and changes neither.
  ///
  /// - Parameters:
  ///   - logits: the drafter's row behind the answer and the proposals so far, `columns` values; it is used up.
  ///   - weighs: whether its probability is asked for.
  func proposal(_ logits: UnsafeMutablePointer<Float>, columns: Int, weighs: Bool) -> Proposal {
    let (place, before) = (place(drafts.count), drafts.prefix(drafts.count))
    if rules.sampling.temperature == 0 {
      guard let token = rules.sampling.greedy(logits, columns: columns, seen: seen, drafts: before) else {
        return Proposal(token: 0, probability: weighs ? 0 : nil, isBroken: true)
      }
      guard weighs else { return Proposal(token: token) }
      let count = min(columns, rules.sampling.vocabulary)
      return Proposal(token: token, probability: mp_largest_probability(logits, count, Int(token)))
    }
    let row = row(logits, columns, drafts.count)
    let drawn = noise.draw(row, position: place, purpose: rejects ? .draft : .token)
    let token = drawn ?? Int32(max(0, mp_argmax(row, row.count)))
    return Proposal(
      token: token, probability: weighs ? exp(row[Int(token)]) : nil, row: rejects ? row : nil, isBroken: drawn == nil)
  }

  /// Adds a token to the proposals.
  func propose(_ proposal: Proposal) {
    drafts.append(proposal.token)
    if let row = proposal.row { draftRows.append(row) }
    guard let probability = proposal.probability else { return }
    let isEnd = rules.stops.contains(proposal.token)
    guesses = (guesses ?? []) + (isEnd ? [] : [Guess(token: proposal.token, probability: probability)])
  }

  /// Adds a token that was guessed without any distribution to the proposals: a draw from one that knows it alone.
  package func propose(_ token: Int32) {
    var proposal = Proposal(token: token)
    if rejects {
      var row = [Float](repeating: -.infinity, count: rules.sampling.vocabulary)
      if row.indices.contains(Int(token)) { row[Int(token)] = 0 }
      proposal.row = row
    }
    propose(proposal)
  }

  /// Whether another token can be proposed: there is room for it, and text may go on behind the last.
  package var takesMore: Bool {
    drafts.count < room && drafts.last.map { !rules.stops.contains($0) } ?? true
  }

  /// Puts other tokens in the places of the proposals: for a proposer that guesses otherwise than a model does.
  package func replaceDrafts(_ token: (_ offset: Int, _ draft: Int32) -> Int32) {
    for offset in drafts.indices { drafts[offset] = token(offset, drafts[offset]) }
  }

  /// Whether the largest logit is the choice, and nothing else of a row is looked at.
  var takesLargest: Bool {
    rules.sampling.temperature == 0 && rules.sampling.repetitionPenalty == 1 && rules.kept == 0
  }

  /// Ids that may be chosen.
  var vocabulary: Int { rules.sampling.vocabulary }

  private var rejects: Bool { rules.acceptance == .rejection && rules.sampling.temperature > 0 }

  /// Ends a round with the target's choices behind the last token and behind each draft.
  func endRound(_ choices: some Collection<Choice>) {
    let (proposed, accepted, tokens) = (drafts.count, answer.accepted, answer.tokens.count)
    take(choices)
    answer.rounds += 1
    answer.log.append(
      Round(proposed: proposed, accepted: answer.accepted - accepted, tokens: answer.tokens.count - tokens))
  }

  /// Takes the target's own choices, one a row, up to the first that a draft did not foresee.
  func take(_ choices: some Collection<Choice>) {
    var chosen: [Int32] = []
    for (offset, choice) in choices.enumerated() {
      if choice.isBroken { isBroken = true }
      chosen.append(choice.token)
      if let likeliest = choice.likeliest { answer.likeliest.append(likeliest) }
      guard offset < drafts.count, choice.token == drafts[offset] else { break }
      answer.accepted += 1
      if rules.stops.contains(choice.token) { break }
    }
    answer.drafted += drafts.count
    drafts = []
    draftRows = []
    guesses = nil
    append(chosen)
    cache.truncate(to: request.prompt.count + answer.tokens.count - 1)
    proposalState?.rollBack(to: answer.tokens.count - 1)
  }

  private func append(_ tokens: [Int32]) {
    answer.tokens += tokens
    seen.formUnion(tokens)
    isFinished =
      isBroken || answer.tokens.count >= request.maximumTokens || tokens.contains(where: rules.stops.contains)
  }
}
