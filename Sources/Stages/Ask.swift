import Pipeline

/// `ask`: one record into one for each question and sample. What they share is made once: their picture is decoded and
/// encoded once, and each question's prompt is read once.
enum Ask {
  static let definition = StageDefinition(
    StageDeclaration(
      "ask", .link, "a record for each question and sample; they share their picture and what is made of it",
      reads: [Field.members.name], writes: [Field.question.name, Field.sampling.name],
      parameters: [
        ParameterDeclaration("prompts", .texts, default: "none", "what to ask; none is what prompt says"),
        ParameterDeclaration(
          "field", .optionalText, default: "none",
          "ask what the record says instead: txt, json.NAME (a string or a list), json.conversations (human turns)"),
        ParameterDeclaration("samples", .integer(1...(1 << 20)), default: "1", "answers to each question"),
        ParameterDeclaration(
          "temperatures", .numbers(0...100), default: "none", "of the samples in turn; none is what verify says"),
      ])
  ) { inputs, context throws(RunFailure) in
    AskStage(inputs, context.passOver(reordering: true))
  }
}

/// How a record is to be answered beside its siblings, and what it shares with them.
struct Sampling: Sendable {
  /// The key that the record had before it was multiplied.
  let originalKey: String
  /// Which of the answers to its question this is, from 0.
  let sample: Int
  /// nil for what `verify` says.
  let temperature: Double?
  /// The records of the same picture.
  let picture: RecordGroup
  /// Those of them that ask the same.
  let question: RecordGroup
}

extension Record {
  /// The key that the record came in with.
  var originalKey: String { self[Field.sampling]?.originalKey ?? key }
}

private final class AskStage: Stage {
  private let upstream: any Stage
  private let passOver: PassOver
  private let prompts: [String]
  private let field: QuestionField?
  private let samples: Int
  private let temperatures: [Double]
  /// The record whose siblings are going out.
  private var open: Siblings?
  /// The next record's place in the output.
  private var index = 0

  private struct Siblings {
    let record: Record
    /// nil for what `prompt` says.
    let questions: [String?]
    let count: Int
    let picture: RecordGroup
    var question: RecordGroup
    var next = 0
  }

  init(_ inputs: StageInputs, _ passOver: PassOver) {
    upstream = inputs.upstream
    self.passOver = passOver
    prompts = inputs.arguments.texts("prompts")
    field = inputs.arguments.optionalText("field").map { QuestionField($0, stage: "ask") }
    samples = inputs.arguments.integer("samples")
    temperatures = inputs.arguments.numbers("temperatures")
  }

  var isReady: Bool { open != nil || upstream.isReady }

  func next() throws(RunFailure) -> Record? {
    while true {
      while let record = sibling() {
        try passOver.check(key: record.key, index: index)
        index += 1
        if index > passOver.count { return record }
      }
      guard let record = try upstream.next() else {
        try passOver.checkEnd(after: index)
        return nil
      }
      open = siblings(of: record)
    }
  }

  private func siblings(of record: Record) -> Siblings {
    var record = record
    var questions: [String?] = []
    if record.failure == nil {
      do throws(StageFailure) {
        questions = try field?.all(of: record) ?? (prompts.isEmpty ? [nil] : prompts)
      } catch {
        record.failure = error
      }
    }
    // What has failed goes on as the one record that it is.
    let count = record.failure == nil ? questions.count * samples : 1
    return Siblings(
      record: record, questions: questions, count: count, picture: RecordGroup(members: count),
      question: RecordGroup(members: samples))
  }

  /// The next record that goes out, nil where all siblings have.
  private func sibling() -> Record? {
    guard var siblings = open else { return nil }
    var record = siblings.record
    record.index = index
    if siblings.count > 1 { record.key += "_\(siblings.next)" }
    if record.failure == nil {
      let sample = siblings.next % samples
      if sample == 0, siblings.next > 0 { siblings.question = RecordGroup(members: samples) }
      if let question = siblings.questions[siblings.next / samples] { record[Field.question] = question }
      record[Field.sampling] = Sampling(
        originalKey: siblings.record.originalKey, sample: sample,
        temperature: temperatures.isEmpty ? nil : temperatures[sample % temperatures.count],
        picture: siblings.picture, question: siblings.question)
    }
    siblings.next += 1
    open = siblings.next < siblings.count ? siblings : nil
    return record
  }
}
