import Foundation
import JSON
import Pipeline
import Samples
import Training

/// The lines of training steps. A resumed run goes on behind the line of the step that it goes on from.
final class StepLog {
  private let file: RecordFile
  private let meter: Meter

  /// - Parameters:
  ///   - path: nil for standard output.
  ///   - step: the step that the run goes on from, 0 for a new one.
  ///   - interval: steps between two saved states.
  init(path: String?, step: Int, interval: Int, _ context: RunContext) throws(RunFailure) {
    meter = context.meter
    let steps = LoggedSteps(after: step, interval: interval)
    let remains = context.options.resume ? try Self.remains(path, steps) : nil
    try context.files.write(path, by: "train: its log")
    do throws(OutputFailure) {
      if let path {
        file = try RecordFile(path: path, resuming: remains)
      } else {
        file = try RecordFile(descriptor: STDOUT_FILENO, name: "standard output", resuming: remains)
      }
    } catch { throw Self.failure(error) }
  }

  private static func remains(_ path: String?, _ steps: LoggedSteps) throws(RunFailure) -> Remains? {
    let whole: Remains?
    do throws(OutputFailure) {
      whole = try Remains.read(
        path: path ?? "/proc/self/fd/\(STDOUT_FILENO)", layout: .lines, holdsNotes: true, see: steps.see)
    } catch { throw failure(error) }
    return try whole.map { whole throws(RunFailure) in try steps.kept(of: whole, name: path ?? "standard output") }
  }

  private static func failure(_ failure: OutputFailure) -> RunFailure {
    RunFailure(failure.isClosedPipe ? .closedPipe : .unreadable, "train: \(failure)")
  }

  func write(_ report: StepReport, seconds: Double, of steps: Int) throws(RunFailure) {
    let speed = Double(report.tokens) / max(seconds, 1e-9)
    let line = JSONWriter.line { writer in
      writer.key("step")
      writer.integer(report.step)
      for (name, value) in [("loss", report.loss), ("lr", report.rate), ("grad_norm", report.gradientNorm)] {
        writer.key(name)
        writer.number(value, decimals: 9)
      }
      if let cells = report.cells {
        writer.key("cell_loss")
        writer.number(cells.loss, decimals: 9)
        writer.key("cells_known")
        writer.number(cells.known, decimals: 4)
      }
      writer.key("tokens_per_s")
      writer.number(speed, decimals: 1)
    }
    do throws(OutputFailure) { try file.append(line) } catch { throw Self.failure(error) }
    meter.note(
      "training",
      String(
        format: "step %d of %d, loss %.4f, lr %.2e, gradient norm %.3f, %.0f tokens/s", report.step, steps, report.loss,
        report.rate, report.gradientNorm, speed))
  }
}

/// The row of steps that a log ends with, and what of it a run that goes on from an earlier step will write again.
///
/// A log may hold more than this run's lines: only those at its end that follow the step are ever taken away.
private final class LoggedSteps {
  private let step: Int
  private let interval: Int
  /// The first and the last of the steps that follow one another up to the log's end; nil where it ends otherwise.
  private var row: ClosedRange<Int>?
  /// Lines and bytes up to the line of the step that the run goes on from, or to where the row begins.
  private var kept = Remains()
  private var place = Remains()

  init(after step: Int, interval: Int) {
    self.step = step
    self.interval = interval
  }

  /// Takes the next whole line.
  func see(_ line: [UInt8]) {
    let number = (try? JSONValue(parsing: line))?["step"]?.int.flatMap { (0..<1 << 53).contains($0) ? $0 : nil }
    if let number, let row, number == row.upperBound + 1 {
      self.row = row.lowerBound...number
    } else {
      row = number.map { $0...$0 }
      kept = place
    }
    place = Remains(records: place.records + 1, keptBytes: place.keptBytes + line.count + 1)
    if let number, number <= step { kept = place }
  }

  /// What stays.
  func kept(of whole: Remains, name: String) throws(RunFailure) -> Remains {
    guard let row, row.upperBound > step else { return whole }
    // A run that has saved no state has not come further than to where it would have.
    if step == 0, row.lowerBound > 1 || row.upperBound > interval { return whole }
    guard whole.openFrame.isEmpty else {
      throw RunFailure(
        .unreadable, "train: \(name): cannot be resumed: the lines behind that of step \(step) are compressed")
    }
    guard row.lowerBound <= step + 1 else {
      throw RunFailure(
        .unreadable,
        "train: \(name): cannot be resumed: the state is that of step \(step), the last lines are those of steps "
          + "\(row.lowerBound) to \(row.upperBound)")
    }
    return kept
  }
}
