import Foundation

/// One file of a sample: `a/b.seg.png` is the field `seg.png` of the sample `a/b`.
package struct SampleMember: Sendable {
  /// What follows the first dot after the last slash, in lower case.
  package let field: String
  /// The same as it is written in the path.
  package let written: String
  package let bytes: [UInt8]

  /// - Parameter written: nil where that is the field.
  package init(field: String, written: String? = nil, bytes: [UInt8]) {
    self.field = field
    self.written = written ?? field
    self.bytes = bytes
  }
}

/// Consecutive members with one key, as WebDataset groups them; or, with no members, what is wrong with a shard.
package struct Sample: Sendable {
  /// The members' path up to the first dot after the last slash; for a problem of the shard, the shard's name.
  package var key: String
  /// The shard's path, `-` for standard input.
  package var shard: String
  package var members: [SampleMember] = []
  /// The first thing that is wrong with the sample.
  package var problem: ShardProblem?
  /// Offset of its first header in the decompressed shard.
  package var offset = 0
  /// Whether this is no sample, but a problem of the shard itself.
  package var isOfShard = false

  init(key: String, shard: String, offset: Int) {
    self.key = key
    self.shard = shard
    self.offset = offset
  }

  /// What is wrong with a shard itself.
  package init(problem: ShardProblem, of shard: String) {
    key = shard
    self.shard = shard
    self.problem = problem
    isOfShard = true
  }
}

/// What a reader accepts.
package struct SampleLimits: Sendable {
  /// Bytes of one member.
  package var memberBytes: Int
  /// Bytes of one sample, all members and their names together.
  package var sampleBytes: Int
  /// Members of one sample.
  package var members: Int

  package init(memberBytes: Int = 256 << 20, sampleBytes: Int = 1 << 30, members: Int = 1000) {
    self.memberBytes = memberBytes
    self.sampleBytes = sampleBytes
    self.members = members
  }
}

/// Samples of one shard.
package final class SampleReader {
  private let shard: String
  private let limits: SampleLimits
  private let members: TarMembers
  private var held: TarMember?
  private var problem: ShardProblem?

  /// - Parameter descriptor: read from where it stands; closed with the reader where `closes`.
  package init(shard: String, descriptor: Int32, closes: Bool, limits: SampleLimits) {
    self.shard = shard
    self.limits = limits
    members = TarMembers(name: shard, descriptor: descriptor, closes: closes, limit: limits.memberBytes)
  }

  /// Opens a file.
  package convenience init(path: String, limits: SampleLimits) throws(ShardProblem) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw ShardProblem(description: "\(path): \(String(cString: strerror(errno)))") }
    self.init(shard: path, descriptor: descriptor, closes: true, limits: limits)
  }

  /// Reads an open file from where it stands and leaves it standing there, so that it can be read again.
  ///
  /// The file is opened once more: a reader that reads on in another thread does not move this one.
  package convenience init(shard: String, reopening file: Int32, limits: SampleLimits) throws(ShardProblem) {
    let start = lseek(file, 0, SEEK_CUR)
    let descriptor = open("/proc/self/fd/\(file)", O_RDONLY | O_CLOEXEC)
    guard start >= 0, descriptor >= 0, lseek(descriptor, start, SEEK_SET) == start else {
      let cause = String(cString: strerror(errno))
      if descriptor >= 0 { close(descriptor) }
      throw ShardProblem(description: "\(shard): cannot be read again: \(cause)")
    }
    self.init(shard: shard, descriptor: descriptor, closes: true, limits: limits)
  }

  /// Bytes of the shard's file read so far.
  package var fileBytes: Int { members.fileBytes }

  /// Offset of the last whole end-of-archive marker passed.
  package var markerOffset: Int? { members.markerOffset }

  /// The next sample or problem of the shard, nil at its end.
  package func next() -> Sample? {
    if let problem = problem.take() { return failed(problem) }
    var sample: Sample?
    var held = Held()
    while let member = nextMember() {
      guard let (key, written) = Self.split(member.path) else { continue }
      if let open = sample, !open.key.utf8.elementsEqual(key.utf8) {
        self.held = member
        return open
      }
      var open = sample ?? Sample(key: key, shard: shard, offset: member.offset)
      add(member, written, to: &open, &held)
      sample = open
    }
    if sample == nil, let problem = problem.take() { return failed(problem) }
    return sample
  }

  private func failed(_ problem: ShardProblem) -> Sample {
    Sample(problem: problem, of: shard)
  }

  /// The next member; a problem of the shard is kept for when the sample before it is out.
  private func nextMember() -> TarMember? {
    if let member = held.take() { return member }
    switch members.next() {
    case .member(let member): return member
    case .problem(let found):
      problem = found
      return nil
    case nil: return nil
    }
  }

  /// What a sample has so far.
  private struct Held {
    var fields: Set<String> = []
    /// Bytes of members and names.
    var size = 0
  }

  private func add(_ member: TarMember, _ written: String, to sample: inout Sample, _ held: inout Held) {
    let field = written.lowercased()
    switch member.content {
    case .failure(let problem): sample.problem = sample.problem ?? problem
    case .success(let bytes):
      held.size += bytes.count + member.path.utf8.count + 64
      if sample.members.count >= limits.members {
        sample.problem =
          sample.problem
          ?? ShardProblem(
            description: "\(shard): sample \(sample.key): more than the limit of \(limits.members) members")
        sample.members = []
      } else if sample.problem == nil, !held.fields.insert(field).inserted {
        sample.problem =
          sample.problem ?? ShardProblem(description: "\(shard): sample \(sample.key): field \"\(field)\" twice")
      } else if held.size > limits.sampleBytes {
        sample.problem =
          sample.problem
          ?? ShardProblem(
            description: "\(shard): sample \(sample.key): more than the limit of \(limits.sampleBytes) bytes")
        sample.members = []
      } else if sample.problem == nil {
        sample.members.append(SampleMember(field: field, written: written, bytes: bytes))
      }
    }
  }

  /// Key of a path, and the rest as it is written, of which the field is the lower case.
  ///
  /// nil for what WebDataset readers pass over: names without a dot or with nothing before it; and at the top, `__name__`
  /// with any ending and what lies below a folder of that kind.
  package static func split(_ path: String) -> (key: String, written: String)? {
    // By bytes: a letter and its accent are two, and a dot stays a dot whatever follows it.
    let start = path.utf8.lastIndex(of: UInt8(ascii: "/")).map { path.utf8.index(after: $0) } ?? path.startIndex
    guard let dot = path.utf8[start...].firstIndex(of: UInt8(ascii: ".")), dot != start else { return nil }
    let top = path.utf8.prefix { $0 != UInt8(ascii: "/") }
    for name in [top, top.prefix { $0 != UInt8(ascii: ".") }]
    where name.count > 4 && name.starts(with: "__".utf8) && name.suffix(2).elementsEqual("__".utf8) {
      return nil
    }
    let key = path[..<dot]
    return (String(key), String(path[path.utf8.index(after: dot)...]))
  }
}

extension Optional {
  /// The value, leaving nothing behind.
  fileprivate mutating func take() -> Wrapped? {
    let value = self
    self = nil
    return value
  }
}
