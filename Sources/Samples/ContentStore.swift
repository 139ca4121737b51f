import Foundation

/// A store's file that cannot be used: what was expected and what was found.
package struct ContentStoreFailure: Error, Sendable, CustomStringConvertible {
  package let description: String
}

/// Blocks of bytes, kept in a file under the SHA-256 of what they were made from.
///
/// The file begins with 48 bytes: a magic word (8), the version (4), a fingerprint of how the blocks are made (32) and a
/// CRC-32 of these (4). Then come entries, each behind the last: see `ContentEntry`. It grows at its end alone, so what a
/// killed run leaves is whole but for the last entry, which is dropped. One process at a time adds to a file; others that
/// open it read what it holds by then.
package final class ContentStore {
  /// A block and what was kept beside it.
  package struct Content: Sendable, Equatable {
    /// 24 bytes.
    package let head: [UInt8]
    package let body: [UInt8]
  }

  /// What a store has under a key.
  package enum Finding: Sendable, Equatable {
    case content(Content)
    case nothing
    /// It had something: that entry does not pass its checksum, and is as good as none from here on.
    case damaged(offset: Int)
  }

  private static let magic = Array("mpstore\n".utf8)
  private static let version: UInt32 = 1
  private static let headerSize = 48

  /// What the user should know of how the file was found.
  package private(set) var notes: [String] = []
  private let path: String
  private let descriptor: Int32
  private let maximumBytes: Int
  private var places: [ContentKey: Int] = [:]
  /// Behind the last whole entry.
  private var end = 0
  /// Whether blocks are still added.
  private var grows: Bool

  /// Opens a file, or begins one.
  ///
  /// - Parameters:
  ///   - fingerprint: 32 bytes that stand for everything but the source that a block depends on.
  ///   - maximumBytes: how large the file may become.
  package init(path: String, fingerprint: [UInt8], maximumBytes: Int) throws(ContentStoreFailure) {
    let opened = try Self.open(path)
    self.path = path
    descriptor = opened.descriptor
    self.maximumBytes = maximumBytes
    grows = opened.obstacle == nil
    if let obstacle = opened.obstacle { notes.append("\(path): \(obstacle): it is read, and nothing is added") }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw ContentStoreFailure(description: "\(path): expected a regular file")
    }
    end = Int(status.st_size)
    try checkHeader(Self.header(fingerprint))
    findEntries()
  }

  deinit { close(descriptor) }

  private static func open(_ path: String) throws(ContentStoreFailure) -> (descriptor: Int32, obstacle: String?) {
    // What is no file, such as a pipe that nobody writes, is not waited for.
    let flags = O_CLOEXEC | O_NONBLOCK
    let descriptor = Foundation.open(path, O_RDWR | O_CREAT | flags, 0o666)
    if descriptor >= 0 {
      if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return (descriptor, nil) }
      return (descriptor, errno == EWOULDBLOCK ? "another run adds to it" : String(cString: strerror(errno)))
    }
    let cause = String(cString: strerror(errno))
    if errno == EACCES || errno == EROFS || errno == EPERM {
      let descriptor = Foundation.open(path, O_RDONLY | flags)
      if descriptor >= 0 { return (descriptor, cause) }
    }
    throw ContentStoreFailure(description: "\(path): \(cause)")
  }

  // MARK: Finding what is there

  private static func header(_ fingerprint: [UInt8]) -> [UInt8] {
    precondition(fingerprint.count == 32, "a fingerprint has 32 bytes")
    var header = magic
    header.append(number: version)
    header += fingerprint
    header.append(number: crc32(of: header))
    return header
  }

  private func checkHeader(_ expected: [UInt8]) throws(ContentStoreFailure) {
    let found = read(at: 0, count: min(end, Self.headerSize))
    func refusal(_ text: String) -> ContentStoreFailure { ContentStoreFailure(description: "\(path): \(text)") }
    guard found.prefix(8).elementsEqual(Self.magic.prefix(found.count)) else {
      throw refusal("expected a file that this tool keeps, found another kind of file; set another path")
    }
    if found.count < Self.headerSize {
      // New, or its beginning was cut off.
      return begin(expected)
    }
    if found == expected { return }
    guard found[8..<12] == expected[8..<12] else {
      throw refusal("expected version \(Self.version), found another; set another path, or delete it")
    }
    guard ArraySlice(found[..<44]).elementsEqual(expected[..<44]) else {
      throw refusal(
        "its contents were made by another model, with other settings or other weights; set another path, or delete it")
    }
    throw refusal("its beginning is damaged; set another path, or delete it")
  }

  private func begin(_ header: [UInt8]) {
    end = 0
    guard grows else { return }
    if let problem = write(header) { notes.append(stopGrowing(problem)) }
  }

  private func findEntries() {
    let size = end
    var offset = Self.headerSize
    while offset < size {
      if let entry = ContentEntry(read(at: offset, count: ContentEntry.size)[...]) {
        let next = offset + ContentEntry.size + entry.packedCount
        if next > size { break }
        places[entry.key] = offset
        offset = next
      } else if let next = nextEntry(from: offset + 1, to: size) {
        notes.append("\(path): damaged between bytes \(offset) and \(next): what stood there is made again")
        cover(offset..<next)
        offset = next
      } else {
        break
      }
    }
    if size > 0 { end = offset }
    // What a run that was cut off left behind the last whole entry.
    if grows, size > end { _ = ftruncate(descriptor, off_t(end)) }
  }

  /// Makes a damaged stretch one entry that nobody asks for, so that the next run does not meet it again.
  private func cover(_ stretch: Range<Int>) {
    let packedCount = stretch.count - ContentEntry.size
    guard grows, packedCount >= 0 else { return }
    let entry = ContentEntry.covering(packedCount).bytes
    _ = entry.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, off_t(stretch.lowerBound)) }
  }

  /// The offset of the next sound entry, nil where there is none.
  private func nextEntry(from start: Int, to size: Int) -> Int? {
    var start = start
    while start + ContentEntry.size <= size {
      let chunk = read(at: start, count: min(1 << 20, size - start))
      let places = chunk.count - ContentEntry.size + 1
      if places <= 0 { return nil }
      for place in 0..<places where chunk[place] == ContentEntry.marker[0] {
        if ContentEntry(chunk[place..<place + ContentEntry.size]) != nil { return start + place }
      }
      start += places
    }
    return nil
  }

  // MARK: Reading

  /// What is kept under a key, checked.
  package func find(_ key: ContentKey) -> Finding {
    guard let offset = places[key] else { return .nothing }
    guard let content = content(of: key, at: offset) else {
      places[key] = nil
      return .damaged(offset: offset)
    }
    return .content(content)
  }

  private func content(of key: ContentKey, at offset: Int) -> Content? {
    guard let entry = ContentEntry(read(at: offset, count: ContentEntry.size)[...]), entry.key == key,
      offset + ContentEntry.size + entry.packedCount <= end
    else { return nil }
    let packed = read(at: offset + ContentEntry.size, count: entry.packedCount)
    guard packed.count == entry.packedCount, crc32(of: packed) == entry.checksum,
      let body = LZ4Frame.unpack(packed, count: entry.bodyCount)
    else { return nil }
    return Content(head: entry.head, body: body)
  }

  /// Fewer bytes where the file has no more, or cannot be read.
  private func read(at offset: Int, count: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      while filled < count {
        let place = buffer.baseAddress?.advanced(by: filled)
        let step = pread(descriptor, place, count - filled, off_t(offset + filled))
        if step < 0, errno == EINTR { continue }
        if step <= 0 { return }
        filled += step
      }
    }
  }

  // MARK: Adding

  /// Keeps a block under a key that has none. That it cannot be kept is no failure: from then on none is.
  ///
  /// - Parameter head: 24 bytes, kept beside it.
  /// - Returns: why no more blocks are kept, once, for people.
  package func add(_ key: ContentKey, head: [UInt8], body: UnsafeRawBufferPointer) -> String? {
    precondition(head.count == ContentEntry.headSize, "a head has 24 bytes")
    guard grows, places[key] == nil, let packed = LZ4Frame.pack(body) else { return nil }
    let entry = ContentEntry(key: key, head: head, packed: packed, bodyCount: body.count)
    guard end + ContentEntry.size + packed.count <= maximumBytes else {
      return stopGrowing("it has the \(maximumBytes) bytes that it may have")
    }
    let offset = end
    if let problem = write(entry.bytes) ?? write(packed) {
      end = offset
      return stopGrowing(problem)
    }
    places[key] = offset
    return nil
  }

  /// Goes back to the last whole entry.
  private func stopGrowing(_ cause: String) -> String {
    grows = false
    _ = ftruncate(descriptor, off_t(end))
    return "\(path): \(cause): nothing more is added"
  }

  /// Writes at the end; what went wrong, or nil.
  private func write(_ bytes: [UInt8]) -> String? {
    var written = 0
    while written < bytes.count {
      let step = bytes.withUnsafeBytes { all in
        let rest = UnsafeRawBufferPointer(rebasing: all[written...])
        return pwrite(descriptor, rest.baseAddress, rest.count, off_t(end + written))
      }
      if step < 0, errno == EINTR { continue }
      guard step > 0 else { return String(cString: strerror(errno)) }
      written += step
    }
    end += bytes.count
    return nil
  }
}
