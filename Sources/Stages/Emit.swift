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

private final class EmitStage: Stage {
  private let upstream: any Stage
  private let context: RunContext
  private let writer: RecordWriter
  private let onError: String
  private let file: RecordFile
  private let tar: TarWriter?
  /// Input records that the output has from an earlier run.
  private var recordsDone = 0
  private var resumePoint: ResumePoint?
  /// Whether the output has its end, or shall have none since the run failed here.
  private var isFinished = false
  private var hasBegun = false

  init(_ inputs: StageInputs, _ context: RunContext) throws(RunFailure) {
    upstream = inputs.upstream
    self.context = context
    onError = inputs.arguments.text("on-error")
    writer = RecordWriter(inputs.arguments)
    tar = writer.format == .tar ? TarWriter() : nil
    let path = inputs.arguments.optionalText("path")
    var kept: Remains?
    do {
      if context.options.resume {
        let failures = KeptFailures()
        let remains = try Self.remains(path, writer.format, failures)
        let point = try Self.resumePoint(remains, path, writer, onError)
        (kept, resumePoint) = (remains, point)
        // Records that were left out have no line.
        context.meter.count(
          "failed-before", onError == "skip" ? max(0, point.records - remains.records) : failures.count)
      }
      if let path, let ending = Self.unknownEnding(of: path) {
        throw RunFailure(.usage, "emit: path=\(path): files are compressed as .gz or .lz4, found \(ending)")
      }
      // Behind the look at what is left: a file that is not there is made.
      try context.files.write(path, by: "emit")
      if let path {
        file = try RecordFile(path: path, resuming: kept)
      } else {
        if tar != nil, isatty(STDOUT_FILENO) == 1 {
          throw RunFailure(.usage, "emit: a tar does not go to a terminal: redirect it (> out.tar), or set path=")
        }
        file = try RecordFile(descriptor: STDOUT_FILENO, name: "standard output", resuming: kept)
      }
    } catch let failure as OutputFailure {
      throw Self.runFailure(failure)
    } catch let failure as RunFailure {
      throw failure
    } catch {
      throw RunFailure(.internal, "emit: \(error)")
    }
    if let resumePoint {
      recordsDone = resumePoint.records
      context.add(resumePoint)
    }
  }

  /// An ending that promises another compression than what would be written.
  private static func unknownEnding(of path: String) -> String? {
    let known = [".gz", ".lz4"]
    let promised = known + [".tgz", ".zst", ".zstd", ".xz", ".txz", ".bz2", ".tbz2", ".lzma", ".lz", ".Z", ".zip"]
    return promised.first { ending in
      path.lowercased().hasSuffix(ending.lowercased()) && !known.contains { path.hasSuffix($0) }
    }
  }

  private static func runFailure(_ failure: OutputFailure) -> RunFailure {
    RunFailure(failure.isClosedPipe ? .closedPipe : .unreadable, "emit: \(failure)")
  }

  private static func remains(
    _ path: String?, _ format: RecordFormat, _ failures: KeptFailures
  ) throws -> Remains {
    let layout: Remains.Layout = format == .tar ? .tar : .lines
    if let path { return try Remains.read(path: path, layout: layout, see: failures.see) ?? Remains() }
    var status = stat()
    guard fstat(STDOUT_FILENO, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw RunFailure(
        .usage, "emit: --resume goes on with a file: append to it (>> captions.jsonl), or set --set emit.path=FILE")
    }
    let output = "/proc/self/fd/\(STDOUT_FILENO)"
    return try Remains.read(path: output, layout: layout, see: failures.see) ?? Remains()
  }

  private static func resumePoint(
    _ remains: Remains, _ path: String?, _ writer: RecordWriter, _ onError: String
  ) throws(RunFailure) -> ResumePoint {
    let output = path ?? "standard output"
    var point = ResumePoint(output: output, records: remains.records, lastKey: remains.lastKey)
    let json = remains.lastRecord.flatMap { try? JSONValue(parsing: $0) }
    if remains.lastRecord != nil, writer.format != .tar, !writer.mayHaveWritten(json) {
      throw RunFailure(
        .unreadable, "\(output): cannot be resumed: its last line is none that this run writes: expected \(writer.keys)"
      )
    }
    point.lastKey = (json?["key"] ?? json?["id"])?.string ?? point.lastKey
    if onError == "stop", let message = json.flatMap(RecordWriter.failure) {
      throw RunFailure(
        .stopped, "\(output): ended with record \(point.lastKey ?? "?"), which failed (on-error=stop): \(message)")
    }
    if let index = json?["index"]?.int, writer.hasIndex {
      guard (0..<1 << 53).contains(index) else {
        throw RunFailure(.unreadable, "\(output): cannot be resumed: its last line has index \(index)")
      }
      point.records = index + 1
    }
    guard onError != "skip" || writer.hasIndex || remains.records == 0 else {
      throw RunFailure(
        .usage, "emit: a resumed run with on-error=skip needs \"index\" among its fields, to know where it was")
    }
    return point
  }

  var isReady: Bool { upstream.isReady }

  /// Where a later link asks for no more, nobody has asked for the end.
  deinit { if hasBegun { try? finish() } }

  private func finish() throws(RunFailure) {
    if isFinished { return }
    isFinished = true
    try write { file throws(OutputFailure) in try file.finish(trailer: tar?.end() ?? []) }
  }

  func next() throws(RunFailure) -> Record? {
    do throws(RunFailure) {
      let record = try nextWritten()
      hasBegun = true
      return record
    } catch {
      isFinished = true
      throw error
    }
  }

  private func nextWritten() throws(RunFailure) -> Record? {
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
      complain("skipped \(record.key): \(failure)")
    } else {
      let bytes: [UInt8]
      do { bytes = try writer.bytes(of: record, tar: tar) } catch {
        throw RunFailure(.unreadable, "emit: record \(record.key): \(error)")
      }
      try write { file throws(OutputFailure) in try file.append(bytes) }
    }
    if let failure = record.failure, onError == "stop" {
      context.meter.count("records")
      context.meter.count("failed")
      throw RunFailure(.stopped, "record \(record.key): \(failure)")
    }
    return record
  }

  private func write(_ body: (RecordFile) throws(OutputFailure) -> Void) throws(RunFailure) {
    do throws(OutputFailure) { try body(file) } catch { throw Self.runFailure(error) }
  }
}

/// Counts the failed records among what an earlier run left.
private final class KeptFailures {
  private(set) var count = 0

  func see(_ line: [UInt8]) {
    // Few lines are such: only what might be one is read.
    guard line.firstRange(of: Self.mark) != nil, let json = try? JSONValue(parsing: line) else { return }
    if RecordWriter.failure(in: json) != nil { count += 1 }
  }

  private static let mark = Array(#""error":{"#.utf8)
}
