import Foundation
import Models
import Speculation
import Synchronization
import Tensors
import Testing

private let models =
  URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent().path + "/Tests/Fixtures/models/"

/// A model that counts the rows it reads.
private struct Counting: LanguageModel {
  let inner: any LanguageModel
  let rows = Counter()

  final class Counter: Sendable {
    private let count = Mutex(0)

    func add(_ rows: Int) { count.withLock { $0 += rows } }

    /// What has been counted since the last time.
    func take() -> Int {
      count.withLock { count in
        defer { count = 0 }
        return count
      }
    }
  }

  var configuration: DecoderConfiguration { inner.configuration }
  var layerLinears: [Linear] { inner.layerLinears }
  var head: Linear { inner.head }
  var embeddingTable: Weight { inner.embeddingTable }

  func embed(_ tokens: [Int32], _ engine: Engine?) -> Tensor { inner.embed(tokens, engine) }

  func hiddenStates(_ x: Tensor, spans: [DecoderSpan], _ engine: Engine) -> Tensor {
    rows.add(x.rows)
    return inner.hiddenStates(x, spans: spans, engine)
  }

  func logits(_ hidden: Tensor, _ engine: Engine) -> Tensor { inner.logits(hidden, engine) }
}

/// A prompt of `common` tokens that all begin with and as many of its own.
private struct Asked {
  var common: Int
  var length: Int
  var seed: Int
  var bidirectional: Range<Int>?

  var tokens: [Int32] { (0..<length).map { Int32(($0 * 7 + ($0 < common ? 0 : seed * 13 + 1)) % 380 + 5) } }
}

private struct Reading {
  let target: Counting
  let engine = Engine(threads: 2)

  init(_ name: String) throws {
    let files = try ModelFiles(path: models + name)
    target = Counting(inner: try files.family.load(files).language)
  }

  func decoder() -> BatchDecoder {
    let settings = SamplingSettings(vocabulary: target.configuration.vocabulary)
    return BatchDecoder(target: target, rules: ChoiceRules(sampling: settings, seed: 3, stops: []), engine: engine)
  }

  func request(_ asked: Asked, proposer: LanguageModelProposer?) -> DecodeRequest {
    let embeddings = target.embed(asked.tokens)
    return DecodeRequest(
      key: "\(asked.seed)", prompt: asked.tokens, embeddings: embeddings,
      positions: asked.tokens.indices.map { Position($0) }, bidirectional: asked.bidirectional,
      nextPosition: asked.length,
      drafting: proposer.map {
        Drafting(proposer: $0, prompt: DraftPrompt(tokens: asked.tokens, embeddings: embeddings), gamma: 3)
      },
      maximumTokens: 24)
  }

  /// The rows that each prompt takes a decoder, and the tokens behind it.
  func read(_ prompts: [Asked], drafts: Bool, together: Bool) -> (rows: [Int], tokens: [[Int32]]) {
    let proposer = drafts ? LanguageModelProposer(target) : nil
    var decoder = decoder()
    var rows: [Int] = []
    var tokens: [[Int32]] = []
    for prompt in prompts {
      if !together { decoder = self.decoder() }
      _ = target.rows.take()
      let session = decoder.open(request(prompt, proposer: proposer))
      rows.append(target.rows.take())
      while !session.isFinished { decoder.advance([session]) }
      tokens.append(session.answer.tokens)
    }
    return (rows, tokens)
  }
}

@Test(arguments: ["qwen2-text", "llama-text", "gemma3-text"], [false, true])
func whatPromptsBeginWithIsReadOnce(model: String, drafts: Bool) throws {
  let reading = try Reading(model)
  let prompts = [
    Asked(common: 20, length: 31, seed: 1), Asked(common: 20, length: 40, seed: 2),
    Asked(common: 20, length: 25, seed: 3),
    // The same again, one that goes on from it, and one that shares less.
    Asked(common: 20, length: 25, seed: 3), Asked(common: 20, length: 60, seed: 3),
    Asked(common: 9, length: 30, seed: 4),
    // Longer than windows, twice, and short again.
    Asked(common: 300, length: 320, seed: 5), Asked(common: 300, length: 330, seed: 6),
    Asked(common: 20, length: 22, seed: 7), Asked(common: 0, length: 5, seed: 8), Asked(common: 20, length: 1, seed: 9),
  ]
  let together = reading.read(prompts, drafts: drafts, together: true)
  let alone = reading.read(prompts, drafts: drafts, together: false)
  #expect(together.tokens == alone.tokens)
  #expect(alone.rows == prompts.map(\.length))
  // The first two are read whole; from then on what two had in common is known, the whole of a prompt but its last row.
  #expect(Array(together.rows.prefix(6)) == [31, 40, 5, 5, 35, 21])
  #expect(together.rows.allSatisfy { $0 > 0 })
  #expect(Array(together.rows.suffix(2)) == [5, 1])
}

@Test func aPictureThatIsTheSameOnlyInItsBeginningIsReadWhole() throws {
  let reading = try Reading("gemma3-text")
  // Rows 12 to 27 see each other; prompts differ from row 20, 28 or 40 on.
  let prompts = [(20, 1), (20, 2), (28, 3), (28, 4), (40, 5), (40, 6), (40, 7)].map {
    Asked(common: $0.0, length: 50, seed: $0.1, bidirectional: 12..<28)
  }
  let together = reading.read(prompts, drafts: false, together: true)
  let alone = reading.read(prompts, drafts: false, together: false)
  #expect(together.tokens == alone.tokens)
  #expect(together.rows == [50, 50, 38, 38, 22, 22, 10])
  // The same words without a picture are other rows.
  let plain = Asked(common: 40, length: 50, seed: 7)
  let mixed = reading.read(prompts + [plain, plain], drafts: false, together: true)
  #expect(
    mixed.tokens.suffix(2).map { $0 }
      == Array(repeating: reading.read([plain], drafts: false, together: false).tokens[0], count: 2))
}

@Test(arguments: ["qwen2-text", "llama-text", "gemma3-text"])
func theRowsThatAreAskedForAreThoseOfTheWholePass(model: String) throws {
  let reading = try Reading(model)
  let (target, engine) = (reading.target.inner, reading.engine)
  let lengths = [7, 40, 1]
  func states(_ asked: [Int?]) -> (hidden: Tensor, next: Tensor) {
    let caches = lengths.map { target.configuration.makeCache(capacity: $0 + 1) }
    let tokens = lengths.indices.flatMap { Asked(common: 0, length: lengths[$0], seed: $0).tokens }
    let spans = lengths.indices.map { index in
      DecoderSpan(cache: caches[index], positions: (0..<lengths[index]).map { Position($0) }, asked: asked[index])
    }
    let hidden = target.hiddenStates(target.embed(tokens), spans: spans, engine)
    let next = zip(lengths, caches).map { DecoderSpan(cache: $1, positions: [Position($0)]) }
    return (hidden, target.hiddenStates(target.embed([5, 6, 7]), spans: next, engine))
  }
  let all = states([nil, nil, nil])
  let some = states([2, 0, 1])
  #expect(some.hidden.values == all.hidden.gathering([5, 6, 47]).values)
  #expect(some.next.values == all.next.values)
  #expect(states([0, 0, 0]).hidden.rows == 0)
  #expect(states([0, 0, 0]).next.values == all.next.values)
}
