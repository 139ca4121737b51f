import CKernels
import Foundation
import Models
import Roofline
import Speculation
import Tensors

/// Automatic choice of records in flight and γ against every fixed choice, in four regimes.
///
/// The target and the drafter have random weights, so that a drafter's guesses would never stand: it computes as one
/// would, and what it proposes is the target's own next token as often as ACCEPTANCE says (0.7). REGIME chooses those
/// whose name holds it.
func benchmarkSchedule() throws {
  let environment = ProcessInfo.processInfo.environment
  let acceptance = environment["ACCEPTANCE"].flatMap(Double.init) ?? 0.7
  let engine = Engine(threads: ProcessInfo.processInfo.activeProcessorCount)
  let format = environment["WEIGHTS"].flatMap(WeightFormat.init) ?? .q8
  let bench = try ScheduleBench(
    target: environment["TARGET"] ?? "qwen2-0.5b", acceptance: acceptance, format, engine)
  let wanted = environment["REGIME"]
  for regime in ScheduleBench.regimes where wanted.map(regime.name.contains) ?? true { bench.run(regime) }
}

private struct ScheduleBench {
  struct Regime {
    let name: String
    let records: Int
    let promptTokens: Int
    let answerTokens: Int
    /// Records in flight that there may be at most.
    let most: Int
    let rounds: Int
  }

  static let regimes = [
    Regime(name: "one record at a time", records: 2, promptTokens: 64, answerTokens: 96, most: 1, rounds: 3),
    Regime(name: "64 records, short prompts", records: 64, promptTokens: 32, answerTokens: 32, most: 64, rounds: 2),
    Regime(name: "memory for two", records: 6, promptTokens: 64, answerTokens: 64, most: 2, rounds: 3),
    Regime(
      name: "8 records, 4,000 prompt tokens", records: 8, promptTokens: 4000, answerTokens: 64, most: 8, rounds: 3),
  ]

  let target: any LanguageModel
  let drafter: any LanguageModel
  let acceptance: Double
  let engine: Engine

  init(target: String, acceptance: Double, _ format: WeightFormat, _ engine: Engine) throws {
    func load(_ name: String) throws -> any LanguageModel {
      let files = ModelFiles(shape: try Shape.config(name), format: format, engine: engine)
      return try files.family.load(files).language
    }
    self.target = try load(target)
    // A tenth of the target and less, as published pairs have it.
    drafter = try load("qwen2-50m")
    self.acceptance = acceptance
    self.engine = engine
  }

  /// - Parameter prefixes: the records' prompts, each read once for all settings.
  private func requests(
    _ regime: Regime, _ prefixes: [SharedPrefix], _ proposer: (any Proposer)?, gamma: Int?
  ) -> [DecodeRequest] {
    prefixes.enumerated().map { record, prefix in
      let prompt = (0..<regime.promptTokens).map {
        Int32(truncatingIfNeeded: mp_mix(UInt64(record), UInt64($0)) % 1000)
      }
      let short = DraftPrompt(tokens: Array(prompt.suffix(64)), embeddings: drafter.embed(prompt.suffix(64)))
      return DecodeRequest(
        key: "\(record)", prompt: prompt,
        embeddings: prefix.holds(prompt) ? Tensor(rows: 0, columns: 0) : target.embed(prompt),
        positions: prompt.indices.map { Position($0) }, nextPosition: prompt.count,
        drafting: proposer.map { Drafting(proposer: $0, prompt: short, gamma: gamma) },
        maximumTokens: regime.answerTokens, prefix: prefix)
    }
  }

  /// Answers, and tokens a second of drafting and verifying.
  private func measure(
    _ regime: Regime, _ prefixes: [SharedPrefix], _ proposer: (any Proposer)?, inFlight: Int?, gamma: Int?
  ) -> (answers: [Answer], rate: Double, why: String) {
    let rules = ChoiceRules(
      sampling: SamplingSettings(vocabulary: target.configuration.vocabulary), seed: 0, stops: [])
    let decoder = BatchDecoder(target: target, rules: rules, engine: engine)
    let answers = decoder.answers(
      to: requests(regime, prefixes, gamma == 0 ? nil : proposer, gamma: gamma), inFlight: inFlight, most: regime.most)
    let tokens = answers.reduce(0) { $0 + $1.tokens.count }
    return (
      answers, Double(tokens) / (decoder.seconds.draft + decoder.seconds.verify),
      decoder.scheduler.summary(fixedGamma: gamma) ?? ""
    )
  }

  func run(_ regime: Regime) {
    let prefixes = (0..<regime.records).map { _ in SharedPrefix(answers: .max, drafts: false) }
    let plain = measure(regime, prefixes, nil, inFlight: min(8, regime.most), gamma: 0).answers
    let oracle = Oracle(drafter, answers: plain.map(\.tokens), acceptance: acceptance)
    let counts = [1, 2, 4, 8, 16, 32, 64].filter { $0 <= regime.most }.suffix(2)
    var settings: [(name: String, inFlight: Int?, gamma: Int?)] = [("auto", nil, nil)]
    for count in counts { for gamma in [0, 2, 5] { settings.append(("\(count)×γ\(gamma)", count, gamma)) } }
    var rates = settings.map { _ in [Double]() }
    var why = ""
    for round in 0..<regime.rounds {
      for (index, setting) in settings.enumerated() {
        let found = measure(regime, prefixes, oracle, inFlight: setting.inFlight, gamma: setting.gamma)
        precondition(found.answers.map(\.tokens) == plain.map(\.tokens), "tokens depend on the schedule")
        rates[index].append(found.rate)
        if index == 0, round == regime.rounds - 1 { why = found.why }
      }
    }
    let medians = rates.map { $0.sorted()[$0.count / 2] }
    let best = settings.indices.dropFirst().max { medians[$0] < medians[$1] } ?? 0
    print(
      "\(regime.name): auto \(formatted(medians[0], 1)) tokens/s, best fixed \(settings[best].name) "
        + "\(formatted(medians[best], 1)) (auto \(formatted(100 * (medians[0] / medians[best] - 1), 1)) %)")
    print("  " + zip(settings, medians).dropFirst().map { "\($0.name) \(formatted($1, 0))" }.joined(separator: ", "))
    print("  chose \(why)")
    fflush(nil)
  }
}

/// Proposes what the target is known to choose, right as often as it is told to be, and takes a small model's time.
private final class Oracle: Proposer {
  private let inner: LanguageModelProposer
  private let answers: [[Int32]]
  private let acceptance: Double

  init(_ language: any LanguageModel, answers: [[Int32]], acceptance: Double) {
    inner = LanguageModelProposer(language)
    self.answers = answers
    self.acceptance = acceptance
  }

  func memoryBytes(_ prompt: DraftPrompt, capacity: Int) -> Int { inner.memoryBytes(prompt, capacity: capacity) }

  func begin(
    _ prompt: DraftPrompt, capacity: Int, _ reader: PromptReader, _ engine: Engine
  ) -> any ProposalState {
    inner.begin(prompt, capacity: capacity, reader, engine)
  }

  func propose(_ plan: DraftPlan, for sessions: [Session], _ engine: Engine) -> Int {
    let steps = inner.propose(plan, for: sessions, engine)
    for session in sessions {
      let record = Int(session.request.key) ?? 0
      session.replaceDrafts { offset, _ in
        let place = session.answer.tokens.count + offset
        let chance = Double(mp_mix(UInt64(record), UInt64(place)) >> 11) * 0x1p-53
        let known = answers[record][min(place, answers[record].count - 1)]
        return chance < acceptance ? known : known ^ 1
      }
    }
    return steps
  }
}
