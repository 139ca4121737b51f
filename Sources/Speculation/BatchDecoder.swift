import Models
import Tensors

/// Seconds of the decoding loop by phase.
package struct DecodingSeconds: Sendable {
  package var prefill = 0.0
  package var draft = 0.0
  package var verify = 0.0

  package init() {}
}

/// The one decoding loop: several answers at once, with a drafter or without.
///
/// A round proposes up to γ tokens for each answer and lets the target read them all in one pass. The target's own
/// choice at every position decides, so the tokens are those of plain decoding; the drafter decides only how many come
/// out of a pass. One owner at a time.
package final class BatchDecoder {
  package let target: any LanguageModel
  package let rules: ChoiceRules
  package private(set) var seconds = DecodingSeconds()
  /// Prompts that the target has read: fewer than answers where those share.
  package private(set) var promptsRead = 0
  /// Chooses γ and the records in flight where they are left open.
  package var scheduler = Scheduler()
  private let engine: Engine
  private let reader: PromptReader
  /// By drafter.
  private var draftReaders: [ObjectIdentifier: PromptReader] = [:]
  /// Seconds of reading prompts for drafters.
  private var readingSeconds = 0.0
  private var draftedLastRound = true

  /// - Parameter reader: of the target's prompts, where several decoders read them in turn.
  package init(
    target: any LanguageModel, rules: ChoiceRules, engine: Engine, reader: PromptReader = PromptReader()
  ) {
    self.target = target
    self.rules = rules
    self.engine = engine
    self.reader = reader
  }

  /// Bytes of what prompts begin with in common, read once for all of them.
  package var keptBytes: Int { draftReaders.values.reduce(reader.byteCount) { $0 + $1.byteCount } }

  private func timed<R>(_ phase: WritableKeyPath<DecodingSeconds, Double>, _ body: () -> R) -> (R, Double) {
    let start = ContinuousClock.now
    let result = body()
    let taken = (ContinuousClock.now - start) / .seconds(1)
    seconds[keyPath: phase] += taken
    return (result, taken)
  }

  /// Reads the prompt and chooses the first token.
  ///
  /// An empty prompt, or a request for no tokens, gives an empty answer.
  package func open(_ request: DecodeRequest) -> Session {
    let shared = request.prefix?.take(for: request)
    if request.prompt.isEmpty || request.maximumTokens < 1 {
      let session = Session(request, cache: target.configuration.makeCache(capacity: 0), rules: rules)
      session.isFinished = true
      return session
    }
    let (cache, logits) = timed(\.prefill) { shared ?? read(request) }.0
    // The copy for others is no part of reading.
    if shared == nil { request.prefix?.keep(cache, logits: logits, for: request) }
    let session = Session(request, cache: cache, rules: rules)
    _ = timed(\.prefill) {
      logits.withMutable { session.take([session.choice($0, columns: logits.columns, 0)]) }
    }
    return session
  }

  /// Reads a prompt; its cache and the logits behind it [1, vocabulary].
  private func read(_ request: DecodeRequest) -> (cache: KVCache, logits: Tensor) {
    promptsRead += 1
    let rows = PromptRows(
      embeddings: request.embeddings, positions: request.positions, bidirectional: request.bidirectional)
    // A round's rejected rows stand in the cache until it is cut back.
    let (cache, hidden) = reader.read(
      rows, target, capacity: request.prompt.count + request.maximumTokens, asked: 1, engine)
    return (cache, target.logits(hidden, engine))
  }

  /// One round for these answers: proposals, then the target's pass over all of them.
  package func advance(_ sessions: [Session]) {
    let drafting = sessions.filter { $0.request.drafting != nil && $0.room > 0 }
    let isOpen = drafting.contains { $0.request.drafting?.gamma == nil }
    let chosen = isOpen ? scheduler.nextGamma(answers: sessions.count) : 0
    let read = readingSeconds
    let (steps, draft) = timed(\.draft) { propose(drafting, chosen) }
    let proposals = sessions.map { Proposed(count: $0.drafts.count, brought: 0, guesses: $0.guesses) }
    let longest = proposals.map(\.count).max() ?? 0
    let load = Scheduler.Load(
      answers: sessions.count, rows: 1 + (isOpen ? min(chosen, longest) : longest),
      total: Double(proposals.reduce(sessions.count) { $0 + $1.count }),
      cached: sessions.reduce(0) { $0 + $1.cache.length })
    let before = sessions.map(\.answer.tokens.count)
    let ((), verify) = timed(\.verify) { self.verify(sessions) }
    var rounds = proposals
    for index in rounds.indices { rounds[index].brought = sessions[index].answer.tokens.count - before[index] }
    scheduler.record(
      load, steps: steps, rounds: rounds, draft: draft - (readingSeconds - read), verify: verify,
      isCatchingUp: !draftedLastRound)
    draftedLastRound = steps > 0
    for session in sessions where session.isFinished { scheduler.recordEnd(tokens: session.answer.tokens.count) }
  }

  /// Answers every request, in their order.
  ///
  /// - Parameters:
  ///   - inFlight: how many at once, nil to choose by what rounds cost.
  ///   - most: what memory allows.
  package func answers(
    to requests: [DecodeRequest], inFlight: Int?, most: Int = Scheduler.maximumInFlight
  ) -> [Answer] {
    var waiting = requests[...]
    var all: [Session] = []
    var live: [Session] = []
    while true {
      let gamma = requests.first?.drafting.map(\.gamma) ?? .some(0)
      let wanted = inFlight ?? scheduler.nextInFlight(most: most, fixedGamma: gamma)
      while live.count < max(1, wanted), let request = waiting.popFirst() {
        let session = open(request)
        all.append(session)
        if !session.isFinished { live.append(session) }
      }
      if live.isEmpty { return all.map(\.answer) }
      advance(live)
      live.removeAll { $0.isFinished }
    }
  }

  /// Drafts for all answers that share a proposer together; returns the steps taken.
  private func propose(_ sessions: [Session], _ chosen: Int) -> Int {
    var steps = 0
    for session in sessions where session.drafts.isEmpty {
      guard let drafting = session.request.drafting else { continue }
      let group = sessions.filter {
        $0.request.drafting?.proposer === drafting.proposer && $0.request.drafting?.gamma == drafting.gamma
      }
      let plan = drafting.gamma.map { DraftPlan(most: $0) } ?? scheduler.plan(chosen)
      if session !== group.first || plan.most == 0 { continue }
      // The drafter reads a prompt when it is first asked: while drafting is off, it costs nothing.
      for one in group where one.proposalState == nil {
        one.proposalState = begin(one.request)
      }
      steps += drafting.proposer.propose(plan, for: group, engine)
    }
    return steps
  }

  /// The drafter's prompt, read or taken from an answer that shares it.
  private func begin(_ request: DecodeRequest) -> (any ProposalState)? {
    guard let drafting = request.drafting else { return nil }
    if let state = request.prefix?.takeDraft(for: request) { return state }
    let start = ContinuousClock.now
    let reader = draftReaders[ObjectIdentifier(drafting.proposer)] ?? PromptReader()
    draftReaders[ObjectIdentifier(drafting.proposer)] = reader
    let state = drafting.proposer.begin(drafting.prompt, capacity: request.maximumTokens, reader, engine)
    let taken = (ContinuousClock.now - start) / .seconds(1)
    readingSeconds += taken
    scheduler.recordReading(seconds: taken)
    request.prefix?.keep(state, for: request)
    return state
  }

  /// Lets the target read the last token and the drafts of every answer in one pass.
  private func verify(_ sessions: [Session]) {
    let rows = sessions.map { Array($0.answer.tokens.suffix(1)) + $0.drafts }
    let spans = sessions.map { session in
      let first = session.request.nextPosition + session.answer.tokens.count - 1
      return DecoderSpan(cache: session.cache, positions: (0...session.drafts.count).map { Position(first + $0) })
    }
    let hidden = target.hiddenStates(target.embed(rows.flatMap { $0 }), spans: spans, engine)
    if sessions.allSatisfy(\.takesLargest) {
      let largest = target.largestLogits(hidden, among: rules.sampling.vocabulary, engine)
      return end(sessions, rows, largest.map { Session.Choice(largest: $0) })
    }
    let logits = target.logits(hidden, engine)
    let places = zip(sessions, rows).flatMap { session, tokens in tokens.indices.map { (session, $0) } }
    logits.withMutable { values in
      // Every row's own choice, all at once; which of them count is seen afterwards.
      let choices = engine.map(places.count, work: places.count * logits.columns) { row in
        let (session, offset) = places[row]
        return session.choice(values + row * logits.columns, columns: logits.columns, offset)
      }
      end(sessions, rows, choices)
    }
  }

  /// Hands every answer the choices of its own rows.
  private func end(_ sessions: [Session], _ rows: [[Int32]], _ choices: [Session.Choice]) {
    var row = 0
    for (session, tokens) in zip(sessions, rows) {
      session.endRound(choices[row..<row + tokens.count])
      row += tokens.count
    }
  }
}
