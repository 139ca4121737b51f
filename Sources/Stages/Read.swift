import Foundation
import Pipeline
import Samples

/// `read`: tar shards into records, a bounded number ahead of whoever asks for them.
///
/// `read ( scenes )` runs its branch where no shards are named and standard input is a terminal, /dev/null or empty.
enum Read {
  static let definition = StageDefinition(
    StageDeclaration(
      "read", .source, "tar shards (WebDataset) from standard input or files; its branch where there are none",
      writes: [Field.members.name],
      parameters: [
        ParameterDeclaration(
          "shards", .optionalText, default: "none", "files such as data/{000..009}.tar; none for standard input"),
        ParameterDeclaration("max-bytes", .bytes, default: "256M", "bytes that one member may have"),
        ParameterDeclaration("max-record-bytes", .bytes, default: "1G", "bytes that one record may have"),
        ParameterDeclaration(
          "max-members", .integer(1...(1 << 20)), default: "1000", "members that one record may have"),
        ParameterDeclaration(
          "max-records", .integer(0...(1 << 50)), default: "1000000000", "records after which reading stops"),
        ParameterDeclaration("read-ahead", .integer(0...4096), default: "16", "records read ahead"),
      ],
      branch: .source, readsStandardInput: { $0.optionalText("shards") == nil }),
    foresee: { call, times throws(RunFailure) in
      if call.branch != nil, hasNoInput(call.arguments) { return }
      _ = try ShardList(call.arguments, times: times)
    }
  ) { inputs, context throws(RunFailure) in
    if let branch = inputs.branch, hasNoInput(inputs.arguments) { return try branch(EndOfStream(), context) }
    let source = try ShardSource(inputs, context)
    let ahead = inputs.arguments.integer("read-ahead")
    return ahead == 0 ? source : ReadAhead(source, records: ahead, bytes: 64 << 20, context: context)
  }

  /// Whether no shards are named and standard input cannot hold any: a terminal, /dev/null, an empty file. A pipe is
  /// waited for.
  private static func hasNoInput(_ arguments: Arguments) -> Bool {
    guard arguments.optionalText("shards") == nil else { return false }
    var status = stat()
    guard fstat(STDIN_FILENO, &status) == 0 else { return true }
    return switch status.st_mode & S_IFMT {
    case S_IFCHR: true
    case S_IFREG: status.st_size == 0
    default: false
    }
  }
}

/// What `read` will open.
private struct ShardList {
  /// Paths, or nil for standard input.
  let shards: [String?]
  /// Bytes of those that are files.
  private(set) var byteCount = 0

  /// A misspelt shard is found here, before any model is loaded, not after hours.
  ///
  /// - Parameter times: how often they are read, nil where that is not known.
  init(_ arguments: Arguments, times: Int?) throws(RunFailure) {
    if let pattern = arguments.optionalText("shards") {
      guard !pattern.isEmpty else {
        throw RunFailure(.usage, "read: shards: expected a file's name, found an empty one")
      }
      do { shards = try ShardPattern.expand(pattern) } catch { throw RunFailure(.usage, "read: \(error)") }
    } else {
      shards = [nil]
      if isatty(STDIN_FILENO) == 1 {
        throw RunFailure(.usage, "read: standard input is a terminal; give it a tar (< shards.tar) or set shards=")
      }
    }
    for path in shards {
      var status = stat()
      if let path {
        guard stat(path, &status) == 0, access(path, R_OK) == 0 else {
          throw RunFailure(.unreadable, "read: \(path): \(String(cString: strerror(errno)))")
        }
        guard status.st_mode & S_IFMT != S_IFDIR else {
          throw RunFailure(.unreadable, "read: \(path): expected a tar file, found a folder")
        }
      } else {
        status = try Self.standardInput()
      }
      let isFile = status.st_mode & S_IFMT == S_IFREG
      if times != 1, !isFile {
        throw RunFailure(
          .usage,
          "read: \(path ?? "standard input") cannot be read again, as \"repeat\" wants: it is no regular file; "
            + "give it one (< shards.tar) or set shards=")
      }
      if isFile { byteCount += Int(status.st_size) }
    }
  }

  /// What standard input is, where it can be read.
  private static func standardInput() throws(RunFailure) -> stat {
    var status = stat()
    guard fstat(STDIN_FILENO, &status) == 0 else {
      throw RunFailure(.unreadable, "read: standard input: \(String(cString: strerror(errno)))")
    }
    // As one that was closed is: the tool has put something in its place.
    guard fcntl(STDIN_FILENO, F_GETFL) & O_ACCMODE != O_WRONLY else {
      throw RunFailure(.unreadable, "read: standard input: \(String(cString: strerror(EBADF)))")
    }
    guard status.st_mode & S_IFMT != S_IFDIR else {
      throw RunFailure(.unreadable, "read: standard input: expected a tar file, found a folder")
    }
    return status
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
  /// Whether standard input is read from where it stands without moving it, so that it can be read again.
  private let isRepeated: Bool
  private var reader: SampleReader?
  private var index = 0
  private var countedBytes = 0
  /// Whether any input had a sample, and what was wrong with the first that could not be read.
  private var isReadable = false
  private var unreadable: ShardProblem?

  init(_ inputs: StageInputs, _ context: RunContext) throws(RunFailure) {
    self.context = context
    passOver = context.passOver(reordering: true)
    limits = SampleLimits(
      memberBytes: inputs.arguments.integer("max-bytes"), sampleBytes: inputs.arguments.integer("max-record-bytes"),
      members: inputs.arguments.integer("max-members"))
    maximumRecords = min(inputs.arguments.integer("max-records"), context.options.limit ?? .max)
    isRepeated = context.isRepeating || inputs.times != 1
    let list = try ShardList(inputs.arguments, times: isRepeated ? nil : 1)
    waiting = list.shards[...]
    for case .some(let path) in list.shards { try context.files.read(path) }
    // Where it is not known how often the input is read, nothing is said about the time left.
    if !context.isRepeating, let times = inputs.times {
      let (total, isTooLarge) = list.byteCount.multipliedReportingOverflow(by: times)
      if !isTooLarge { context.meter.count("input-bytes-total", total) }
    }
  }

  func next() throws(RunFailure) -> Record? {
    let done = passOver.count
    while index < maximumRecords, !context.isEnding, let sample = nextSample() {
      try passOver.check(key: sample.key, index: index)
      index += 1
      if !sample.isOfShard { isReadable = true }
      // An empty input is read to its end, and brings nothing.
      if unreadable == nil, sample.isOfShard, countedBytes > 0 { unreadable = sample.problem }
      if index > done { return record(sample) }
    }
    // A repetition goes on to its own end: a line of each epoch says what is wrong.
    if !isReadable, !isRepeated, !context.isEnding, let unreadable {
      throw RunFailure(.unreadable, "read: \(unreadable)")
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
      do throws(ShardProblem) { reader = try open(shard) } catch {
        return Sample(problem: error, of: shard ?? "-")
      }
    }
  }

  private func open(_ shard: String?) throws(ShardProblem) -> SampleReader {
    if let shard { return try SampleReader(path: shard, limits: limits) }
    if isRepeated { return try SampleReader(shard: "-", reopening: STDIN_FILENO, limits: limits) }
    return SampleReader(shard: "-", descriptor: STDIN_FILENO, closes: false, limits: limits)
  }
}
