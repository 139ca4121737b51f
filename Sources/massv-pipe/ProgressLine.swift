import ArgumentParser
import Foundation
import Messages
import Pipeline

/// When a run shows how far it is.
enum ProgressMode: String, ExpressibleByArgument, CaseIterable {
  /// A line that is drawn again and again, where standard error is a terminal.
  case auto
  /// A line of its own every ten seconds.
  case plain
  case none
}

/// The progress line: records, rate, time left where it can be known, tokens a second, mean accepted length.
final class ProgressLine: @unchecked Sendable {
  private let meter: Meter
  private let started = ContinuousClock.now
  private let isDrawn: Bool
  private let timer: DispatchSourceTimer?
  private let queue = DispatchQueue(label: "progress")

  init(_ mode: ProgressMode, _ meter: Meter) {
    self.meter = meter
    isDrawn = mode == .auto && isatty(STDERR_FILENO) == 1
    guard isDrawn || mode == .plain else {
      timer = nil
      return
    }
    let timer = DispatchSource.makeTimerSource(queue: queue)
    self.timer = timer
    let interval = isDrawn ? DispatchTimeInterval.milliseconds(500) : .seconds(10)
    timer.schedule(deadline: .now() + interval, repeating: interval)
    timer.setEventHandler { [weak self] in self?.show() }
    timer.resume()
  }

  /// Shows the last state and no more.
  func end() {
    guard let timer else { return }
    timer.cancel()
    queue.sync {
      show()
      if isDrawn { tell("\n") }
    }
  }

  private func show() {
    let text = line(meter.reading, seconds: (ContinuousClock.now - started) / .seconds(1))
    tell(isDrawn ? "\r\u{1B}[K" + text : text + "\n")
  }

  private func line(_ reading: Meter.Reading, seconds: Double) -> String {
    if let training = reading.notes["training"] { return training }
    let records = reading["records"]
    var parts = ["\(records) records"]
    if reading["failed"] > 0 { parts.append("\(reading["failed"]) failed") }
    parts.append("\(rounded(Double(records) / max(seconds, 1e-3)))/s")
    if let left = secondsLeft(reading, seconds) { parts.append("\(duration(left)) left") }
    let decoding = ["prefill", "draft", "verify"].reduce(0) { $0 + (reading.seconds[$1] ?? 0) }
    if decoding > 0 { parts.append("\(rounded(Double(reading["tokens"]) / decoding)) tokens/s") }
    if reading["drafted"] > 0, let mean = meanAcceptedLength(reading["accepted"], reading) {
      parts.append("mean accepted length \(rounded(mean))")
    }
    return parts.joined(separator: ", ")
  }

  /// From how much of the input has been read, where its size is known.
  private func secondsLeft(_ reading: Meter.Reading, _ seconds: Double) -> Double? {
    let total = reading["input-bytes-total"]
    let read = reading["input-bytes"]
    guard total > 0, read > 0, reading["records"] > 0 else { return nil }
    return seconds * Double(max(0, total - read)) / Double(read)
  }

  private func rounded(_ value: Double) -> String {
    value >= 100 ? String(Int(value)) : String(format: "%.2f", value)
  }

  private func duration(_ seconds: Double) -> String {
    let whole = Int(seconds)
    return whole >= 3600
      ? "\(whole / 3600)h \(whole % 3600 / 60)m" : whole >= 60 ? "\(whole / 60)m \(whole % 60)s" : "\(whole)s"
  }
}
