import Foundation

/// The bytes of a descriptor as they are, a chunk at a time, with a memory of the last two chunks: a reader that has taken
/// more than it needed puts the rest back.
final class RawInput {
  private let descriptor: Int32
  private let closes: Bool
  private let storage: UnsafeMutablePointer<UInt8>
  private static let chunkSize = 1 << 16
  /// Bytes read so far; `kept` of them are in the storage, and `unread` of those have not been taken.
  private(set) var total = 0
  private var kept = 0
  private var unread = 0
  private var isAtEnd = false
  /// Why reading ended early, nil where it simply ended.
  private(set) var failure: String?

  /// Reads a descriptor from where it stands.
  init(descriptor: Int32, closes: Bool) {
    self.descriptor = descriptor
    self.closes = closes
    storage = .allocate(capacity: 2 * Self.chunkSize)
  }

  deinit {
    storage.deallocate()
    if closes { close(descriptor) }
  }

  /// Offset of the next byte.
  var position: Int { total - unread }

  /// What is there, without waiting for more unless there is nothing; empty at the end. The memory stays valid
  /// until the next chunk is read.
  func peek() -> UnsafeBufferPointer<UInt8> {
    if unread == 0 { readChunk() }
    return UnsafeBufferPointer(start: storage + (kept - unread), count: unread)
  }

  /// The next bytes, fewer than asked for at the end alone.
  func peek(_ count: Int) -> UnsafeBufferPointer<UInt8> {
    while unread < count, !isAtEnd { readChunk() }
    return UnsafeBufferPointer(rebasing: peek().prefix(count))
  }

  /// Takes bytes that have been peeked at.
  func take(_ count: Int) { unread -= count }

  /// Puts back what was taken behind this offset; false where it is no longer known.
  func goBack(to offset: Int) -> Bool {
    guard offset <= total, total - offset <= kept else { return false }
    unread = total - offset
    return true
  }

  private func readChunk() {
    if isAtEnd { return }
    let room = 2 * Self.chunkSize
    if kept + Self.chunkSize > room {
      let drop = kept + Self.chunkSize - room
      storage.update(from: storage + drop, count: kept - drop)
      kept -= drop
    }
    var count = read(descriptor, storage + kept, Self.chunkSize)
    while count < 0, errno == EINTR { count = read(descriptor, storage + kept, Self.chunkSize) }
    if count < 0 { failure = String(cString: strerror(errno)) }
    if count <= 0 {
      isAtEnd = true
      return
    }
    (total, kept, unread) = (total + count, kept + count, unread + count)
  }
}
