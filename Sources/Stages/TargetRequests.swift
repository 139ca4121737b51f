import Models
import Pipeline
import Speculation
import Tensors

extension ChoiceRules {
  /// How a target's tokens are chosen, beside the temperature.
  static let parameters = [
    ParameterDeclaration("top-p", .numberOrAuto(0...1), default: "auto", "probability mass that stays"),
    ParameterDeclaration("top-k", .integerOrAuto(0...(1 << 20)), default: "auto", "tokens that stay, 0 for all"),
    ParameterDeclaration(
      "repetition-penalty", .numberOrAuto(0.01...100), default: "auto", "1 for none; acts on prompt and answer"),
    ParameterDeclaration(
      "seed", .integer(Int.min...Int.max), default: "0", "fixes the draws above temperature 0, with key and position"),
  ]

  /// The rules that these arguments set; what they leave open is what the weights' authors say.
  init(_ arguments: Arguments, _ target: TargetModel, temperature: Double, _ acceptance: Acceptance) {
    let defaults = target.defaults
    var sampling = SamplingSettings(vocabulary: target.tokenizer.count)
    sampling.temperature = Float(temperature)
    sampling.topP = Float(arguments.optionalNumber("top-p") ?? defaults.topP)
    sampling.topK = arguments.optionalInteger("top-k") ?? defaults.topK
    sampling.repetitionPenalty = Float(arguments.optionalNumber("repetition-penalty") ?? defaults.repetitionPenalty)
    self.init(
      sampling: sampling, acceptance: acceptance, seed: UInt64(bitPattern: Int64(arguments.integer("seed"))),
      stops: defaults.endOfSequence)
  }
}

/// Records as what a target is to answer, for every stage that has it answer.
struct TargetRequests {
  /// The stage, for messages.
  let stage: String
  let resource: ModelResource
  let maximumTokens: Int

  /// A record's prompt with its picture in it, and the draws that are its own.
  ///
  /// - Parameter prefix: what it shares with others that ask the same; asked for once the record is known to be sound.
  func request(
    _ record: Record, _ prompt: Prompt, drafting: Drafting? = nil, prefix: () -> SharedPrefix?
  ) throws(StageFailure) -> DecodeRequest {
    let room = try room(record, prompt)
    let language = resource.target.language
    let visual = record[Field.features]
    let prefix = prefix()
    // A prompt that a sibling has read is not read again.
    let isRead = prefix?.holds(prompt.tokens) == true
    let vision = resource.target.vision
    let places =
      vision?.positions(prompt.tokens, grid: visual?.grid)
      ?? (prompt.tokens.indices.map { Position($0) }, prompt.tokens.count)
    let embeddings =
      if isRead {
        Tensor(rows: 0, columns: 0)
      } else if let vision, let visual {
        language.embed(
          prompt.tokens, visual: vision.project(visual.features, resource.engine), placeholder: vision.imageToken)
      } else {
        language.embed(prompt.tokens)
      }
    return DecodeRequest(
      key: record.key, prompt: prompt.tokens, embeddings: embeddings, positions: places.positions,
      bidirectional: vision?.isBidirectional == true ? prompt.visual : nil, nextPosition: places.next,
      drafting: drafting, maximumTokens: min(maximumTokens, room),
      sampling: AnswerSampling(
        sample: record[Field.sampling]?.sample ?? 0, temperature: record[Field.sampling]?.temperature.map { Float($0) },
        noiseKey: record[Field.sampling]?.originalKey),
      prefix: prefix)
  }

  /// Tokens that an answer may have; what the target cannot read at all is the record's failure.
  private func room(_ record: Record, _ prompt: Prompt) throws(StageFailure) -> Int {
    let limit = resource.target.language.configuration.maximumPositions
    guard !prompt.tokens.isEmpty, prompt.tokens.count < limit else {
      let expected =
        prompt.tokens.isEmpty
        ? "expected a prompt, found an empty one"
        : "the prompt has \(prompt.tokens.count) tokens, the model reads \(limit) at most"
      throw StageFailure(stage: stage, message: expected)
    }
    guard prompt.visual == nil || record[Field.features]?.features.columns == resource.target.vision?.featureWidth
    else {
      throw StageFailure(
        stage: stage, message: "expected features of the target's own encoder, which one earlier stage takes once")
    }
    return limit - prompt.tokens.count
  }

  /// What is wrong with a record whose answer the target could not choose.
  var brokenLogits: StageFailure {
    StageFailure(stage: stage, message: "the model's logits are no numbers: \(resource.target.folder)")
  }

  /// An answer as text, without the token that ended it.
  func text(of answer: Answer) -> String {
    var shown = answer.tokens[...]
    if let last = shown.last, resource.target.defaults.endOfSequence.contains(last) { shown = shown.dropLast() }
    return resource.target.tokenizer.decode(shown)
  }
}
