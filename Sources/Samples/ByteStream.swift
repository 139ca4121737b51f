import CArchive
import Foundation

/// The bytes of a shard, decompressed where they are compressed, with a short memory of what was handed out.
///
/// gzip, bzip2, compress, lzip, xz, lzma, zstd and lz4 are recognised by their content. Several compressed streams one
/// behind the other read as one. Filters that run other programs are left out.
final class ByteStream {
  /// Bytes handed out at a time.
  static let chunkSize = 1 << 16

  /// Why the stream ended early, nil where it simply ended.
  private(set) var failure: String?
  private let archive: OpaquePointer?
  private let descriptor: Int32
  private let closes: Bool
  private var storage: UnsafeMutablePointer<UInt8>
  /// Offset of the storage's first byte, and how many bytes it holds: at most three chunks.
  private var windowStart = 0
  private var windowCount = 0
  private var isAtEnd = false
  /// What is left of libarchive's last block.
  private var pending = UnsafeBufferPointer<UInt8>(start: nil, count: 0)

  /// Reads a descriptor from where it stands.
  init(descriptor: Int32, closes: Bool) {
    self.descriptor = descriptor
    self.closes = closes
    storage = .allocate(capacity: 3 * Self.chunkSize)
    archive = archive_read_new()
    archive_read_support_filter_gzip(archive)
    archive_read_support_filter_bzip2(archive)
    archive_read_support_filter_compress(archive)
    archive_read_support_filter_lzip(archive)
    archive_read_support_filter_lzma(archive)
    archive_read_support_filter_xz(archive)
    archive_read_support_filter_zstd(archive)
    archive_read_support_filter_lz4(archive)
    archive_read_support_format_raw(archive)
    archive_read_support_format_empty(archive)
    var entry: OpaquePointer?
    if archive_read_open_fd(archive, descriptor, Self.chunkSize) != ARCHIVE_OK {
      end(archiveMessage(archive))
    } else {
      switch archive_read_next_header(archive, &entry) {
      case ARCHIVE_OK, ARCHIVE_WARN: break
      case ARCHIVE_EOF: isAtEnd = true
      default: end(archiveMessage(archive))
      }
    }
  }

  deinit {
    archive_read_free(archive)
    storage.deallocate()
    if closes { close(descriptor) }
  }

  private func end(_ message: String?) {
    isAtEnd = true
    failure = message
  }

  /// Bytes of the file itself that have been read, compressed as they are.
  var fileBytes: Int { Int(archive_filter_bytes(archive, -1)) }

  /// Offset behind the last byte handed out.
  var windowEnd: Int { windowStart + windowCount }

  /// Up to a chunk of bytes from `offset` on, which must lie in the window or at its end; empty at the stream's end.
  ///
  /// The memory stays as it is until a call has asked for bytes behind the window twice.
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
    var start: UnsafeRawPointer?
    var count = 0
    var offset: Int64 = 0
    while true {
      switch archive_read_data_block(archive, &start, &count, &offset) {
      case ARCHIVE_OK, ARCHIVE_WARN:
        if count > 0 { return UnsafeBufferPointer(start: start?.assumingMemoryBound(to: UInt8.self), count: count) }
      case ARCHIVE_EOF:
        end(nil)
        return UnsafeBufferPointer(start: nil, count: 0)
      default:
        end(archiveMessage(archive))
        return UnsafeBufferPointer(start: nil, count: 0)
      }
    }
  }
}

/// libarchive's words for its last error.
func archiveMessage(_ archive: OpaquePointer?) -> String {
  archive_error_string(archive).map { String(cString: $0) } ?? "unreadable"
}
