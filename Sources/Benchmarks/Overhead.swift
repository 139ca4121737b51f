import Foundation
import Images
import Pipeline

/// A stage that does nothing.
private final class Nothing: Stage {
  private let upstream: any Stage

  init(_ upstream: any Stage) { self.upstream = upstream }

  func next() throws(RunFailure) -> Record? { try upstream.next() }
}

/// One record for each number below a bound.
private final class Counting: Stage {
  private let count: Int
  private var index = 0

  init(_ count: Int) { self.count = count }

  func next() throws(RunFailure) -> Record? {
    guard index < count else { return nil }
    index += 1
    return Record(key: "r\(index - 1)", shard: "-", index: index - 1)
  }
}

/// What the stream graph costs beside decoding: the same JPEG files decoded in a loop, and by a chain of stages.
func benchmarkOverhead() throws {
  let files = try pictureFiles().map { Array(try Data(contentsOf: URL(fileURLWithPath: $0))) }
  let count = files.count * max(1, 300 / files.count)
  let slot = Slot<Picture>("image")
  let loop = {
    try timed { for index in 0..<count { _ = try Picture(decoding: files[index % files.count]) } }
  }
  let chain = { (ahead: Bool) in
    try timed {
      let decode = Transform("decode", upstream: Counting(count), meter: Meter()) { record throws(StageFailure) in
        do { record[slot] = try Picture(decoding: files[record.index % files.count]) } catch {
          throw StageFailure(stage: "decode", message: "\(error)")
        }
      }
      let context = RunContext(options: .init())
      let last = Nothing(ahead ? ReadAhead(decode, records: 4, bytes: 1 << 28, context: context) : decode)
      while try last.next() != nil {}
    }
  }
  let seconds = try interleaved(25, [loop, { try chain(false) }, { try chain(true) }])
  print(
    "overhead: a JPEG decodes in \(formatted(seconds[0] / Double(count) * 1e3, 3)) ms in a loop and in "
      + "\(formatted(seconds[1] / Double(count) * 1e3, 3)) ms in a chain with a stage that does nothing behind it: "
      + "\(formatted((seconds[1] / seconds[0] - 1) * 100)) % more; with read-ahead on a second thread "
      + "\(formatted((seconds[2] / seconds[0] - 1) * 100)) %")
}
