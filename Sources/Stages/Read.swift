import Foundation
import Pipeline
import Samples

/// `read`: tar shards into records, a bounded number ahead of whoever asks for them.
enum Read {
  static let definition = StageDefinition(
    StageDeclaration(
      "read", .source, "tar shards (WebDataset) from standard input or files",
      writes: [Field.members.name],
      parameters: [
        ParameterDeclaration("shards", .text, optional: true, "files such as data/{000..009}.tar; else standard input"),
        ParameterDeclaration("max-bytes", .bytes, default: "256M", "bytes that one member may have"),
        ParameterDeclaration("max-record-bytes", .bytes, default: "1G", "bytes that one record may have"),
        ParameterDeclaration(
          "max-records", .integer(0...(1 << 50)), default: "1000000000", "records after which reading stops"),
        ParameterDeclaration("read-ahead", .integer(0...4096), default: "16", "records read ahead"),
      ])
  ) { inputs, context throws(RunFailure) in
    let source = try ShardSource(inputs.arguments, context)
    let ahead = inputs.arguments.integer("read-ahead")
    return ahead == 0 ? source : ReadAhead(source, records: ahead, bytes: 64 << 20, context: context)
  }
}

/// Records of all shards, one shard behind the other.
private final class ShardSource: Stage {
  private let context: RunContext
  private let passOver: PassOver
  private let limits: SampleLimits
  private let maximumRecords: Int
  /// Shards not yet opened, nil for standard input.
  private var waiting: ArraySlice<String?>
  private var reader: SampleReader?
  private var index = 0
  private var countedBytes = 0

  init(_ arguments: Arguments, _ context: RunContext) throws(RunFailure) {
    self.context = context
    passOver = context.passOver(reordering: true)
    limits = SampleLimits(
      memberBytes: arguments.integer("max-bytes"), sampleBytes: arguments.integer("max-record-bytes"))
    maximumRecords = min(arguments.integer("max-records"), context.options.limit ?? .max)
    guard let pattern = arguments.optionalText("shards") else {
      if isatty(STDIN_FILENO) == 1 {
        throw RunFailure(.usage, "read: standard input is a terminal; give it a tar (< shards.tar) or set shards=")
      }
      waiting = [nil]
      context.meter.count("input-bytes-total", Self.size(of: STDIN_FILENO))
      return
    }
    do { waiting = try ShardPattern.expand(pattern)[...].map { $0 }[...] } catch {
      throw RunFailure(.usage, "read: \(error)")
    }
    try checkShards()
  }

  /// A misspelt shard is found before any model is loaded, not after hours.
  private func checkShards() throws(RunFailure) {
    for path in waiting.compactMap({ $0 }) {
      var status = stat()
      guard stat(path, &status) == 0, access(path, R_OK) == 0 else {
        throw RunFailure(.unreadable, "read: \(path): \(String(cString: strerror(errno)))")
      }
      guard status.st_mode & S_IFMT != S_IFDIR else {
        throw RunFailure(.unreadable, "read: \(path): expected a tar file, found a folder")
      }
      context.meter.count("input-bytes-total", Int(status.st_size))
    }
  }

  private static func size(of descriptor: Int32) -> Int {
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return 0 }
    return Int(status.st_size)
  }

  func next() throws(RunFailure) -> Record? {
    let done = passOver.count
    while index < maximumRecords, !context.isEnding, let sample = nextSample() {
      try passOver.check(key: sample.key, index: index)
      index += 1
      if index > done { return record(sample) }
    }
    if index < maximumRecords { try passOver.checkEnd(after: index) }
    return nil
  }

  private func record(_ sample: Sample) -> Record {
    var record = Record(key: sample.key, shard: sample.shard, index: index - 1)
    record[Field.members] = sample.members
    record.footprint = sample.members.reduce(0) { $0 + $1.bytes.count }
    if let problem = sample.problem { record.failure = StageFailure(stage: "read", message: problem.description) }
    return record
  }

  private func nextSample() -> Sample? {
    let started = ContinuousClock.now
    defer { context.meter.add(seconds: ContinuousClock.now - started, to: "read") }
    while true {
      if let reader {
        let sample = reader.next()
        context.meter.count("input-bytes", reader.fileBytes - countedBytes)
        countedBytes = reader.fileBytes
        if let sample { return sample }
        self.reader = nil
      }
      guard let shard = waiting.popFirst() else { return nil }
      countedBytes = 0
      guard let path = shard else {
        reader = SampleReader(shard: "-", descriptor: STDIN_FILENO, closes: false, limits: limits)
        continue
      }
      do { reader = try SampleReader(path: path, limits: limits) } catch {
        return Sample(problem: error, of: path)
      }
    }
  }
}
