import Models
import Tensors

/// The one decoding loop: several answers at once, with a drafter or without.
///
/// A round proposes up to γ tokens for each answer and lets the target read them all in one pass. The target's own
/// choice at every position decides, so the tokens are those of plain decoding; the drafter decides only how many come
/// out of a pass.
package struct BatchDecoder: Sendable {
  package let target: Decoder
  package let drafter: Decoder?
  package var settings: SamplingSettings
  /// Tokens proposed a round, 0 for plain decoding.
  package var gamma: Int
  package var seed: UInt64
  /// Ids that end an answer.
  package var stops: Set<Int32>
  /// Answers in the making at once.
  package var inFlight: Int
  private let engine: Engine

  package init(
    target: Decoder, drafter: Decoder?, settings: SamplingSettings, gamma: Int, seed: UInt64, stops: Set<Int32>,
    inFlight: Int, engine: Engine
  ) {
    self.target = target
    self.drafter = drafter
    self.settings = settings
    self.gamma = gamma
    self.seed = seed
    self.stops = stops
    self.inFlight = max(1, inFlight)
    self.engine = engine
  }

  /// Answers every request, in their order. An empty prompt, or none of its tokens allowed, gives an empty answer.
  package func answers(to requests: [DecodeRequest]) -> [Answer] {
    var waiting = requests[...]
    var all: [Session] = []
    var live: [Session] = []
    while true {
      while live.count < inFlight, let request = waiting.popFirst() {
        let session = open(request)
        all.append(session)
        if !session.isFinished { live.append(session) }
      }
      if live.isEmpty { return all.map(\.answer) }
      propose(live)
      verify(live)
      live.removeAll { $0.isFinished }
    }
  }

  /// Reads the prompt and chooses the first token.
  private func open(_ request: DecodeRequest) -> Session {
    let session = Session(request, target: target, drafter: drafter, settings: settings, seed: seed)
    if request.prompt.isEmpty || request.maximumTokens < 1 {
      session.isFinished = true
      return session
    }
    let hidden = target.hiddenStates(
      request.embeddings, spans: [DecoderSpan(cache: session.cache, positions: request.positions)], path: .bulk,
      engine)
    let logits = target.logits(hidden.rows(hidden.rows - 1..<hidden.rows), engine)
    logits.withValues { session.verify($0, stride: logits.columns, stops: stops) }
    if let cache = session.draftCache, let prompt = request.draftEmbeddings, let drafter, gamma > 0 {
      let span = DecoderSpan(cache: cache, positions: (0..<prompt.rows).map { Position($0) })
      _ = drafter.hiddenStates(prompt, spans: [span], path: .bulk, engine)
    }
    return session
  }

  /// Drafts token by token, one row of every answer in each of the drafter's passes.
  private func propose(_ sessions: [Session]) {
    guard let drafter, gamma > 0 else { return }
    for step in 0..<gamma {
      let drafting = sessions.filter { $0.draftCache != nil && step < $0.room }
      var tokens: [Int32] = []
      var spans: [DecoderSpan] = []
      var lastRows: [Int] = []
      for session in drafting {
        guard let cache = session.draftCache, let prompt = session.request.draftEmbeddings else { continue }
        let known = session.answer.tokens + session.drafts
        let unread = known.suffix(from: cache.length - prompt.rows)
        tokens += unread
        spans.append(DecoderSpan(cache: cache, positions: (0..<unread.count).map { Position(cache.length + $0) }))
        lastRows.append(tokens.count - 1)
      }
      if tokens.isEmpty { return }
      let hidden = drafter.hiddenStates(drafter.embed(tokens), spans: spans, path: .decode, engine)
      let logits = drafter.logits(hidden.gathering(lastRows), engine)
      logits.withValues { values in
        for (row, session) in drafting.enumerated() {
          session.drafts.append(session.choose(values + row * logits.columns, offset: step))
        }
      }
    }
  }

  /// Lets the target read the last token and the drafts of every answer in one pass.
  private func verify(_ sessions: [Session]) {
    let rows = sessions.map { $0.answer.tokens.suffix(1) + $0.drafts }
    let spans = sessions.map { session in
      let first = session.request.nextPosition + session.answer.tokens.count - 1
      return DecoderSpan(
        cache: session.cache, positions: (0...session.drafts.count).map { Position(first + $0) })
    }
    let hidden = target.hiddenStates(
      target.embed(rows.flatMap { $0 }), spans: spans, path: .decode, engine)
    let logits = target.logits(hidden, engine)
    logits.withValues { values in
      var row = 0
      for (session, tokens) in zip(sessions, rows) {
        session.answer.rounds += 1
        session.verify(values + row * logits.columns, stride: logits.columns, stops: stops)
        row += tokens.count
      }
    }
  }
}
