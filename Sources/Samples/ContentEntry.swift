import CZlib

/// The SHA-256 of what a kept block was made from.
package struct ContentKey: Hashable, Sendable {
  private let words: (UInt64, UInt64, UInt64, UInt64)

  /// The key of these bytes.
  package init(of source: [UInt8]) { self.init(digest: SHA256.digest(of: source)[...]) }

  /// - Parameter digest: 32 bytes.
  init(digest: ArraySlice<UInt8>) {
    let words = (0..<4).map { word in
      digest.dropFirst(8 * word).prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    }
    self.words = (words[0], words[1], words[2], words[3])
  }

  /// The 32 bytes.
  var digest: [UInt8] {
    [words.0, words.1, words.2, words.3].flatMap { word in
      (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(56 - 8 * $0)) }
    }
  }

  package static func == (a: ContentKey, b: ContentKey) -> Bool { a.words == b.words }

  package func hash(into hasher: inout Hasher) {
    hasher.combine(words.0)
    hasher.combine(words.1)
  }
}

/// A CRC-32 of bytes, as zlib counts it.
func crc32(of bytes: some Collection<UInt8>) -> UInt32 {
  let sum = bytes.withContiguousStorageIfAvailable { UInt32(crc32_z(0, $0.baseAddress, $0.count)) }
  return sum ?? crc32(of: Array(bytes))
}

extension [UInt8] {
  /// Appends a number, its lowest byte first.
  mutating func append<Number: FixedWidthInteger>(number: Number) {
    append(contentsOf: Swift.withUnsafeBytes(of: number.littleEndian, Array.init))
  }
}

/// What stands before each block in a store's file: whose it is, how long it is, and a checksum of it and of this.
///
/// 88 bytes: marker (8), key (32), head (24), bytes packed and unpacked (8 and 8), CRC-32 of the packed bytes and of the
/// 84 bytes before it (4 and 4). Numbers have their lowest byte first.
struct ContentEntry {
  static let size = 88
  /// Bytes of what the caller keeps beside the block.
  static let headSize = 24
  /// Begins every entry, so that the next is found behind a damaged one.
  static let marker: [UInt8] = [0xE7, 0x1D, 0x5A, 0x0C, 0x93, 0xF4, 0x68, 0xB1]

  let key: ContentKey
  let head: [UInt8]
  /// Bytes of the LZ4 frame behind the entry.
  let packedCount: Int
  /// Bytes that it unpacks to.
  let bodyCount: Int
  /// The frame's checksum.
  let checksum: UInt32

  /// The entry of a block.
  init(key: ContentKey, head: [UInt8], packed: [UInt8], bodyCount: Int) {
    self.init(key: key, head: head, packedCount: packed.count, bodyCount: bodyCount, checksum: crc32(of: packed))
  }

  private init(key: ContentKey, head: [UInt8], packedCount: Int, bodyCount: Int, checksum: UInt32) {
    self.key = key
    self.head = head
    self.packedCount = packedCount
    self.bodyCount = bodyCount
    self.checksum = checksum
  }

  /// An entry before bytes that mean nothing: no source has its key.
  static func covering(_ packedCount: Int) -> ContentEntry {
    let zeros = [UInt8](repeating: 0, count: 32)
    return ContentEntry(
      key: ContentKey(digest: zeros[...]), head: Array(zeros.prefix(headSize)), packedCount: packedCount, bodyCount: 0,
      checksum: 0)
  }

  /// Reads an entry; nil where these bytes are none.
  init?(_ bytes: ArraySlice<UInt8>) {
    guard bytes.count == Self.size, bytes.starts(with: Self.marker) else { return nil }
    func number(_ offset: Int, _ count: Int) -> UInt64 {
      bytes.dropFirst(offset).prefix(count).reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
    guard number(84, 4) == UInt64(crc32(of: bytes.prefix(84))), let packed = Int(exactly: number(64, 8)),
      let body = Int(exactly: number(72, 8)), packed < 1 << 40, body <= packed * 256
    else { return nil }
    key = ContentKey(digest: bytes.dropFirst(8).prefix(32))
    head = Array(bytes.dropFirst(40).prefix(Self.headSize))
    packedCount = packed
    bodyCount = body
    checksum = UInt32(number(80, 4))
  }

  /// The entry as it stands in the file.
  var bytes: [UInt8] {
    var bytes = Self.marker + key.digest + head
    bytes.append(number: UInt64(packedCount))
    bytes.append(number: UInt64(bodyCount))
    bytes.append(number: checksum)
    bytes.append(number: crc32(of: bytes))
    return bytes
  }
}
