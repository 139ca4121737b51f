import CKernels
import Models
import Tensors

/// What is decoded: a prompt as the target sees it and, where there is a drafter, as the drafter sees it.
package struct DecodeRequest: Sendable {
  /// Names the record: with seed and sample it fixes the noise.
  package var key: String
  /// The prompt's ids, for the repetition penalty.
  package var prompt: [Int32]
  /// The target's embeddings of the prompt, visual tokens in their places: [prompt, hidden].
  package var embeddings: Tensor
  package var positions: [Position]
  /// Where generated text goes on.
  package var nextPosition: Int
  /// The drafter's embeddings of its own prompt, nil for decoding without one.
  package var draftEmbeddings: Tensor?
  package var maximumTokens: Int

  package init(
    key: String, prompt: [Int32], embeddings: Tensor, positions: [Position], nextPosition: Int,
    draftEmbeddings: Tensor? = nil, maximumTokens: Int
  ) {
    self.key = key
    self.prompt = prompt
    self.embeddings = embeddings
    self.positions = positions
    self.nextPosition = nextPosition
    self.draftEmbeddings = draftEmbeddings
    self.maximumTokens = maximumTokens
  }
}

/// A finished answer and the raw counters of its making.
package struct Answer: Sendable, Equatable {
  /// Generated ids, the one that ended the answer included.
  package var tokens: [Int32] = []
  /// Target calls after the prompt's.
  package var rounds = 0
  package var drafted = 0
  package var accepted = 0
}

/// One answer in the making: the target's cache, the drafter's, and the tokens so far.
///
/// Both caches lag one token behind: the last token of `answer` has been chosen but not yet read by either model.
final class Session {
  let request: DecodeRequest
  let cache: KVCache
  let draftCache: KVCache?
  var answer = Answer()
  /// This round's proposals.
  var drafts: [Int32] = []
  var isFinished = false
  private var seen: Set<Int32>
  private let noise: NoiseStream
  private let settings: SamplingSettings

  init(
    _ request: DecodeRequest, target: Decoder, drafter: Decoder?, settings: SamplingSettings, seed: UInt64
  ) {
    self.request = request
    self.settings = settings
    noise = NoiseStream(seed: seed, key: request.key)
    seen = Set(request.prompt)
    // A round's rejected rows stand in the cache until it is cut back.
    cache = target.configuration.makeCache(capacity: request.prompt.count + request.maximumTokens)
    draftCache = request.draftEmbeddings.flatMap { prompt in
      drafter?.configuration.makeCache(capacity: prompt.rows + request.maximumTokens)
    }
  }

  /// How many tokens may still be proposed: the target adds one of its own.
  var room: Int { max(0, request.maximumTokens - answer.tokens.count - 1) }

  /// The token at the place `offset` behind the answer, given the drafts before it.
  ///
  /// The choice depends on the logits, the tokens before it and the noise of its own position alone: drafter and
  /// target use the same rule, so that equal distributions choose equal tokens.
  func choose(_ logits: UnsafePointer<Float>, offset: Int) -> Int32 {
    let row = settings.process(logits, seen: seen.union(drafts.prefix(offset)))
    if settings.temperature > 0, let token = noise.draw(row, position: answer.tokens.count + offset) { return token }
    return Int32(max(0, mp_argmax(row, row.count)))
  }

  /// Takes the target's own choices: one a row, each row's draft having been right up to it.
  ///
  /// - Parameter logits: row r follows the answer and the first r drafts; `stride` values a row.
  func verify(_ logits: UnsafePointer<Float>, stride: Int, stops: Set<Int32>) {
    var chosen: [Int32] = []
    for row in 0...drafts.count {
      let token = choose(logits + row * stride, offset: row)
      chosen.append(token)
      guard row < drafts.count, token == drafts[row] else { break }
      answer.accepted += 1
      if stops.contains(token) { break }
    }
    answer.drafted += drafts.count
    drafts = []
    append(chosen, stops: stops)
    cache.truncate(to: request.prompt.count + answer.tokens.count - 1)
    if let draftCache, let prompt = request.draftEmbeddings {
      draftCache.truncate(to: prompt.rows + answer.tokens.count - 1)
    }
  }

  private func append(_ tokens: [Int32], stops: Set<Int32>) {
    answer.tokens += tokens
    seen.formUnion(tokens)
    isFinished = answer.tokens.count >= request.maximumTokens || tokens.contains(where: stops.contains)
  }
}
