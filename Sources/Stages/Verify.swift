import Foundation
import Messages
import Models
import Pipeline
import Speculation
import Tensors

/// `verify`: the target writes the answer, reading the drafter's proposals several at a time.
enum Verify {
  static let definition = StageDefinition(
    StageDeclaration(
      "verify", .link, "the target's answer, speculatively where the record has been readied for drafting",
      reads: [Field.prompt.name], uses: [Field.features.name, Field.drafting.name, Field.sampling.name],
      writes: AnswerStage.fields,
      parameters: AnswerStage.parameters + [
        ParameterDeclaration(
          "acceptance", .choice(Acceptance.allCases.map(\.rawValue)), default: "gumbel",
          "above temperature 0: gumbel keeps the target's own draws, rejection its distribution")
      ])
  ) { inputs, context throws(RunFailure) in
    let acceptance = Acceptance(rawValue: inputs.arguments.text("acceptance")) ?? .gumbel
    return AnswerStage(inputs, context, acceptance: acceptance, drafts: true)
  }
}

/// `generate`: the target's answer without any drafting.
enum Generate {
  static let definition = StageDefinition(
    StageDeclaration(
      "generate", .link, "the target's answer, token by token",
      reads: [Field.prompt.name], uses: [Field.features.name, Field.sampling.name], writes: AnswerStage.fields,
      parameters: AnswerStage.parameters)
  ) { inputs, context throws(RunFailure) in
    AnswerStage(inputs, context, acceptance: .gumbel, drafts: false)
  }
}

/// Keeps several records in flight, their rows in one pass, and hands them on in the order they came in.
private final class AnswerStage: Stage {
  static let fields = [
    Field.answer.name, "token_ids", "distribution", "tokens", "rounds", "drafted", "accepted", "mal", "mal_with_bonus",
    "seconds",
    "finish_reason", "sample", "temperature", "seed",
  ]

  static let parameters =
    [
      ParameterDeclaration("model", .reference("model"), "the target"),
      ParameterDeclaration("max-tokens", .integer(1...(1 << 20)), default: "128", "tokens after which an answer ends"),
      ParameterDeclaration(
        "temperature", .numberOrAuto(0...100), default: "auto", "0 is greedy; auto is what the weights' authors set"),
    ] + ChoiceRules.parameters + [
      ParameterDeclaration(
        "keep", .integer(0...256), default: "0", "likeliest tokens whose probabilities are kept, for \"distribution\""),
      ParameterDeclaration("in-flight", .integerOrAuto(1...64), default: "auto", "records answered at once"),
    ]

  private struct Pending {
    var record: Record
    var session: Session?
    let started: ContinuousClock.Instant
    var seconds = 0.0
  }

  private let name: String
  private let upstream: any Stage
  private let context: RunContext
  private let resource: ModelResource
  private let decoder: BatchDecoder
  private let drafts: Bool
  private let requests: TargetRequests
  private let temperature: Double
  private let seed: Int
  /// nil to choose by what rounds cost.
  private let inFlight: Int?
  private var pending: [Pending] = []
  private var isAtEnd = false
  private var hasSaidMemory = false
  /// γ of the records, nil where it is chosen.
  private var fixedGamma: Int? = 0
  private var counted = DecodingSeconds()
  private var countedPrompts = 0
  private let sharing = SharedWork()

  init(_ inputs: StageInputs, _ context: RunContext, acceptance: Acceptance, drafts: Bool) {
    name = drafts ? "verify" : "generate"
    upstream = inputs.upstream
    self.context = context
    self.drafts = drafts
    resource = inputs.arguments.resource("model")
    requests = TargetRequests(
      stage: name, resource: resource, maximumTokens: inputs.arguments.integer("max-tokens"))
    if !context.isRepeating, let unheeded = resource.target.defaults.unheeded {
      complain("\(name): \(unheeded.file): not heeded: \(unheeded.keys.joined(separator: ", "))")
    }
    inFlight = inputs.arguments.optionalInteger("in-flight")
    temperature = inputs.arguments.optionalNumber("temperature") ?? resource.target.defaults.temperature
    seed = inputs.arguments.integer("seed")
    var rules = ChoiceRules(inputs.arguments, resource.target, temperature: temperature, acceptance)
    rules.kept = inputs.arguments.integer("keep")
    decoder = BatchDecoder(target: resource.target.language, rules: rules, engine: resource.engine)
  }

  var isReady: Bool { !pending.isEmpty || upstream.isReady }

  func next() throws(RunFailure) -> Record? {
    while true {
      if let first = pending.first, first.session?.isFinished ?? true {
        pending.removeFirst()
        return finished(first)
      }
      try fill()
      let live = pending.compactMap(\.session).filter { !$0.isFinished }
      if pending.isEmpty { return nil }
      if live.isEmpty { continue }
      decoder.advance(live)
      for index in pending.indices where pending[index].session?.isFinished == true && pending[index].seconds == 0 {
        pending[index].seconds = (ContinuousClock.now - pending[index].started) / .seconds(1)
      }
      countWork()
    }
  }

  /// Takes in records while there is room. Work in hand does not wait for input that is not there yet.
  private func fill() throws(RunFailure) {
    let wanted = inFlight ?? decoder.scheduler.nextInFlight(most: Scheduler.maximumInFlight, fixedGamma: fixedGamma)
    let before = pending.count { $0.session?.isFinished == false }
    var admitted = 0
    while !isAtEnd, pending.count < 4 * wanted {
      let live = pending.compactMap(\.session).filter { !$0.isFinished }
      // Where the number is chosen, it grows while answers are written: the first lines do not wait for many prompts.
      if inFlight == nil, admitted >= Scheduler.admissions(beside: before) { return }
      if live.count >= wanted || (!live.isEmpty && !upstream.isReady) || !hasMemory(live) { return }
      guard let record = try upstream.next() else {
        isAtEnd = true
        return
      }
      pending.append(opened(record))
      admitted += 1
      if live.isEmpty, pending.last?.session == nil { return }
    }
  }

  /// Bytes that caches of records in flight may take where nobody says.
  private static let standardMemory = 2 << 30

  /// Whether another record's caches fit beside those of the records in flight, taken as large as the largest of them.
  private func hasMemory(_ live: [Session]) -> Bool {
    guard !live.isEmpty, inFlight == nil || context.options.memory != nil else { return true }
    let sizes = live.map { cacheBytes($0.request) }
    // Prompts that are kept for answers to come, each once; the next record may bring another.
    let prefixes = pending.compactMap(\.session?.request.prefix).reduce(into: [:]) {
      $0[ObjectIdentifier($1)] = $1.byteCount
    }.values
    let kept = prefixes.reduce(decoder.keptBytes, +) + (prefixes.max() ?? 0)
    return sizes.reduce(0, +) + (sizes.max() ?? 0) + kept <= context.options.memory ?? Self.standardMemory
  }

  /// Bytes of a record's caches, the target's and its drafter's.
  private func cacheBytes(_ request: DecodeRequest) -> Int {
    let drafts = request.drafting.map { $0.proposer.memoryBytes($0.prompt, capacity: request.maximumTokens) } ?? 0
    let language = resource.target.language.configuration
    return language.cacheBytes(tokens: request.prompt.count + request.maximumTokens) + drafts
  }

  /// Says once that a record is answered though it alone takes more memory than there may be.
  private func checkMemory(_ request: DecodeRequest) {
    guard let most = context.options.memory, !hasSaidMemory, !context.isRepeating, cacheBytes(request) > most else {
      return
    }
    hasSaidMemory = true
    complain(
      "\(name): record \(request.key): expected caches of at most \(most) bytes (--memory), found \(cacheBytes(request)) for "
        + "\(request.prompt.count) prompt tokens and an answer of \(request.maximumTokens): such records are answered all the same"
    )
  }

  private func opened(_ record: Record) -> Pending {
    var pending = Pending(record: record, started: .now)
    guard record.failure == nil, let prompt = record[Field.prompt] else { return pending }
    let request: DecodeRequest
    do throws(StageFailure) {
      request = try requests.request(record, prompt, drafting: drafts ? record[Field.drafting] : nil) {
        prefix(record)
      }
    } catch {
      pending.record.failure = error
      return pending
    }
    fixedGamma = request.drafting == nil ? 0 : request.drafting?.gamma
    checkMemory(request)
    pending.session = decoder.open(request)
    // What the prompt was made of is not needed any more.
    pending.record[Field.features] = nil
    pending.record[Field.drafting] = nil
    countWork()
    return pending
  }

  /// What the record shares with those that ask the same of the same picture; nil where there are none.
  private func prefix(_ record: Record) -> SharedPrefix? {
    guard let siblings = record[Field.sampling]?.question, siblings.members > 1 else { return nil }
    return try? siblings.once(sharing) { SharedPrefix(answers: siblings.members) }
  }

  private func finished(_ pending: Pending) -> Record {
    guard let answer = pending.session?.answer else { return pending.record }
    var record = pending.record
    if pending.session?.isBroken == true {
      record.failure = requests.brokenLogits
      return record
    }
    record[Field.answer] = FinishedAnswer(
      text: requests.text(of: answer), answer: answer,
      isWhole: answer.tokens.last.map(decoder.rules.stops.contains) ?? false,
      sample: record[Field.sampling]?.sample ?? 0, temperature: record[Field.sampling]?.temperature ?? temperature,
      seed: seed, seconds: pending.seconds)
    let meter = context.meter
    meter.count("tokens", answer.tokens.count)
    meter.count("rounds", answer.rounds)
    meter.count("drafted", answer.drafted)
    meter.count("accepted", answer.accepted)
    if let summary = decoder.scheduler.summary(fixedGamma: fixedGamma) { meter.note("schedule", summary) }
    return record
  }

  /// Adds what the decoder has counted since the last time.
  private func countWork() {
    let now = decoder.seconds
    context.meter.add(seconds: .seconds(now.prefill - counted.prefill), to: "prefill")
    context.meter.add(seconds: .seconds(now.draft - counted.draft), to: "draft")
    context.meter.add(seconds: .seconds(now.verify - counted.verify), to: "verify")
    counted = now
    context.meter.count("prompts", decoder.promptsRead - countedPrompts)
    countedPrompts = decoder.promptsRead
  }
}
