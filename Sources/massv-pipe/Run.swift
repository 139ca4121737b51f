import ArgumentParser
import Foundation
import Messages
import PipeLanguage
import Pipeline
import Stages

/// `massv-pipe run PIPE [NAME=VALUE]…`: runs a pipe to its end.
struct Run: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Runs a pipe.",
    discussion: "Results go to standard output or the named file, everything else to standard error.")

  @Argument(help: "A pipe file, - for standard input.") var pipe: String
  @Argument(help: ArgumentHelp("Values of the pipe's parameters.", valueName: "name=value")) var parameters: [String] =
    []
  @Option(
    name: .customLong("set"),
    help: ArgumentHelp("Sets one argument of one stage.", valueName: "stage.arg=value"))
  var settings: [String] = []
  @Flag(help: "Go on where an earlier run into the same file was cut off.") var resume = false
  @Option(help: "Stop after this many records of the input.") var limit: Int?
  @Option(help: "Worker threads; by default, and at most, one a processor.") var threads: Int?
  @Option(help: "Bytes that the caches of records in flight may take, such as 4G.") var memory: String?
  @Option(help: "auto, plain or none.") var progress: ProgressMode = .auto
  @Option(help: "Write the run's counters to this file, as JSON.") var stats: String?

  func validate() throws {
    if let limit, limit < 0 { throw ValidationError("--limit: expected a number from 0, found \(limit)") }
    if let threads, !(1...1024).contains(threads) {
      throw ValidationError("--threads: expected a number from 1 to 1024, found \(threads)")
    }
    if let memory, byteCount(memory) == nil {
      throw ValidationError("--memory: expected a count of bytes such as 4G, found \"\(memory)\"")
    }
  }

  func run() throws {
    let bound = try bind()
    let context = RunContext(options: options)
    try? context.files.read(pipe)
    try claimStats(context)
    let signals = SignalWatch(context)
    let progress = ProgressLine(progress, context.meter)
    let failure = runToEnd(bound, context)
    progress.end()
    // A run that was refused has not begun.
    if let stats, failure?.kind != .usage, !context.files.isRead(stats) {
      try writeStats(to: stats, context.meter.reading)
    }
    // Everything has been written by now. Nothing is torn down: threads may still be reading ahead.
    _exit(status(failure, context.meter.reading, signals.received))
  }

  private var options: RunContext.Options {
    var options = RunContext.Options()
    options.resume = resume
    options.limit = limit
    // Waiting threads spin: more of them than processors would only hold each other up.
    let processors = ProcessInfo.processInfo.activeProcessorCount
    options.threads = min(threads ?? processors, max(2, processors))
    options.memory = memory.flatMap(byteCount)
    return options
  }

  private func bind() throws -> BoundPipe {
    let source = try readSource(pipe)
    do throws(PipeErrors) {
      return try BoundPipe(
        source, catalog: .standard, overrides: Overrides(parameters: parameters, settings: settings))
    } catch {
      report(error)
      throw ExitCode(64)
    }
  }

  private func runToEnd(_ pipe: BoundPipe, _ context: RunContext) -> RunFailure? {
    do throws(RunFailure) {
      try Runner(pipe, context: context).run()
      return nil
    } catch {
      if error.kind != .closedPipe { complain(error.message) }
      return error
    }
  }

  private func status(_ failure: RunFailure?, _ reading: Meter.Reading, _ signal: Int32?) -> Int32 {
    switch failure?.kind {
    case .usage: 64
    case .unreadable: 66
    case .internal: 70
    case .stopped: 1
    case .closedPipe: 0
    case nil: signal.map { 128 + $0 } ?? (reading["failed"] + reading["failed-before"] > 0 ? 1 : 0)
    }
  }

  /// Finds out before the run whether its counters can be written after it.
  private func claimStats(_ context: RunContext) throws {
    guard let stats else { return }
    do throws(RunFailure) { try context.files.write(stats, by: "--stats", isLast: true) } catch {
      complain(error.message)
      throw ExitCode(64)
    }
    // A pipe that nobody reads is not waited for.
    let descriptor = open(stats, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0o666)
    guard descriptor >= 0 || errno == ENXIO else {
      complain("\(stats): the counters cannot be written: \(String(cString: strerror(errno)))")
      throw ExitCode(66)
    }
    if descriptor >= 0 { close(descriptor) }
  }

  private func writeStats(to path: String, _ reading: Meter.Reading) throws(ExitCode) {
    do { try Data(statsLine(reading)).write(to: URL(fileURLWithPath: path)) } catch {
      complain("\(path): the counters cannot be written: \(error.localizedDescription)")
      throw ExitCode(66)
    }
  }
}
