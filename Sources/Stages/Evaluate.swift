import Evaluation
import Foundation
import JSON
import Messages
import Models
import PipeLanguage
import Pipeline
import Samples
import Speculation

/// `evaluate`: drafters judged side by side. Every method answers every record at every temperature, and at the end of
/// the stream each has a JSON line for each task.
enum Evaluate {
  static let definition = StageDefinition(
    StageDeclaration(
      "evaluate", .link, "drafters judged side by side: a JSON line for each method, temperature and task",
      reads: [Field.prompt.name, Field.members.name], uses: [Field.features.name, Field.sampling.name],
      parameters: [
        ParameterDeclaration("model", .reference("model"), "the target"),
        ParameterDeclaration("text", .reference("drafter"), optional: true, "drafts from text alone, as \"text-only\""),
        ParameterDeclaration("fixed", .reference("drafter"), optional: true, "was trained on labels, \"fixed\""),
        ParameterDeclaration("draft", .reference("drafter"), optional: true, "the MASSV drafter, \"massv\""),
        ParameterDeclaration(
          "tuned", .reference("drafter"), optional: true,
          "drafts from text alone, tuned on the target's answers, \"text-only-tuned\""),
        ParameterDeclaration(
          "phase1", .reference("drafter"), optional: true, "the MASSV drafter before phase 2, \"phase1\""),
        ParameterDeclaration("ngram", .flag, default: "true", "judge looking up what followed before, \"ngram\""),
        ParameterDeclaration(
          "wrong-picture", .flag, default: "false",
          "also show the MASSV drafter the picture before, \"massv-wrong-picture\""),
        ParameterDeclaration("gamma", .integer(1...64), default: "5", "draft tokens a round"),
        ParameterDeclaration("gammas", .numbers(1...64), default: "none", "further ones for the MASSV drafter"),
        ParameterDeclaration("auto", .flag, default: "true", "judge each drafter with γ chosen as the run goes, too"),
        ParameterDeclaration("temperatures", .numbers(0...100), default: "[0, 1]", "each record is answered at all"),
        ParameterDeclaration(
          "max-tokens", .integer(1...(1 << 20)), default: "128", "tokens after which an answer ends"),
      ] + ChoiceRules.parameters + [
        ParameterDeclaration(
          "tvd", .flag, default: "true",
          "measure how far drafters' distributions are from the target's; at temperature 0, those of temperature 1"),
        ParameterDeclaration(
          "task", .text, default: "captions", "of records that name none as \"task\" in their .json"),
        ParameterDeclaration(
          "log", .path(optional: true), default: "none", "a file for the lines, none for standard output"),
        ParameterDeclaration(
          "details", .path(optional: true), default: "none", "a file for a line of each record, method and temperature"),
        ParameterDeclaration(
          "report", .path(optional: true), default: "none", "a file for an HTML page with all results and figures"),
      ], keepsFile: true, faults: { faults($0) })
  ) { inputs, context throws(RunFailure) in
    try EvaluateStage(inputs, context)
  }

  private static func faults(_ call: BoundCall) -> [Diagnostic] {
    var messages: [String] = []
    if call.arguments.numbers("gammas").contains(where: { Int(exactly: $0) == nil }) {
      messages.append("\"gammas\": expected whole numbers")
    }
    if call.arguments.numbers("temperatures").isEmpty { messages.append("\"temperatures\": expected one or more") }
    // Two outputs in one file would overwrite each other.
    var owners: [String: String] = [:]
    for name in ["log", "details", "report"] {
      guard let path = call.arguments.optionalText(name) else { continue }
      if let other = owners[path] { messages.append("\(other) and \(name) are one file, \(path)") }
      owners[path] = name
    }
    return messages.map { Diagnostic($0, at: call.call.name.origin) }
  }
}

private final class EvaluateStage: Stage {
  private let upstream: any Stage
  private let context: RunContext
  private let judge: Judge
  private let task: String
  private let log: RecordFile
  private let details: EvaluationDetails?
  private let report: EvaluationReport?
  private var scoreboard: Scoreboard
  /// What the record in hand has brought.
  private var judged: (verdicts: [Judge.Verdict], task: String) = ([], "")
  private var isFinished = false
  /// Records that were left out.
  private var failed = 0
  private var isEmpty = true

  init(_ inputs: StageInputs, _ context: RunContext) throws(RunFailure) {
    let arguments = inputs.arguments
    if context.options.resume {
      throw RunFailure(.usage, "evaluate: cannot be resumed: its lines sum up all records of one run")
    }
    upstream = inputs.upstream
    self.context = context
    task = arguments.text("task")
    judge = try Judge(arguments)
    scoreboard = Scoreboard(
      judge.settings, Bootstrap(seed: UInt64(bitPattern: Int64(arguments.integer("seed")))))
    let path = arguments.optionalText("log")
    let judge = judge
    try context.files.write(path, by: "evaluate: its log")
    for name in ["details", "report"] {
      if let path = arguments.optionalText(name) { try context.files.write(path, by: "evaluate: its \(name)") }
    }
    do throws(OutputFailure) {
      log =
        if let path {
          try RecordFile(path: path)
        } else {
          try RecordFile(descriptor: STDOUT_FILENO, name: "standard output", resuming: nil)
        }
      details = try arguments.optionalText("details").map { path throws(OutputFailure) in
        EvaluationDetails(try RecordFile(path: path), judge.requests)
      }
      report = try arguments.optionalText("report").map { path throws(OutputFailure) in
        EvaluationReport(try RecordFile(path: path), judge, arguments, threads: context.options.threads)
      }
    } catch { throw Self.failure(error) }
  }

  private static func failure(_ failure: OutputFailure) -> RunFailure {
    RunFailure(failure.isClosedPipe ? .closedPipe : .unreadable, "evaluate: \(failure)")
  }

  var isReady: Bool { upstream.isReady }

  func next() throws(RunFailure) -> Record? {
    if isFinished { return nil }
    var seconds = PhaseSeconds()
    let found: Record?
    do throws(RunFailure) { found = try pull(&seconds) } catch {
      // What ends the run does not cost what has been gathered.
      try finish()
      throw error
    }
    guard var record = found else {
      try finish()
      return nil
    }
    if record.failure == nil {
      do throws(StageFailure) {
        let task = try task(of: record)
        judged = (try judge.verdicts(on: record, seconds, context.meter), task)
      } catch { record.failure = error }
    }
    if let failure = record.failure {
      complain("left out \(record.key): \(failure)")
      record.isFailureSaid = true
      failed += 1
    } else {
      try take(record)
    }
    return record
  }

  /// The next record and the seconds of reading its picture.
  private func pull(_ seconds: inout PhaseSeconds) throws(RunFailure) -> Record? {
    let before = context.meter.reading.seconds["encode"] ?? 0
    let record = try upstream.next()
    seconds.encode = (context.meter.reading.seconds["encode"] ?? 0) - before
    // Pictures are decoded ahead of whoever asks: the record knows how long its own took, the meter does not.
    seconds.decode = record?[Field.imageFacts]?.seconds ?? 0
    return record
  }

  private func task(of record: Record) throws(StageFailure) -> String {
    guard let bytes = record.bytes(of: "json") else { return task }
    do {
      guard let named = try JSONValue(parsing: bytes)["task"], !named.isNull else { return task }
      if let name = named.string { return name }
      throw StageFailure(
        stage: "evaluate", message: "\(record.originalKey).json: \"task\": expected a string, found \(named.kind)")
    } catch let failure as StageFailure {
      throw failure
    } catch {
      throw StageFailure(stage: "evaluate", message: "\(record.originalKey).json: \(error)")
    }
  }

  private func take(_ record: Record) throws(RunFailure) {
    isEmpty = false
    for verdict in judged.verdicts { scoreboard.add(verdict.outcome, of: verdict.setting, task: judged.task) }
    do throws(OutputFailure) {
      for verdict in judged.verdicts { try details?.write(verdict, record, task: judged.task) }
    } catch { throw Self.failure(error) }
    report?.take(record, judged.verdicts, task: judged.task)
  }

  private func finish() throws(RunFailure) {
    isFinished = true
    if isEmpty { complain("evaluate: no record was judged") }
    let standings = scoreboard.standings
    var failure: OutputFailure?
    // An output that cannot be written does not cost the others.
    func attempt(_ body: () throws(OutputFailure) -> Void) {
      do throws(OutputFailure) { try body() } catch { failure = failure ?? error }
    }
    attempt { () throws(OutputFailure) in
      for standing in standings { try log.append(standing.line) }
      try log.finish()
    }
    attempt { () throws(OutputFailure) in try details?.finish() }
    attempt { () throws(OutputFailure) in try report?.finish(standings, failed: failed) }
    if let failure { throw Self.failure(failure) }
  }
}
