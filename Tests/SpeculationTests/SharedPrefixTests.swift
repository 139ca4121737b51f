import Foundation
import Models
import Speculation
import Tensors
import Testing

private let models =
  URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent().path + "/Tests/Fixtures/models/"

/// Four answers each to prompts, short ones and longer than any window of the model, alone or sharing what is read.
private struct Answers {
  let target: any LanguageModel
  let proposer: LanguageModelProposer
  let lengths = [3, 11, 24, 40, 300]

  init(_ name: String) throws {
    let files = try ModelFiles(path: models + name)
    target = try files.family.load(files).language
    // The target itself, so that proposals stand and fall.
    proposer = LanguageModelProposer(target)
  }

  func requests(gamma: Int?, sharing: Bool) -> [DecodeRequest] {
    lengths.flatMap { length in
      let prompt = (0..<length).map { Int32(($0 * 7 + length) % 380 + 5) }
      let prefix = sharing ? SharedPrefix(answers: 4) : nil
      return (0..<4).map { sample in
        DecodeRequest(
          key: "\(length)_\(sample)", prompt: prompt, embeddings: target.embed(prompt),
          positions: prompt.indices.map { Position($0) }, nextPosition: length,
          drafting: gamma == 0
            ? nil
            : Drafting(
              proposer: proposer, prompt: DraftPrompt(tokens: prompt, embeddings: target.embed(prompt)), gamma: gamma),
          // The longest moves the windows on again, once they have been copied.
          maximumTokens: length == 300 ? 200 : 40,
          sampling: AnswerSampling(sample: sample, temperature: [0.7, 0, 1, 1.3][sample], noiseKey: "\(length)"),
          prefix: prefix)
      }
    }
  }

  func tokens(gamma: Int?, sharing: Bool, threads: Int = 1, inFlight: Int? = 1) -> (tokens: [[Int32]], read: Int) {
    var settings = SamplingSettings(vocabulary: target.configuration.vocabulary)
    settings.repetitionPenalty = 1.5
    let decoder = BatchDecoder(
      target: target, rules: ChoiceRules(sampling: settings, seed: 11, stops: []), engine: Engine(threads: threads))
    let requests = requests(gamma: gamma, sharing: sharing)
    let answers = decoder.answers(to: requests, inFlight: inFlight)
    // Once each has taken its copy, the target's is gone.
    for request in requests where gamma == 0 { #expect(request.prefix?.byteCount ?? 0 == 0) }
    return (answers.map(\.tokens), decoder.promptsRead)
  }
}

@Test(arguments: ["gemma3-text", "qwen2-text", "llama-text"])
func answersThatShareAPromptAreThoseThatReadIt(model: String) throws {
  let answers = try Answers(model)
  let alone = answers.tokens(gamma: 0, sharing: false)
  #expect(alone.read == 20)
  #expect(Set(alone.tokens).count == 20)
  for gamma in [0, nil, 5] {
    for (threads, inFlight) in [(1, 1), (2, 4), (1, nil)] {
      let shared = answers.tokens(gamma: gamma, sharing: true, threads: threads, inFlight: inFlight)
      #expect(shared.tokens == alone.tokens, "γ \(gamma as Any), \(threads) threads, \(inFlight as Any) in flight")
      #expect(shared.read == 5)
    }
  }
}

@Test func aSharedPromptIsKeptUntilTheLastAnswerHasTakenIt() throws {
  let answers = try Answers("gemma3-text")
  let decoder = BatchDecoder(
    target: answers.target,
    rules: ChoiceRules(
      sampling: SamplingSettings(vocabulary: answers.target.configuration.vocabulary), seed: 0, stops: []),
    engine: Engine(threads: 1))
  let requests = Array(answers.requests(gamma: 2, sharing: true).suffix(4))
  let prefix = try #require(requests[0].prefix)
  var sessions: [Session] = []
  for (place, request) in requests.enumerated() {
    #expect(prefix.holds(request.prompt) == (place > 0))
    sessions.append(decoder.open(request))
    #expect((prefix.byteCount > 0) == (place < 3))
  }
  // The drafter reads, and what is kept of it goes, when it is first asked.
  decoder.advance(Array(sessions[..<3]))
  #expect(prefix.byteCount > 0)
  decoder.advance(sessions)
  #expect(prefix.byteCount == 0)
  // Another prompt is not taken for this one.
  let other = answers.requests(gamma: 0, sharing: false)[0]
  #expect(!prefix.holds(other.prompt))
}
