import Foundation
import JSON
import Messages
import Models
import Pipeline
import Samples
import Tensors
import Training

/// `train`: one step a batch. Each step is a JSON line; the drafter is saved now and then and at the end.
enum Train {
  static let definition = StageDefinition(
    StageDeclaration(
      "train", .link, "training steps: a JSON line each on standard output, the drafter in a folder",
      reads: [Field.batch.name],
      parameters: [
        ParameterDeclaration("model", .reference("student"), "who learns"),
        ParameterDeclaration("save", .path(optional: false), "the folder that the drafter is saved to"),
        ParameterDeclaration(
          "update", .words(Student.Part.allCases.map(\.rawValue), prefixes: []), default: "projector",
          "what is trained"),
        ParameterDeclaration("steps", .integer(1...(1 << 40)), default: "2000", "steps after which training ends"),
        ParameterDeclaration("lr", .number(0...1000), default: "0.001", "the learning rate at its peak"),
        ParameterDeclaration(
          "schedule", .choice(Schedule.Shape.allCases.map(\.rawValue)), default: "cosine",
          "how the rate falls behind its peak"),
        ParameterDeclaration("warmup", .number(0...1), default: "0.03", "the share of the steps in which it rises"),
        ParameterDeclaration(
          "final-lr", .number(0...1), default: "0.05", "the share of the peak that is left at the end"),
        ParameterDeclaration("weight-decay", .number(0...10), default: "0", "on matrices, not on norms and biases"),
        ParameterDeclaration("beta1", .number(0...0.9999), default: "0.9", "AdamW's memory of gradients"),
        ParameterDeclaration("beta2", .number(0...0.99999), default: "0.95", "AdamW's memory of their squares"),
        ParameterDeclaration(
          "clip", .number(0.000001...1_000_000), default: "1", "the largest gradient norm of a step"),
        ParameterDeclaration("accumulate", .integer(1...4096), default: "1", "batches in one step"),
        ParameterDeclaration(
          "objective", .choice(Objective.allCases.map(\.rawValue)), default: "next-token", "what is made small"),
        ParameterDeclaration(
          "answers", .number(0...1000), default: "1", "the weight of the answers' loss; with 0 the tower alone learns"),
        ParameterDeclaration(
          "cells", .number(0...1000), default: "0", "the weight of a tower's own lessons: what each visual token shows"),
        ParameterDeclaration("cell-kinds", .integer(2...65536), default: "128", "different things that one can show"),
        ParameterDeclaration(
          "recompute", .flag, default: "false", "layers are computed twice, which takes less memory and more time"),
        ParameterDeclaration(
          "storage", .choice(WeightStorage.allCases.map(\.rawValue)), default: "f32",
          "how saved weights are stored, q8 for layers' in 8 bits; a run goes on from f32"),
        ParameterDeclaration("checkpoint", .integer(1...(1 << 40)), default: "500", "steps between two saved states"),
        ParameterDeclaration(
          "log", .path(optional: true), default: "none", "a file for the steps' lines, none for standard output"),
      ], keepsFile: true)
  ) { inputs, context throws(RunFailure) in
    try TrainStage(inputs, context)
  }
}

private final class TrainStage: Stage {
  private let upstream: any Stage
  private let context: RunContext
  private let trainer: Trainer
  private let folder: DrafterFolder
  private let storage: WeightStorage
  private let steps: Int
  private let accumulate: Int
  private let interval: Int
  private let needsTeachers: Bool
  private let log: StepLog
  private var state = TrainingState()
  /// Whether an example of the run had what the objective learns from.
  private var hasTeachers = false
  /// Records that were said to lack it.
  private var untaught: Set<String> = []
  /// The step of the last saved state.
  private var savedStep: Int?
  private var isFinished = false

  init(_ inputs: StageInputs, _ context: RunContext) throws(RunFailure) {
    let arguments = inputs.arguments
    let resource: StudentResource = arguments.resource("model")
    upstream = inputs.upstream
    self.context = context
    steps = arguments.integer("steps")
    accumulate = arguments.integer("accumulate")
    needsTeachers = arguments.text("objective") == Objective.kl.rawValue
    interval = arguments.integer("checkpoint")
    storage = WeightStorage(rawValue: arguments.text("storage")) ?? .f32
    folder = DrafterFolder(path: arguments.text("save"), source: resource.folder, target: resource.target.target)
    trainer = try Self.trainer(resource, arguments)
    let (folder, trainer, storage) = (folder, trainer, storage)
    try loading { try folder.check(trainer.student, storage) }
    if let found = try loading({ try Self.resume(folder, trainer, context) }) {
      if let objective = found.objective, objective != trainer.losses.objective {
        throw RunFailure(
          .usage, "train: \(folder.path): a run with objective=\(objective.rawValue) goes on with that alone")
      }
      if let other = try loading({ try folder.otherTarget() }) {
        complain("train: \(folder.path): was trained for a target called \(other) so far")
      }
      state = found
      savedStep = found.step
      context.add(ResumePoint(output: folder.path, records: found.records, lastKey: found.lastKey))
    }
    state.objective = trainer.losses.objective
    if let log = arguments.optionalText("log"), Self.isWithin(log, folder.path) {
      throw RunFailure(.usage, "train: log=\(log): expected a file outside of the folder that is saved, \(folder.path)")
    }
    log = try StepLog(path: arguments.optionalText("log"), step: state.step, interval: interval, context)
  }

  /// A saved folder takes the place of the one before, with all that is in it.
  private static func isWithin(_ path: String, _ folder: String) -> Bool {
    let (file, folder) = (URL(fileURLWithPath: path).standardized.path, URL(fileURLWithPath: folder).standardized.path)
    return file.hasPrefix(folder + "/")
  }

  private static func trainer(_ resource: StudentResource, _ arguments: Arguments) throws(RunFailure) -> Trainer {
    let parts = Set(arguments.words("update").compactMap { Student.Part(rawValue: $0.text) })
    let student = resource.student
    if parts.contains(.projector), student.projector == nil, student.tower == nil {
      throw RunFailure(.usage, "train: update=projector: the student has no projector")
    }
    if parts.contains(.vision), student.tower == nil {
      throw RunFailure(.usage, "train: update=vision: a drafter's encoder is its target's and stays as it is")
    }
    student.train(parts)
    guard !student.trained.isEmpty else { throw RunFailure(.usage, "train: update: nothing to train") }
    var losses = LossSettings()
    losses.objective = Objective(rawValue: arguments.text("objective")) ?? .nextToken
    losses.answers = arguments.number("answers")
    losses.cells = arguments.number("cells")
    losses.cellKinds = arguments.integer("cell-kinds")
    var optimizer = AdamW.Settings()
    optimizer.beta1 = arguments.number("beta1")
    optimizer.beta2 = arguments.number("beta2")
    optimizer.weightDecay = arguments.number("weight-decay")
    optimizer.clip = arguments.number("clip")
    let steps = arguments.integer("steps")
    let schedule = Schedule(
      peak: arguments.number("lr"), shape: Schedule.Shape(rawValue: arguments.text("schedule")) ?? .cosine,
      warmup: Int((arguments.number("warmup") * Double(steps)).rounded()), steps: steps,
      least: arguments.number("final-lr"))
    return Trainer(
      student, losses: losses, optimizer: optimizer, schedule: schedule, recomputes: arguments.flag("recompute"),
      resource.target.engine)
  }

  /// The state to go on from; nil to begin.
  private static func resume(
    _ folder: DrafterFolder, _ trainer: Trainer, _ context: RunContext
  ) throws -> TrainingState? {
    guard let state = try folder.state() else { return nil }
    guard context.options.resume else {
      throw ModelError(
        "\(folder.path): holds a training run of \(state.step) steps: --resume goes on with it; to begin anew, choose "
          + "another name or remove the folder")
    }
    try folder.restore(trainer.optimizer, state)
    return state
  }

  var isReady: Bool { upstream.isReady }

  /// Takes a step. What the run counts are the records that were learnt from, and those that were left out.
  func next() throws(RunFailure) -> Record? {
    if isFinished { return nil }
    guard state.step < steps, !context.isEnding, let batches = try nextBatches() else {
      isFinished = true
      try finish()
      return nil
    }
    let started = ContinuousClock.now
    let report = try step(batches)
    let taken = ContinuousClock.now - started
    context.meter.add(seconds: taken, to: "train")
    context.meter.count("tokens", report.tokens)
    context.meter.count("records", batches.reduce(0) { $0 + $1.examples.count })
    state.step = report.step
    state.records = batches.last?.records ?? state.records
    state.lastKey = batches.last?.lastKey
    do throws(RunFailure) { try log.write(report, seconds: taken / .seconds(1), of: steps) } catch {
      // Nobody reads the log any more, or it has no room: what was learnt is kept.
      try save()
      throw error
    }
    if report.step % interval == 0 { try save() }
    var record = Record(key: "step \(report.step)", shard: "", index: report.step - 1)
    record.isOfInput = false
    return record
  }

  private func nextBatches() throws(RunFailure) -> [ExampleBatch]? {
    var batches: [ExampleBatch] = []
    while batches.count < accumulate, let record = try upstream.next() {
      guard let batch = record[Field.batch] else { continue }
      let taught = try taught(batch)
      if !taught.examples.isEmpty { batches.append(taught) }
    }
    // A step that the end of the stream or a signal cut short would be another one when the run is resumed.
    if context.isEnding, batches.count < accumulate { return nil }
    return batches.isEmpty ? nil : batches
  }

  /// A batch without the examples that this objective learns nothing from.
  private func taught(_ batch: ExampleBatch) throws(RunFailure) -> ExampleBatch {
    guard needsTeachers else { return batch }
    let missing = batch.examples.filter { $0.teacher == nil }
    let cause = "has no distribution.json: keep=16 in distill.pipe, and distribution among its fields, make it"
    hasTeachers = hasTeachers || state.step > 0 || missing.count < batch.examples.count
    // Where the first of a run lack it, it was forgotten.
    if !hasTeachers, let first = missing.first {
      throw RunFailure(.unreadable, "train: objective=kl: record \(first.key) \(cause)")
    }
    for example in missing {
      context.meter.count("records")
      context.meter.count("failed")
      if untaught.insert(example.key).inserted { complain("left out \(example.key): train: objective=kl: it \(cause)") }
    }
    return ExampleBatch(
      examples: batch.examples.filter { $0.teacher != nil }, records: batch.records, lastKey: batch.lastKey)
  }

  private func step(_ batches: [ExampleBatch]) throws(RunFailure) -> StepReport {
    do throws(DivergedStep) { return try trainer.step(batches.map(\.examples)) } catch {
      try save()
      throw RunFailure(
        .stopped,
        "train: step \(error.step): the loss is \(error.loss), its gradient no number; the state of step "
          + "\(state.step) is in \(folder.path); records of the step: \(error.keys.joined(separator: ", "))")
    }
  }

  private func save() throws(RunFailure) {
    if savedStep == state.step { return }
    try loading { try folder.save(trainer.student, trainer.optimizer, state, storage: storage) }
    savedStep = state.step
  }

  private func finish() throws(RunFailure) {
    guard state.step > 0 else {
      if context.isEnding { return }
      throw RunFailure(.unreadable, "train: the input has no example to learn from: nothing was saved")
    }
    try save()
    if state.step < steps, !context.isEnding {
      complain("train: the input ended after \(state.step) of \(steps) steps")
    }
  }
}
