import Foundation
import JSON
import Messages
import Pipeline
import Samples

/// `emit`: one record a line, or a sample of a tar, in the order they came in.
enum Emit {
  static let definition = StageDefinition(
    StageDeclaration(
      "emit", .link, "records as JSON lines, a WebDataset tar or LLaVA conversations",
      parameters: [
        ParameterDeclaration(
          "fields", .words(RecordWriter.fieldNames, prefixes: ["json."]), default: "key,text", "what a line holds"),
        ParameterDeclaration(
          "format", .choice(RecordFormat.allCases.map(\.rawValue)), default: "jsonl", "how it is written"),
        ParameterDeclaration(
          "path", .path(optional: true), default: "none", "a file (.gz and .lz4 compress), none for standard output"),
        ParameterDeclaration(
          "on-error", .choice(["record", "skip", "stop"]), default: "record",
          "what a failed record leaves: a line, nothing (to be resumed, such lines need \"index\"), the end"),
      ],
      keepsFile: true, readsNamed: { fieldsRead($0) })
  ) { inputs, context throws(RunFailure) in
    try EmitStage(inputs, context)
  }

  /// Fields that earlier stages must write for what the arguments ask for.
  private static func fieldsRead(_ arguments: Arguments) -> [ArgumentWord] {
    let format = RecordFormat(rawValue: arguments.text("format")) ?? .jsonl
    let words =
      format == .llava
      ? ["prompt", "text"].map { ArgumentWord(text: $0, origin: .catalog) } : arguments.words("fields")
    let members = format == .tar ? [ArgumentWord(text: Field.members.name, origin: .catalog)] : []
    return members
      + words.compactMap { word in
        if ["key", "shard", "index"].contains(word.text) { return nil }
        return word.text.hasPrefix("json.") ? ArgumentWord(text: Field.members.name, origin: word.origin) : word
      }
  }
}

/// One thread at a time pulls its records; another may end its output.
final class EmitStage: Stage, @unchecked Sendable {
  private let upstream: any Stage
  private let context: RunContext
  private let writer: RecordWriter
  private let onError: String
  private let file: RecordFile
  private let tar: TarWriter?
  /// Input records that the output has from an earlier run.
  private var recordsDone = 0
  private var resumePoint: ResumePoint?
  /// Held while the output is written.
  private let lock = NSLock()
  private var isFinished = false

  init(_ inputs: StageInputs, _ context: RunContext) throws(RunFailure) {
    upstream = inputs.upstream
    self.context = context
    onError = inputs.arguments.text("on-error")
    writer = RecordWriter(inputs.arguments)
    tar = writer.format == .tar ? TarWriter() : nil
    let path = inputs.arguments.optionalText("path")
    if let path, let ending = Compression.brokenPromise(of: path) {
      throw RunFailure(.usage, "emit: path=\(path): files are compressed as .gz or .lz4, found \(ending)")
    }
    let kept = context.options.resume ? try KeptOutput(path, writer, onError: onError) : nil
    if path == nil, tar != nil, isatty(STDOUT_FILENO) == 1 {
      throw RunFailure(.usage, "emit: a tar does not go to a terminal: redirect it (> out.tar), or set path=")
    }
    // Behind the look at what is left: a file that is not there is made.
    try context.files.write(path, by: "emit")
    do throws(OutputFailure) {
      file =
        if let path {
          try RecordFile(path: path, resuming: kept?.remains)
        } else {
          try RecordFile(descriptor: STDOUT_FILENO, name: "standard output", resuming: kept?.remains)
        }
    } catch { throw Self.runFailure(error) }
    context.atEnd { () throws(RunFailure) in try self.finish() }
    guard let kept else { return }
    (resumePoint, recordsDone) = (kept.point, kept.point.records)
    context.add(kept.point)
    context.meter.count("failed-before", kept.failures)
  }

  static func runFailure(_ failure: OutputFailure) -> RunFailure {
    RunFailure(failure.isClosedPipe ? .closedPipe : .unreadable, "emit: \(failure)")
  }

  var isReady: Bool { upstream.isReady }

  /// Ends the output, where that has not been done.
  private func finish() throws(RunFailure) {
    try guarded { () throws(RunFailure) in
      if isFinished { return }
      isFinished = true
      try write { file throws(OutputFailure) in try file.finish(trailer: tar?.end() ?? []) }
    }
  }

  /// A later link may have asked for no more while a thread that reads ahead writes on.
  private func guarded(_ body: () throws(RunFailure) -> Void) throws(RunFailure) {
    lock.lock()
    defer { lock.unlock() }
    try body()
  }

  func next() throws(RunFailure) -> Record? {
    guard var record = try upstream.next() else {
      try finish()
      return nil
    }
    guard record.index >= recordsDone else {
      try resumePoint?.check(key: record.key, index: record.index)
      return record
    }
    if record.failure == nil { record.failure = writer.problem(of: record) }
    if let failure = record.failure, onError == "skip" {
      // Left out of the output, it is said all the same: a shard that is cut off is never silently short.
      if !record.isFailureSaid { complain("skipped \(record.key): \(failure)") }
    } else {
      try append(record)
    }
    record.isFailureSaid = record.failure != nil
    if let failure = record.failure, onError == "stop" {
      context.meter.count("records")
      context.meter.count("failed")
      throw RunFailure(.stopped, "record \(record.key): \(failure)")
    }
    return record
  }

  private func append(_ record: Record) throws(RunFailure) {
    try guarded { () throws(RunFailure) in
      if isFinished { return }
      let bytes: [UInt8]
      do { bytes = try writer.bytes(of: record, tar: tar) } catch {
        throw RunFailure(.unreadable, "emit: record \(record.key): \(error)")
      }
      try write { file throws(OutputFailure) in try file.append(bytes) }
    }
  }

  private func write(_ body: (RecordFile) throws(OutputFailure) -> Void) throws(RunFailure) {
    do throws(OutputFailure) { try body(file) } catch { throw Self.runFailure(error) }
  }
}
