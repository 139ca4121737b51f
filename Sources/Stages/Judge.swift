import Evaluation
import Models
import Pipeline
import Speculation
import Tensors

/// Has every method answer a record, one answer at a time, and measures.
///
/// The target reads a record's prompt once: the seconds are the same for all methods, and the others go on from a copy.
/// Each drafter reads it as often as it is asked, since that is part of what drafting costs.
final class Judge {
  /// What a setting made of a record.
  struct Verdict {
    let setting: Setting
    let outcome: Outcome
  }

  /// A record as it is asked and drafted.
  private struct Case {
    let request: DecodeRequest
    /// By method; nil where a method does not draft.
    var prompts: [DraftPrompt?]
    /// Seconds of making them.
    var draftSeconds: [Double]
  }

  /// An answer and its own seconds.
  private struct Run {
    let contestant: Int
    let answer: Answer
    let seconds: DecodingSeconds
  }

  let requests: TargetRequests
  private let methods: [DraftingMethod]
  /// By temperature.
  private let contestants: [[Contestant]]
  /// By temperature.
  let rules: [ChoiceRules]
  private let measuresDistance: Bool
  private var records = 0
  /// The last picture and the last that was another one.
  private var picture: VisualFeatures?
  private var otherPicture: VisualFeatures?

  init(_ arguments: Arguments) throws(RunFailure) {
    let resource: ModelResource = arguments.resource("model")
    requests = TargetRequests(stage: "evaluate", resource: resource, maximumTokens: arguments.integer("max-tokens"))
    let methods = try DraftingMethod.all(arguments, resource)
    self.methods = methods
    measuresDistance = arguments.flag("tvd")
    var temperatures: [Double] = []
    for one in arguments.numbers("temperatures") where !temperatures.contains(one) { temperatures.append(one) }
    let rules = temperatures.map { ChoiceRules(arguments, resource.target, temperature: $0, .gumbel) }
    self.rules = rules
    let reader = PromptReader()
    contestants = zip(temperatures, rules).map { temperature, rules in
      methods.indices.flatMap { method in
        methods[method].gammas.map { gamma in
          Contestant(
            setting: Setting(method: methods[method].name, gamma: gamma, temperature: temperature), method: method,
            decoder: BatchDecoder(
              target: resource.target.language, rules: rules, engine: resource.engine, reader: reader))
        }
      }
    }
  }

  /// Everything that is judged, in the order of the results.
  var settings: [Setting] { contestants.flatMap { $0.map(\.setting) } }

  /// Where each method's drafter was read from; methods without a model have none.
  var drafters: [(method: String, folder: String)] {
    methods.compactMap { method in method.drafter?.model.map { (method.name, $0.folder) } }
  }

  /// What every setting makes of a record.
  ///
  /// - Parameter picture: seconds of decoding and encoding its picture.
  func verdicts(on record: Record, _ picture: PhaseSeconds, _ meter: Meter) throws(StageFailure) -> [Verdict] {
    guard let prompt = record[Field.prompt] else { return [] }
    look(at: record[Field.features])
    let start = ContinuousClock.now
    // The copy goes with the record.
    let request = try requests.request(record, prompt) { SharedPrefix(answers: .max, drafts: false) }
    var shared = picture
    shared.prefill = (ContinuousClock.now - start) / .seconds(1)
    let asked = try draftPrompts(request, prompt, record[Field.features])
    if records == 0 { try warmUp(asked) }
    var verdicts: [Verdict] = []
    var runs: [[Run]] = []
    for (temperature, contestants) in contestants.enumerated() {
      runs.append(try answers(asked, contestants, rules[temperature]))
    }
    // One of them has read the prompt.
    shared.prefill += runs.joined().map(\.seconds.prefill).max() ?? 0
    for (temperature, runs) in runs.enumerated() { verdicts += judged(runs, asked, temperature, shared) }
    records += 1
    count(verdicts, shared, meter)
    return verdicts
  }

  /// Keeps the picture before this one: records that ask about the same picture have one before it in common.
  private func look(at visual: VisualFeatures?) {
    guard let visual else { return }
    let isSame =
      picture.map { $0.features.rows == visual.features.rows && $0.features.values == visual.features.values } ?? false
    if !isSame { otherPicture = picture }
    picture = visual
  }

  private func draftPrompts(
    _ request: DecodeRequest, _ prompt: Prompt, _ visual: VisualFeatures?
  ) throws(StageFailure) -> Case {
    var asked = Case(request: request, prompts: [], draftSeconds: [])
    for method in methods {
      let start = ContinuousClock.now
      asked.prompts.append(try method.prompt(prompt, visual, other: otherPicture))
      asked.draftSeconds.append((ContinuousClock.now - start) / .seconds(1))
    }
    return asked
  }

  // MARK: Answers

  /// A model's weights are slow to come when they are first read: that is counted for none.
  private func warmUp(_ asked: Case) throws(StageFailure) {
    let decoder = BatchDecoder(
      target: requests.resource.target.language, rules: rules[0], engine: requests.resource.engine)
    var request = asked.request
    request.maximumTokens = min(8, request.maximumTokens)
    // The pass that counts is the one behind this.
    request.prefix = SharedPrefix(answers: .max, drafts: false)
    for method in methods.indices {
      guard let contestant = contestants[0].first(where: { $0.method == method && isAnswering($0, asked) }) else {
        continue
      }
      _ = try answer(request, contestant, asked, decoder)
    }
  }

  private func isAnswering(_ contestant: Contestant, _ asked: Case) -> Bool {
    methods[contestant.method].drafter == nil || asked.prompts[contestant.method] != nil
  }

  /// All answers at one temperature. Who begins changes from record to record, so that a machine that becomes slower or
  /// faster does so for all alike.
  private func answers(_ asked: Case, _ contestants: [Contestant], _ rules: ChoiceRules) throws(StageFailure) -> [Run] {
    var runs: [Run] = []
    for turn in contestants.indices {
      let index = (turn + records) % contestants.count
      let contestant = contestants[index]
      guard isAnswering(contestant, asked) else { continue }
      let before = contestant.decoder.seconds
      let answer = try answer(asked.request, contestant, asked, contestant.decoder)
      var seconds = contestant.decoder.seconds
      seconds.prefill -= before.prefill
      seconds.draft += asked.draftSeconds[contestant.method] - before.draft
      seconds.verify -= before.verify
      runs.append(Run(contestant: index, answer: answer, seconds: seconds))
    }
    return runs.sorted { $0.contestant < $1.contestant }
  }

  private func answer(
    _ request: DecodeRequest, _ contestant: Contestant, _ asked: Case, _ decoder: BatchDecoder
  ) throws(StageFailure) -> Answer {
    var request = request
    request.sampling.temperature = Float(contestant.setting.temperature)
    if let proposer = methods[contestant.method].drafter?.proposer, let prompt = asked.prompts[contestant.method] {
      request.drafting = Drafting(proposer: proposer, prompt: prompt, gamma: contestant.setting.gamma)
    }
    let session = decoder.open(request)
    while !session.isFinished { decoder.advance([session]) }
    if session.isBroken { throw requests.brokenLogits }
    return session.answer
  }

  // MARK: Verdicts

  private func judged(_ runs: [Run], _ asked: Case, _ temperature: Int, _ shared: PhaseSeconds) -> [Verdict] {
    // Plain decoding is the first of all contestants and leaves out nothing.
    let plain = runs.first?.answer.tokens ?? []
    let distances = distances(plain, asked, rules[temperature])
    return runs.map { run in
      let contestant = contestants[temperature][run.contestant]
      var seconds = shared
      seconds.draft = run.seconds.draft
      seconds.verify = run.seconds.verify
      return Verdict(
        setting: contestant.setting,
        outcome: Outcome(
          record: records, answer: run.answer, seconds: seconds, isIdentical: run.answer.tokens == plain,
          distances: distances[contestant.method]))
    }
  }

  /// How far each method's drafter is from the target along the target's answer; nil for methods without a model.
  private func distances(_ answer: [Int32], _ asked: Case, _ rules: ChoiceRules) -> [[Double]?] {
    var distances: [[Double]?] = methods.map { _ in nil }
    guard measuresDistance else { return distances }
    var places: [Int] = []
    var drafters: [(language: any LanguageModel, prompt: DraftPrompt)] = []
    for (index, method) in methods.enumerated() {
      guard let model = method.drafter?.model, let prompt = asked.prompts[index] else { continue }
      places.append(index)
      drafters.append((model.language, prompt))
    }
    let forcing = TeacherForcing(rules.sampling, requests.resource.engine)
    let found = forcing.distances(
      asked.request, target: requests.resource.target.language, answer: answer, drafters: drafters)
    for (place, one) in zip(places, found) { distances[place] = one }
    return distances
  }

  /// Adds to the run's counters: seconds and tokens of all answers, and how drafting went where there was any.
  private func count(_ verdicts: [Verdict], _ shared: PhaseSeconds, _ meter: Meter) {
    meter.add(seconds: .seconds(shared.prefill), to: "prefill")
    for verdict in verdicts {
      let answer = verdict.outcome.answer
      meter.add(seconds: .seconds(verdict.outcome.seconds.draft), to: "draft")
      meter.add(seconds: .seconds(verdict.outcome.seconds.verify), to: "verify")
      meter.count("tokens", answer.tokens.count)
      guard verdict.setting.method != Setting.plain else { continue }
      meter.count("rounds", answer.rounds)
      meter.count("drafted", answer.drafted)
      meter.count("accepted", answer.accepted)
    }
  }
}
