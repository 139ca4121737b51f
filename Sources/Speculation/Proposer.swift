import Models
import Synchronization
import Tensors

/// A prompt as a drafter sees it.
package struct DraftPrompt: Sendable {
  /// Its tokens, without those that the drafter does not see.
  package let tokens: [Int32]
  /// Their embeddings [tokens, drafter width], visual tokens projected.
  package let embeddings: Tensor

  package init(tokens: [Int32], embeddings: Tensor) {
    self.tokens = tokens
    self.embeddings = embeddings
  }
}

/// What `draft` puts into a record and `verify` pulls proposals from.
package struct Drafting: Sendable {
  package let proposer: any Proposer
  package let prompt: DraftPrompt
  /// Tokens proposed a round, nil to choose by what they cost and bring.
  package let gamma: Int?

  package init(proposer: any Proposer, prompt: DraftPrompt, gamma: Int?) {
    self.proposer = proposer
    self.prompt = prompt
    self.gamma = gamma
  }
}

/// Guesses the tokens that a target is going to choose. Whatever it guesses, the target's tokens stay the same.
package protocol Proposer: AnyObject, Sendable {
  /// Bytes that what it remembers of an answer takes.
  func memoryBytes(_ prompt: DraftPrompt, capacity: Int) -> Int

  /// Reads a prompt.
  ///
  /// - Parameters:
  ///   - capacity: tokens that the answer may have.
  ///   - reader: of the prompts that it reads one after the other.
  func begin(
    _ prompt: DraftPrompt, capacity: Int, _ reader: PromptReader, _ engine: Engine
  ) -> any ProposalState

  /// Fills the sessions' `drafts` as planned, with no more than a session takes.
  ///
  /// - Returns: how many steps the proposer took, each for all sessions together.
  func propose(_ plan: DraftPlan, for sessions: [Session], _ engine: Engine) -> Int
}

/// What a proposer remembers of one answer.
package protocol ProposalState: AnyObject {
  /// Forgets whatever was read behind this many tokens of the answer.
  func rollBack(to answerTokens: Int)

  /// The same for another answer to the same prompt.
  ///
  /// - Parameter capacity: tokens that the answer may have.
  func copy(capacity: Int) -> any ProposalState

  /// Bytes that it takes now.
  var byteCount: Int { get }
}

/// Drafts with a small language model, one token after the other.
package final class LanguageModelProposer: Proposer {
  private let language: any LanguageModel
  private let isBroken = Atomic(false)
  private let onBroken: @Sendable () -> Void

  /// - Parameter onBroken: is called once where its logits are no numbers: what it proposes then is worth nothing.
  package init(_ language: any LanguageModel, onBroken: @escaping @Sendable () -> Void = {}) {
    self.language = language
    self.onBroken = onBroken
  }

  private func sayBroken() { if !isBroken.exchange(true, ordering: .relaxed) { onBroken() } }

  private final class State: ProposalState {
    let cache: KVCache
    let promptTokens: Int

    init(_ cache: KVCache, promptTokens: Int) {
      self.cache = cache
      self.promptTokens = promptTokens
    }

    func rollBack(to answerTokens: Int) { cache.truncate(to: promptTokens + answerTokens) }

    func copy(capacity: Int) -> any ProposalState {
      State(cache.copy(capacity: promptTokens + capacity), promptTokens: promptTokens)
    }

    var byteCount: Int { cache.byteCount }

    /// Tokens of answer and proposals that have not been read.
    func unread(of session: Session) -> ArraySlice<Int32> {
      let (read, chosen) = (cache.length - promptTokens, session.answer.tokens.count)
      if read >= chosen { return session.drafts[(read - chosen)...] }
      return session.answer.tokens[read...] + session.drafts
    }

    /// The next `count` rows.
    ///
    /// - Parameter asked: how many of them have their hidden states asked for.
    func span(_ count: Int, asked: Int) -> DecoderSpan {
      DecoderSpan(cache: cache, positions: (0..<count).map { Position(cache.length + $0) }, asked: asked)
    }
  }

  package func memoryBytes(_ prompt: DraftPrompt, capacity: Int) -> Int {
    language.configuration.cacheBytes(tokens: prompt.tokens.count + capacity)
  }

  package func begin(
    _ prompt: DraftPrompt, capacity: Int, _ reader: PromptReader, _ engine: Engine
  ) -> any ProposalState {
    let count = prompt.embeddings.rows
    let rows = PromptRows(embeddings: prompt.embeddings, positions: (0..<count).map { Position($0) })
    let (cache, _) = reader.read(rows, language, capacity: count + capacity, asked: 0, engine)
    return State(cache, promptTokens: count)
  }

  package func propose(_ plan: DraftPlan, for sessions: [Session], _ engine: Engine) -> Int {
    for session in sessions { catchUp(session, engine) }
    var steps = 0
    while steps < plan.most {
      var (drafting, tokens, spans) = ([Session](), [Int32](), [DecoderSpan]())
      for session in sessions where session.takesMore && session.drafts.count == steps {
        guard let state = session.proposalState as? State, plan.goesOn(session.guesses ?? []) else { continue }
        let unread = state.unread(of: session)
        drafting.append(session)
        tokens += unread
        spans.append(state.span(unread.count, asked: 1))
      }
      if tokens.isEmpty { break }
      let hidden = language.hiddenStates(language.embed(tokens), spans: spans, engine)
      choose(hidden, drafting, weighs: plan.weighs, engine)
      steps += 1
    }
    return steps
  }

  /// Adds a proposal to each of the sessions that these hidden states [sessions, hidden] are of.
  private func choose(_ hidden: Tensor, _ sessions: [Session], weighs: Bool, _ engine: Engine) {
    if !weighs, let vocabulary = sessions.first?.vocabulary, sessions.allSatisfy(\.takesLargest) {
      let largest = language.largestLogits(hidden, among: vocabulary, engine)
      if largest.contains(nil) { sayBroken() }
      for (session, token) in zip(sessions, largest) { session.propose(token ?? 0) }
      return
    }
    let logits = language.logits(hidden, engine)
    let proposals = logits.withMutable { values in
      engine.map(sessions.count, work: sessions.count * logits.columns * Self.workOfChoice) { row in
        sessions[row].proposal(values + row * logits.columns, columns: logits.columns, weighs: weighs)
      }
    }
    if proposals.contains(where: \.isBroken) { sayBroken() }
    for (session, proposal) in zip(sessions, proposals) { session.propose(proposal) }
  }

  /// Multiplications that take as long as a logit: most of it is an exponential.
  private static let workOfChoice = 8

  /// Reads what was written while drafting was off, a few rows at a time, up to what one pass takes anyway.
  private func catchUp(_ session: Session, _ engine: Engine) {
    guard let state = session.proposalState as? State else { return }
    while state.unread(of: session).count > Self.rowsAtOnce {
      let some = Array(state.unread(of: session).prefix(Self.rowsAtOnce))
      _ = language.hiddenStates(language.embed(some), spans: [state.span(some.count, asked: 0)], engine)
    }
  }

  private static let rowsAtOnce = 16
}
