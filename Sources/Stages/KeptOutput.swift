import Foundation
import JSON
import Pipeline
import Samples

/// What an earlier run left in an output of `emit`, where it is gone on with.
struct KeptOutput {
  let remains: Remains
  /// How far the input is done.
  let point: ResumePoint
  /// Records that failed in the earlier run.
  let failures: Int

  /// - Parameter path: nil for standard output, which is a file then.
  init(_ path: String?, _ writer: RecordWriter, onError: String) throws(RunFailure) {
    let counter = KeptFailures()
    remains = try Self.remains(path, writer.format, counter)
    point = try Self.point(remains, path, writer, onError)
    // Records that were left out have no line.
    failures = onError == "skip" ? max(0, point.records - remains.records) : counter.count
  }

  private static func remains(
    _ path: String?, _ format: RecordFormat, _ failures: KeptFailures
  ) throws(RunFailure) -> Remains {
    let layout: Remains.Layout = format == .tar ? .tar : .lines
    var status = stat()
    if let path {
      if stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFIFO {
        throw RunFailure(.usage, "emit: --resume goes on with a file, \(path) is a pipe")
      }
      return try read(path, layout, failures)
    }
    guard fstat(STDOUT_FILENO, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw RunFailure(
        .usage, "emit: --resume goes on with a file: append to it (>> captions.jsonl), or set --set emit.path=FILE")
    }
    return try read("/proc/self/fd/\(STDOUT_FILENO)", layout, failures)
  }

  private static func read(
    _ path: String, _ layout: Remains.Layout, _ failures: KeptFailures
  ) throws(RunFailure) -> Remains {
    do throws(OutputFailure) {
      return try Remains.read(path: path, layout: layout, see: failures.see) ?? Remains()
    } catch {
      throw EmitStage.runFailure(error)
    }
  }

  private static func point(
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
        .usage,
        "emit: \(output): cannot be resumed: with on-error=skip, "
          + (writer.format == .jsonl ? "lines need \"index\" among their fields" : "only lines (format=jsonl) can be")
          + ", to know where the run was")
    }
    return point
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
