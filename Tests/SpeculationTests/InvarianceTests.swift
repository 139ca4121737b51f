import Foundation
import JSON
import Models
import Speculation
import Tensors
import Testing

private let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent().path

/// The example target with prompts of text and of pictures whose features are stored, and two drafters for it.
private struct Cases {
  let target: Qwen25VL
  let text: Decoder
  let massv: Decoder
  let projector: Projector
  let textProposer: LanguageModelProposer
  let massvProposer: LanguageModelProposer
  var requests: [(line: JSONValue, request: DecodeRequest, features: Tensor?)] = []
  let stops: Set<Int32>

  init() throws {
    let folder = root + "/Tests/Fixtures/models/random-target"
    let config = try ConfigReader(path: folder + "/config.json")
    target = try Qwen25VL(ModelFiles(path: folder))
    stops = try GenerationDefaults(folder: folder, config: config).endOfSequence
    let plain = root + "/Tests/Fixtures/models/qwen2-echo"
    text = try Qwen2.load(ModelFiles(path: plain))
    let drafter = root + "/Tests/Fixtures/models/random-massv"
    massv = try Qwen2.load(ModelFiles(path: drafter))
    projector = try Projector(
      ProjectorSettings(ConfigReader(path: drafter + "/massv.json"), outputs: massv.configuration.hidden),
      WeightLoader(WeightStore(folder: drafter, name: "projector"), Engine(threads: 1)))
    textProposer = LanguageModelProposer(text)
    massvProposer = LanguageModelProposer(massv)
    try readRequests()
  }

  private mutating func readRequests() throws {
    let expected = root + "/Tests/Fixtures/expected/qwen25vl-hub"
    let file = try SafetensorsFile(path: expected + ".safetensors")
    let engine = Engine(threads: 1)
    for text in try String(contentsOfFile: expected + ".jsonl", encoding: .utf8).split(separator: "\n") {
      let line = try JSONValue(parsing: Array(text.utf8))
      let id = line["id"]?.string ?? ""
      let entry = file.entries.first { $0.name == id + ".pre_merger" }
      guard line["image"]?.isNull == true || entry != nil else { continue }
      let prompt = (line["input_ids"]?.array ?? []).compactMap(\.int).map { Int32($0) }
      var features: Tensor?
      if let entry {
        let weight = try file.tensor(entry)
        let width = target.configuration.vision.featureWidth
        features = Tensor(rows: weight.rows * weight.columns / width, columns: width, values: weight.values)
      }
      let sides = line["grid_thw"]?.array?.compactMap(\.int)
      let places = target.positions(prompt, grid: sides.map { PatchGrid(height: $0[1], width: $0[2]) })
      let request = DecodeRequest(
        key: id, prompt: prompt,
        embeddings: embed(prompt, with: target.language, visual: features.map { target.project($0, engine) }),
        positions: places.positions, nextPosition: places.next, maximumTokens: line["max_new_tokens"]?.int ?? 0)
      requests.append((line, request, features))
    }
  }

  private func embed(_ prompt: [Int32], with decoder: Decoder, visual: Tensor?) -> Tensor {
    let words = decoder.embed(prompt)
    guard let visual else { return words }
    var next = 0
    return Tensor.stacking(
      prompt.indices.map { index in
        guard prompt[index] == target.configuration.imageToken else { return words.rows(index..<index + 1) }
        next += 1
        return visual.rows(next - 1..<next)
      })
  }

  /// The requests as this drafter sees them: visual tokens projected, or left out.
  func requests(for drafter: String, gamma: Int?) -> [DecodeRequest] {
    requests.map { item in
      var request = item.request
      if drafter == "massv" {
        let visual = item.features.map { projector([($0, VisualGrid(height: 1, width: $0.rows))], Engine(threads: 1)) }
        request.drafting = Drafting(
          proposer: massvProposer,
          prompt: DraftPrompt(tokens: request.prompt, embeddings: embed(request.prompt, with: massv, visual: visual)),
          gamma: gamma)
      } else if drafter == "text" {
        let words = request.prompt.filter { !target.imageMarkers.contains($0) }
        request.drafting = Drafting(
          proposer: textProposer, prompt: DraftPrompt(tokens: words, embeddings: text.embed(words)), gamma: gamma)
      }
      return request
    }
  }

  func decoder(threads: Int, settings: SamplingSettings, acceptance: Acceptance = .gumbel) -> BatchDecoder {
    BatchDecoder(
      target: target.language,
      rules: ChoiceRules(sampling: settings, acceptance: acceptance, seed: 7, stops: stops),
      engine: Engine(threads: threads))
  }
}

private func settings(temperature: Float, topP: Float = 1, penalty: Float = 1.05) -> SamplingSettings {
  var settings = SamplingSettings(vocabulary: 428)
  settings.temperature = temperature
  settings.topP = topP
  settings.repetitionPenalty = penalty
  return settings
}

@Test(arguments: [settings(temperature: 0), settings(temperature: 0.7, topP: 0.9), settings(temperature: 1)])
private func tokensDoNotDependOnDrafterGammaThreadsOrNeighbours(settings: SamplingSettings) throws {
  let cases = try Cases()
  let plain = cases.decoder(threads: 1, settings: settings)
    .answers(to: cases.requests(for: "none", gamma: 0), inFlight: 1).map(\.tokens)
  #expect(plain.count == 12)
  var accepted: [String: Int] = [:]
  for drafter in ["none", "text", "massv"] {
    for gamma in [nil, 1, 2, 5, 8] {
      let requests = cases.requests(for: drafter, gamma: gamma)
      for (threads, inFlight) in [(1, 1), (1, 4), (2, 1), (2, 4)] {
        let answers = cases.decoder(threads: threads, settings: settings).answers(to: requests, inFlight: inFlight)
        #expect(
          answers.map(\.tokens) == plain,
          "\(drafter) γ=\(gamma.map(String.init) ?? "auto") threads=\(threads) in flight=\(inFlight)")
        accepted[drafter, default: 0] += answers.reduce(0) { $0 + $1.accepted }
        for answer in answers where drafter == "none" { #expect(answer.rounds == answer.tokens.count - 1) }
      }
    }
  }
  // Both drafters agree often enough that accepting and rejecting were both exercised.
  #expect(accepted["none"] == 0 && accepted["text"] ?? 0 > 100 && accepted["massv"] ?? 0 > 100)
}

/// A scheduler to which drafting seems to cost nothing, and which knows where a drafter stops.
private func taughtScheduler(answers: Int) -> Scheduler {
  var scheduler = Scheduler()
  for round in 0..<400 {
    let gamma = scheduler.nextGamma(answers: answers)
    let rounds = (0..<answers).map { answer in
      let isSure = (round + answer) % 3 > 0
      return Proposed(
        count: gamma, brought: isSure ? gamma + 1 : 1,
        guesses: (0..<gamma).map { _ in Guess(token: 0, probability: isSure ? 0.9 : 0.1) })
    }
    scheduler.record(
      Scheduler.Load(answers: answers, rows: gamma + 1, cached: 50 * answers), steps: gamma, rounds: rounds,
      draft: 1e-7,
      verify: 1e-3, isCatchingUp: false)
  }
  return scheduler
}

/// Where γ is chosen and drafting stops in doubt, each answer after another number of proposals, tokens stay the same.
@Test(arguments: [settings(temperature: 0), settings(temperature: 0.7, topP: 0.9), settings(temperature: 1)])
private func tokensDoNotDependOnWhereDraftingStops(settings: SamplingSettings) throws {
  let cases = try Cases()
  let plain = cases.decoder(threads: 1, settings: settings)
    .answers(to: cases.requests(for: "none", gamma: 0), inFlight: 1).map(\.tokens)
  var lengths: Set<Int> = []
  for drafter in ["text", "massv"] {
    for inFlight in [1, 4] {
      let decoder = cases.decoder(threads: 2, settings: settings)
      decoder.scheduler = taughtScheduler(answers: inFlight)
      let answers = decoder.answers(to: cases.requests(for: drafter, gamma: nil), inFlight: inFlight)
      #expect(answers.map(\.tokens) == plain, "\(drafter), \(inFlight) in flight")
      lengths.formUnion(answers.flatMap { $0.log.map(\.proposed) })
    }
  }
  #expect(lengths.count > 4 && lengths.max() ?? 0 > Scheduler.maximumGamma, "\(lengths.sorted())")
}

@Test func speculativeGreedyAnswersEqualTheReference() throws {
  let cases = try Cases()
  for (item, request) in zip(cases.requests, cases.requests(for: "massv", gamma: 5)) {
    let penalty = Float(item.line["repetition_penalty"]?.double ?? 1)
    let decoder = cases.decoder(threads: 2, settings: settings(temperature: 0, penalty: penalty))
    let answer = decoder.answers(to: [request], inFlight: 1)[0]
    #expect(answer.tokens.map(Int.init) == item.line["tokens"]?.array?.compactMap(\.int), "\(request.key)")
  }
}

@Test func nothingToAnswerGivesAnEmptyAnswer() throws {
  let cases = try Cases()
  var request = cases.requests(for: "massv", gamma: 5)[0]
  let decoder = cases.decoder(threads: 1, settings: settings(temperature: 0))
  request.maximumTokens = 0
  #expect(decoder.answers(to: [request], inFlight: 1).map(\.tokens) == [[]])
  request.maximumTokens = 1
  #expect(decoder.answers(to: [request], inFlight: 1).map(\.tokens.count) == [1])
}
