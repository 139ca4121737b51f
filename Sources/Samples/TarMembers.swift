import CArchive
import Foundation

/// One regular file of a tar archive.
package struct TarMember: Sendable {
  package let path: String
  /// Offset of its first header in the decompressed stream.
  package let offset: Int
  /// The file's bytes, or why they are not there.
  package let content: Result<[UInt8], ShardProblem>
}

/// What is wrong with a shard or a member of it, with its place.
package struct ShardProblem: Error, Sendable, CustomStringConvertible {
  package let description: String
}

/// What comes next in a shard.
package enum ShardEvent: Sendable {
  case member(TarMember)
  /// Something is wrong here; reading goes on behind it where it can.
  case problem(ShardProblem)
}

/// The members of one shard, or of several concatenated ones, with everything that is wrong with them.
///
/// libarchive reads the headers. Watching the stream itself, this class also tells a whole archive from one that ends
/// without its end-of-archive marker, finds members behind a lone zero block, and after a broken header goes on at the
/// next sound one.
package final class TarMembers {
  private let name: String
  private let limit: Int
  private let stream: ByteStream
  private var archive: OpaquePointer?
  /// Offset at which the present archive began, and from which it reads next.
  private var base = 0
  private var position = 0
  private var count = 0
  private var isFinished = false
  /// Whether the stream's present place lies behind a whole end-of-archive marker.
  private var isBehindMarker = false
  /// Offset of the last whole end-of-archive marker passed.
  private(set) var markerOffset: Int?

  /// - Parameters:
  ///   - name: the shard's name, for messages.
  ///   - limit: bytes that one member may have.
  package init(name: String, descriptor: Int32, closes: Bool, limit: Int) {
    self.name = name
    self.limit = limit
    // Member names in pax headers are UTF-8; libarchive converts them to the C library's locale.
    Self.setLocale()
    stream = ByteStream(descriptor: descriptor, closes: closes)
  }

  deinit { archive_read_free(archive) }

  static func setLocale() { _ = localeIsSet }
  private static let localeIsSet = setlocale(LC_CTYPE, "C.UTF-8") != nil

  /// Bytes of the shard's file read so far.
  package var fileBytes: Int { stream.fileBytes }

  /// The next member or problem, nil at the end.
  package func next() -> ShardEvent? {
    while !isFinished {
      if archive == nil { open() }
      var entry: OpaquePointer?
      switch archive_read_next_header(archive, &entry) {
      case ARCHIVE_OK, ARCHIVE_WARN:
        if let member = read(entry) { return .member(member) }
      case ARCHIVE_EOF:
        if let problem = passMarker() { return .problem(problem) }
      case let status:
        return .problem(passBrokenHeader(isFatal: status == ARCHIVE_FATAL))
      }
    }
    return nil
  }

  private func problem(_ text: String) -> ShardProblem { ShardProblem(description: "\(name): \(text)") }

  private func open() {
    archive = archive_read_new()
    archive_read_support_format_tar(archive)
    base = position
    let this = Unmanaged.passUnretained(self).toOpaque()
    archive_read_open(
      archive, this, nil,
      { _, context, buffer in
        guard let context else { return -1 }
        return Unmanaged<TarMembers>.fromOpaque(context).takeUnretainedValue().supply(buffer)
      }, nil)
  }

  private func close() {
    archive_read_free(archive)
    archive = nil
  }

  private func supply(_ buffer: UnsafeMutablePointer<UnsafeRawPointer?>?) -> Int {
    let bytes = stream.bytes(at: position)
    position += bytes.count
    buffer?.pointee = UnsafeRawPointer(bytes.baseAddress)
    return bytes.count
  }

  // MARK: Members

  private func read(_ entry: OpaquePointer?) -> TarMember? {
    count += 1
    isBehindMarker = false
    // libarchive takes an old ENOMEM for its own where a name cannot be converted, and ends the program.
    errno = 0
    guard archive_entry_filetype(entry) == S_IFREG, archive_entry_hardlink(entry) == nil,
      let converted = Self.path(entry)
    else { return nil }
    let offset = base + Int(archive_read_header_position(archive))
    // libarchive composes letters and accents of pax names: two names would become one.
    let stored = converted.utf8.allSatisfy { $0 < 0x80 } ? nil : paxPath(at: offset)
    let path = stored == converted ? stored ?? converted : converted
    return TarMember(path: path, offset: offset, content: content(entry, path))
  }

  /// The name in a member's pax headers as it stands there, the last one of several; nil where there is none, or it is no
  /// longer in memory.
  private func paxPath(at offset: Int) -> String? {
    var (place, path) = (offset, String?.none)
    while let header = known(place, 512), Self.isHeader(header), [0x78, 0x58, 0x67].contains(header[156]),
      let content = known(place + 512, Self.size(of: header))
    {
      path = PaxRecords.path(in: content) ?? path
      place += 512 + (content.count + 511) / 512 * 512
    }
    return path
  }

  /// Bytes that have been read and are still in memory.
  private func known(_ offset: Int, _ count: Int) -> [UInt8]? {
    guard stream.nearest(offset) == offset, stream.nearest(offset + count) == offset + count else { return nil }
    var bytes: [UInt8] = []
    while bytes.count < count {
      let more = stream.bytes(at: offset + bytes.count).prefix(count - bytes.count)
      if more.isEmpty { return nil }
      bytes += more
    }
    return bytes
  }

  private static func path(_ entry: OpaquePointer?) -> String? {
    errno = 0
    guard let name = archive_entry_pathname(entry) ?? archive_entry_pathname_utf8(entry) else { return nil }
    let bytes = UnsafeBufferPointer(start: name, count: strlen(name)).map { UInt8(bitPattern: $0) }
    if let text = String(validating: bytes, as: UTF8.self) { return text }
    // Names that are no UTF-8 stay apart: each byte beyond ASCII is spelt out.
    return bytes.map { $0 < 0x80 ? String(Unicode.Scalar($0)) : "\\x" + String($0, radix: 16) }.joined()
  }

  private func content(_ entry: OpaquePointer?, _ path: String) -> Result<[UInt8], ShardProblem> {
    let size = archive_entry_size(entry)
    guard size >= 0, size <= limit else {
      archive_read_data_skip(archive)
      return .failure(problem("member \(path): \(size) bytes, more than the limit of \(limit)"))
    }
    var bytes: [UInt8] = []
    // Grows with what is there: a header may promise more than the stream holds.
    bytes.reserveCapacity(min(Int(size), 1 << 22))
    var failure: ShardProblem?
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: ByteStream.chunkSize) { buffer in
      while failure == nil {
        let read = archive_read_data(archive, buffer.baseAddress, buffer.count)
        if read == 0 { return }
        if read < 0 { failure = tornMember(path, size: Int(size)) }
        if read > 0 { bytes.append(contentsOf: buffer[..<read]) }
      }
    }
    if let failure { return .failure(failure) }
    // A sparse file's last hole is not handed out; a torn file's missing bytes are an error above.
    bytes.append(contentsOf: repeatElement(0, count: max(0, Int(size) - bytes.count)))
    return .success(bytes)
  }

  /// How many bytes there are is not said: libarchive withholds a block that is not whole.
  private func tornMember(_ path: String, size: Int) -> ShardProblem {
    let cause = stream.failure ?? archiveMessage(archive)
    if stream.bytes(at: position).isEmpty { isFinished = true }
    return problem("member \(path): expected \(size) bytes, found fewer: \(cause)")
  }

  // MARK: Between members

  /// At a zero block or the stream's end: finds out which, and steps behind the zeros.
  private func passMarker() -> ShardProblem? {
    let marker = base + Int(archive_read_header_position(archive))
    close()
    position = stream.nearest(marker)
    passSpecialHeaders()
    let zeros = passZeroBlocks()
    if zeros == 0, block(at: position)?.count == 512 { position += 512 }
    let isAtEnd = stream.bytes(at: position).isEmpty
    if isAtEnd { isFinished = true }
    if isAtEnd, let failure = stream.failure { return problem("byte \(position): \(failure)") }
    if zeros >= 2 { markerOffset = marker }
    if zeros >= 2 || (isAtEnd && zeros == 0 && isBehindMarker) {
      isBehindMarker = true
      return nil
    }
    if isAtEnd {
      return problem(
        "byte \(position): ends \(zeros == 1 ? "inside" : "without") its end-of-archive marker after \(members); "
          + "it may be cut off")
    }
    return problem("byte \(marker): a lone zero block stands between members (\(members) before it); reading goes on")
  }

  private var members: String { count == 1 ? "1 member" : "\(count) members" }

  /// Steps over headers that belong to no member, such as a volume's label, and what they hold.
  private func passSpecialHeaders() {
    while let block = block(at: position), Self.isHeader(block) {
      position += 512 + (Self.size(of: block) + 511) / 512 * 512
    }
  }

  /// The bytes that stand behind a header, by its octal digits.
  private static func size(of header: [UInt8]) -> Int {
    let digits = header[124..<135].drop { $0 == 0x20 }.prefix { (0x30...0x37).contains($0) }
    return Int(String(decoding: digits, as: UTF8.self), radix: 8) ?? 0
  }

  /// Steps over whole zero blocks, and over a last piece of zeros shorter than a block; returns how many.
  private func passZeroBlocks() -> Int {
    var blocks = 0
    while let block = block(at: position), block.allSatisfy({ $0 == 0 }) {
      position += block.count
      if block.count < 512 { break }
      blocks += 1
    }
    return blocks
  }

  /// 512 bytes at an offset, fewer at the stream's end, nil where there are none.
  private func block(at offset: Int) -> [UInt8]? {
    var block: [UInt8] = []
    while block.count < 512 {
      let bytes = stream.bytes(at: offset + block.count)
      if bytes.isEmpty { break }
      block.append(contentsOf: bytes.prefix(512 - block.count))
    }
    return block.isEmpty ? nil : block
  }

  /// At a header that is none: says so, and steps to the next block that is one.
  private func passBrokenHeader(isFatal: Bool) -> ShardProblem {
    let message = archiveMessage(archive)
    // After a fatal error libarchive tells only how far it has read.
    let read = isFatal ? archive_filter_bytes(archive, 0) / 512 * 512 : archive_read_header_position(archive)
    let place = base + Int(max(0, read))
    close()
    // At least one block further than where this archive began, so that reading always comes to an end.
    position = max(stream.nearest(place), base)
    if block(at: position) != nil { position += 512 }
    while let block = block(at: position), !Self.isHeader(block) { position += 512 }
    if block(at: position) == nil { isFinished = true }
    if isFinished, let failure = stream.failure { return problem("byte \(stream.windowEnd): \(failure)") }
    if isFinished, stream.windowEnd == 0 { return problem("expected a tar archive, found an empty input") }
    if isFinished, count == 0 { return problem("expected a tar archive: \(message)") }
    let context = isBehindMarker ? "behind the end-of-archive marker" : "after \(members)"
    return problem(
      "byte \(place): \(message), \(context); "
        + (isFinished ? "no sound header follows" : "reading goes on at byte \(position)"))
  }

  /// Whether a block's checksum is that of a tar header, counted with unsigned or signed bytes.
  private static func isHeader(_ block: [UInt8]) -> Bool {
    guard block.count == 512, block[0] != 0 else { return false }
    let digits = block[148..<156].drop { $0 == 0x20 }.prefix { (0x30...0x37).contains($0) }
    guard !digits.isEmpty, let stored = Int(String(decoding: digits, as: UTF8.self), radix: 8) else { return false }
    var unsigned = 0
    var signed = 0
    for (index, byte) in block.enumerated() {
      let value = (148..<156).contains(index) ? 0x20 : byte
      unsigned += Int(value)
      signed += Int(Int8(bitPattern: value))
    }
    return stored == unsigned || stored == signed
  }
}
