import CArchive
import Foundation

/// The bytes of a shard, decompressed where they are compressed, with a short memory of what was handed out.
///
/// gzip, bzip2, compress, lzip, xz, lzma, zstd and lz4 are recognised by their content. Several streams one behind the
/// other read as one, whatever they are compressed with; but xz, zstd and what is not compressed are followed by their own
/// kind alone, else by an error.
/// Filters that run other programs are left out. zlib and liblz4 read their own: libarchive passes over gzip's checksums.
final class ByteStream {
  /// Bytes handed out at a time.
  static let chunkSize = 1 << 16

  /// What decompresses the present stream.
  private enum Source {
    case frames(any FrameDecoder, name: String)
    /// libarchive, and where its stream begins.
    case archive(OpaquePointer?, start: Int)
  }

  /// Why the stream ended early, nil where it simply ended.
  private(set) var failure: String?
  private let input: RawInput
  /// nil between two streams.
  private var source: Source?
  private var storage: UnsafeMutablePointer<UInt8>
  /// Offset of the storage's first byte, and how many bytes it holds: at most three chunks.
  private var windowStart = 0
  private var windowCount = 0
  private var isAtEnd = false
  /// What is left of the last block.
  private var pending = UnsafeBufferPointer<UInt8>(start: nil, count: 0)
  /// The last block that was decompressed here.
  private var decompressed = UnsafeMutableBufferPointer<UInt8>(start: nil, count: 0)

  /// Reads a descriptor from where it stands.
  init(descriptor: Int32, closes: Bool) {
    input = RawInput(descriptor: descriptor, closes: closes)
    storage = .allocate(capacity: 3 * Self.chunkSize)
    beginStream()
  }

  deinit {
    if case .archive(let archive, _) = source { archive_read_free(archive) }
    storage.deallocate()
    decompressed.deallocate()
  }

  // MARK: Streams

  /// Finds out what the next stream is compressed with.
  private func beginStream() {
    guard passSkippableFrames() else { return }
    let head = input.peek(4)
    if head.isEmpty { return end(input.failure) }
    let found: (Compression, String)? =
      head.starts(with: [0x1F, 0x8B])
      ? (.gzip, "gzip") : head.elementsEqual([0x04, 0x22, 0x4D, 0x18]) ? (.lz4, "lz4") : nil
    if let found, let decoder = found.0.makeDecoder() {
      source = .frames(decoder, name: found.1)
    } else {
      openArchive()
    }
  }

  /// Frames that zstd and lz4 both leave to others stand before either. False where one is torn.
  private func passSkippableFrames() -> Bool {
    while true {
      let head = input.peek(8)
      guard head.count == 8, (0x50...0x5F).contains(head[0]), head[1...3].elementsEqual([0x2A, 0x4D, 0x18]) else {
        return true
      }
      var rest = 8 + (0..<4).reduce(0) { $0 + Int(head[4 + $1]) << (8 * $1) }
      while rest > 0 {
        let count = min(rest, input.peek().count)
        if count == 0 {
          end(input.failure ?? "truncated input")
          return false
        }
        input.take(count)
        rest -= count
      }
    }
  }

  private func openArchive() {
    let archive = archive_read_new()
    let begin = input.position
    source = .archive(archive, start: begin)
    archive_read_support_filter_bzip2(archive)
    archive_read_support_filter_compress(archive)
    archive_read_support_filter_lzip(archive)
    archive_read_support_filter_lzma(archive)
    archive_read_support_filter_xz(archive)
    archive_read_support_filter_zstd(archive)
    // LZ4's older frames.
    archive_read_support_filter_lz4(archive)
    archive_read_support_format_raw(archive)
    archive_read_support_format_empty(archive)
    let opened = archive_read_open(
      archive, Unmanaged.passUnretained(input).toOpaque(), nil,
      { _, context, buffer in
        guard let context else { return -1 }
        let input = Unmanaged<RawInput>.fromOpaque(context).takeUnretainedValue()
        let bytes = input.peek()
        buffer?.pointee = UnsafeRawPointer(bytes.baseAddress)
        input.take(bytes.count)
        return bytes.count
      }, nil)
    var entry: OpaquePointer?
    guard opened == ARCHIVE_OK else { return end(input.failure ?? archiveMessage(archive)) }
    switch archive_read_next_header(archive, &entry) {
    case ARCHIVE_OK, ARCHIVE_WARN: break
    case ARCHIVE_EOF: endArchive(archive, begin)
    default: end(input.failure ?? archiveMessage(archive))
    }
  }

  /// At the end of an archive's stream: what libarchive took of the input and did not need is another stream's.
  private func endArchive(_ archive: OpaquePointer?, _ begin: Int) {
    let used = begin + Int(archive_filter_bytes(archive, -1))
    if used == begin {
      end(input.failure)
    } else if !input.goBack(to: used) {
      end("byte \(used): what follows there cannot be found again")
    }
    archive_read_free(archive)
    source = nil
  }

  private func end(_ message: String?) {
    isAtEnd = true
    failure = message
  }

  /// Bytes of the file itself that have been read, compressed as they are.
  var fileBytes: Int { input.total }

  /// Offset behind the last byte handed out.
  var windowEnd: Int { windowStart + windowCount }

  /// Up to a chunk of bytes from `offset` on, which must lie in the window or at its end; empty at the stream's end.
  ///
  /// The memory stays valid until the next chunk is read.
  func bytes(at offset: Int) -> UnsafeBufferPointer<UInt8> {
    if offset >= windowEnd { readChunk() }
    let start = min(max(offset, windowStart), windowEnd)
    return UnsafeBufferPointer(start: storage + (start - windowStart), count: min(windowEnd - start, Self.chunkSize))
  }

  /// The nearest offset to this one whose bytes are still there.
  func nearest(_ offset: Int) -> Int { min(max(offset, windowStart), windowEnd) }

  private func readChunk() {
    if isAtEnd, pending.isEmpty { return }
    if windowCount > 2 * Self.chunkSize {
      storage.update(from: storage + Self.chunkSize, count: windowCount - Self.chunkSize)
      windowStart += Self.chunkSize
      windowCount -= Self.chunkSize
    }
    if pending.isEmpty { pending = nextBlock() }
    let count = min(pending.count, Self.chunkSize, 3 * Self.chunkSize - windowCount)
    guard count > 0, let source = pending.baseAddress else { return }
    storage.advanced(by: windowCount).update(from: source, count: count)
    windowCount += count
    pending = UnsafeBufferPointer(rebasing: pending[count...])
  }

  /// What the file has now, without waiting for more: a reader of a slow pipe gets its records as they come.
  private func nextBlock() -> UnsafeBufferPointer<UInt8> {
    while !isAtEnd {
      switch source {
      case .frames(let decoder, let name):
        if let block = decompress(decoder, name) { return block }
      case .archive(let archive, let start):
        if let block = read(archive, start) { return block }
      case nil: beginStream()
      }
    }
    return UnsafeBufferPointer(start: nil, count: 0)
  }

  /// Input that is decompressed at once: a thousand times as much may come out.
  private static let pieceSize = 4096

  /// nil where nothing came out, or the stream ended.
  private func decompress(_ decoder: any FrameDecoder, _ name: String) -> UnsafeBufferPointer<UInt8>? {
    let bytes = UnsafeBufferPointer(rebasing: input.peek().prefix(Self.pieceSize))
    if bytes.isEmpty {
      end(input.failure ?? "truncated \(name) input")
      return nil
    }
    let step = decoder.decode(bytes)
    input.take(step.used)
    switch step.state {
    case .within: break
    // Whether another one follows is found out when this one's bytes have been handed out.
    case .ended: source = nil
    case .broken: end("\(name): damaged data, or a checksum that is not theirs, near byte \(input.position)")
    }
    decompressed.deallocate()
    decompressed = .allocate(capacity: step.output.count)
    _ = decompressed.initialize(from: step.output)
    return decompressed.isEmpty ? nil : UnsafeBufferPointer(decompressed)
  }

  /// nil where the stream ended.
  private func read(_ archive: OpaquePointer?, _ begin: Int) -> UnsafeBufferPointer<UInt8>? {
    var start: UnsafeRawPointer?
    var count = 0
    var offset: Int64 = 0
    while true {
      switch archive_read_data_block(archive, &start, &count, &offset) {
      case ARCHIVE_OK, ARCHIVE_WARN:
        if count > 0 { return UnsafeBufferPointer(start: start?.assumingMemoryBound(to: UInt8.self), count: count) }
      case ARCHIVE_EOF:
        endArchive(archive, begin)
        return nil
      default:
        end(input.failure ?? archiveMessage(archive))
        return nil
      }
    }
  }
}

/// libarchive's words for its last error.
func archiveMessage(_ archive: OpaquePointer?) -> String {
  archive_error_string(archive).map { String(cString: $0) } ?? "unreadable"
}
