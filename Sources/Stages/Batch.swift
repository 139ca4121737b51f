import Messages
import Pipeline
import Training

/// `batch`: examples that one step learns from together. They lie side by side without padding, whatever their lengths,
/// so there is nothing to sort them for.
enum Batch {
  static let definition = StageDefinition(
    StageDeclaration(
      "batch", .link, "examples that are learnt together; records that failed are left out, and said",
      reads: [Field.example.name], writes: [Field.batch.name],
      parameters: [
        ParameterDeclaration("size", .integer(1...65536), default: "16", "examples in a batch"),
        ParameterDeclaration(
          "tokens", .integer(1...(1 << 30)), default: "32768", "a batch that would have more of them ends before"),
      ])
  ) { inputs, context throws(RunFailure) in
    BatchStage(inputs, context)
  }
}

/// What a batch holds and how far the stream was when it was full.
struct ExampleBatch: Sendable {
  let examples: [TrainingExample]
  /// Records of the stream up to the last that went into it, failed ones included.
  let records: Int
  let lastKey: String
}

private final class BatchStage: Stage {
  private let upstream: any Stage
  private let context: RunContext
  private let passOver: PassOver
  private let size: Int
  private let tokens: Int
  /// Records seen, those passed over included; nil until the first is pulled.
  private var records: Int?
  private var lastKey = ""
  /// An example that found no room in the batch before, and where the stream was with it.
  private var waiting: TrainingExample?
  private var batches = 0
  /// The epoch that the run begins or goes on in.
  private var firstEpoch: Int?
  private var hasExamples = false

  init(_ inputs: StageInputs, _ context: RunContext) {
    upstream = inputs.upstream
    self.context = context
    passOver = context.passOver(reordering: false)
    size = inputs.arguments.integer("size")
    tokens = inputs.arguments.integer("tokens")
  }

  var isReady: Bool { upstream.isReady }

  func next() throws(RunFailure) -> Record? {
    var examples: [TrainingExample] = []
    var rows = 0
    var (seen, key) = (records ?? passOver.count, lastKey)
    while examples.count < size {
      var found = waiting
      if found == nil { found = try nextExample() }
      guard let example = found else {
        // A batch that a signal cut short would be another one when the run is resumed.
        if context.isEnding { return nil }
        break
      }
      if !examples.isEmpty, rows + example.rows > tokens {
        waiting = example
        break
      }
      waiting = nil
      examples.append(example)
      rows += example.rows
      (seen, key) = (records ?? 0, lastKey)
    }
    guard let first = examples.first else { return nil }
    var record = Record(key: first.key, shard: "", index: batches)
    batches += 1
    record[Field.batch] = ExampleBatch(examples: examples, records: seen, lastKey: key)
    return record
  }

  /// The next record that is an example.
  private func nextExample() throws(RunFailure) -> TrainingExample? {
    while let record = try upstream.next() {
      records = (records ?? passOver.count) + 1
      lastKey = record.key
      let first = firstEpoch ?? record.epoch
      firstEpoch = first
      if let failure = record.failure {
        context.meter.count("records")
        context.meter.count("failed")
        // Later epochs leave out the same.
        if record.epoch == first { complain("left out \(record.key): \(failure)") }
        // What a resumed run passes over held examples.
        if !hasExamples, passOver.count == 0, record.epoch > first {
          throw RunFailure(.unreadable, "batch: no record of the input is an example to learn from")
        }
      } else if let example = record[Field.example] {
        hasExamples = true
        return example
      }
    }
    return nil
  }
}
