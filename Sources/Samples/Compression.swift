import CLZ4
import CZlib
import Foundation

/// How an output file is compressed: by its name's ending.
package enum Compression: Sendable {
  case none, gzip, lz4

  /// `.gz` and `.lz4` compress.
  package init(path: String) {
    self = path.hasSuffix(".gz") ? .gzip : path.hasSuffix(".lz4") ? .lz4 : .none
  }

  /// An ending that promises another compression than the one that would be written; nil where there is none.
  package static func brokenPromise(of path: String) -> String? {
    let known = [".gz", ".lz4"]
    let others = [".tgz", ".zst", ".zstd", ".xz", ".txz", ".bz2", ".tbz2", ".lzma", ".lz", ".Z", ".zip"]
    if known.contains(where: path.hasSuffix) { return nil }
    return (known + others).first { path.lowercased().hasSuffix($0.lowercased()) }
  }

  /// An encoder of this kind, nil for none.
  func makeEncoder() -> (any FrameEncoder)? {
    switch self {
    case .none: nil
    case .gzip: GzipEncoder()
    case .lz4: LZ4Encoder()
    }
  }

  /// A decoder of this kind, nil for none.
  func makeDecoder() -> (any FrameDecoder)? {
    switch self {
    case .none: nil
    case .gzip: GzipDecoder()
    case .lz4: LZ4Decoder()
    }
  }
}

/// Makes frames (gzip members, LZ4 frames) that decompress one behind the other.
protocol FrameEncoder: AnyObject {
  /// The frame's first bytes.
  func begin() -> [UInt8]
  /// These bytes, flushed: a reader gets all of them.
  func append(_ bytes: [UInt8]) -> [UInt8]
  /// The frame's last bytes.
  func end() -> [UInt8]
}

/// What a decoder made of some bytes.
struct FrameStep {
  enum State {
    case within, ended, broken
  }
  /// How many of them it used.
  let used: Int
  /// What came out, up to where they are broken.
  let output: [UInt8]
  /// Where it stands behind them.
  let state: State
}

/// Reads one frame after the other.
protocol FrameDecoder: AnyObject {
  /// Decompresses some bytes, up to the end of a frame. Behind broken ones it cannot be gone on with.
  func decode(_ bytes: UnsafeBufferPointer<UInt8>) -> FrameStep
}

private final class GzipEncoder: FrameEncoder {
  private var stream = z_stream()

  init() {
    // 15 window bits, 16 for the gzip header: time 0, so that equal input gives equal bytes.
    deflateInit2_(
      &stream, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
  }

  deinit { deflateEnd(&stream) }

  func begin() -> [UInt8] {
    deflateReset(&stream)
    return []
  }

  func append(_ bytes: [UInt8]) -> [UInt8] { run(bytes, Z_SYNC_FLUSH) }

  func end() -> [UInt8] { run([], Z_FINISH) }

  /// zlib counts in 32 bits: it takes so many bytes at once.
  private static let most = 1 << 30

  private func run(_ bytes: [UInt8], _ flush: Int32) -> [UInt8] {
    var output: [UInt8] = []
    var input = bytes
    input.withUnsafeMutableBufferPointer { source in
      withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 1 << 14) { buffer in
        var first = 0
        repeat {
          let count = min(Self.most, source.count - first)
          stream.next_in = source.baseAddress.map { $0 + first }
          stream.avail_in = UInt32(count)
          first += count
          repeat {
            stream.next_out = buffer.baseAddress
            stream.avail_out = UInt32(buffer.count)
            let status = deflate(&stream, first < source.count ? Z_NO_FLUSH : flush)
            precondition(status != Z_STREAM_ERROR, "zlib has no state to compress with")
            output.append(contentsOf: buffer[..<(buffer.count - Int(stream.avail_out))])
          } while stream.avail_out == 0
        } while first < source.count
      }
    }
    return output
  }
}

private final class GzipDecoder: FrameDecoder {
  private var stream = z_stream()

  init() { inflateInit2_(&stream, 31, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) }

  deinit { inflateEnd(&stream) }

  func decode(_ bytes: UnsafeBufferPointer<UInt8>) -> FrameStep {
    var output: [UInt8] = []
    stream.next_in = UnsafeMutablePointer(mutating: bytes.baseAddress)
    stream.avail_in = UInt32(bytes.count)
    var status = Z_OK
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 1 << 16) { buffer in
      repeat {
        stream.next_out = buffer.baseAddress
        stream.avail_out = UInt32(buffer.count)
        status = inflate(&stream, Z_NO_FLUSH)
        output.append(contentsOf: buffer[..<(buffer.count - Int(stream.avail_out))])
      } while status == Z_OK && (stream.avail_in > 0 || stream.avail_out == 0)
    }
    let used = bytes.count - Int(stream.avail_in)
    if status == Z_STREAM_END { inflateReset(&stream) }
    let state: FrameStep.State =
      status == Z_STREAM_END ? .ended : status == Z_OK || status == Z_BUF_ERROR ? .within : .broken
    return FrameStep(used: used, output: output, state: state)
  }
}

private final class LZ4Encoder: FrameEncoder {
  private var context: OpaquePointer?
  private var preferences = LZ4F_preferences_t()

  init() {
    LZ4F_createCompressionContext(&context, UInt32(LZ4F_VERSION))
    preferences.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled
    preferences.autoFlush = 1
  }

  deinit { LZ4F_freeCompressionContext(context) }

  func begin() -> [UInt8] {
    collect(64) { LZ4F_compressBegin(context, $0, $1, &preferences) }
  }

  func append(_ bytes: [UInt8]) -> [UInt8] {
    bytes.withUnsafeBytes { source in
      collect(LZ4F_compressBound(source.count, &preferences)) { out, room in
        LZ4F_compressUpdate(context, out, room, source.baseAddress, source.count, nil)
      }
    }
  }

  func end() -> [UInt8] {
    collect(LZ4F_compressBound(0, &preferences) + 64) { LZ4F_compressEnd(context, $0, $1, nil) }
  }

  private func collect(_ room: Int, _ body: (UnsafeMutableRawPointer?, Int) -> Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: room) { buffer, count in
      let written = body(buffer.baseAddress, buffer.count)
      count = LZ4F_isError(written) == 0 ? written : 0
    }
  }
}

private final class LZ4Decoder: FrameDecoder {
  private var context: OpaquePointer?

  init() { LZ4F_createDecompressionContext(&context, UInt32(LZ4F_VERSION)) }

  deinit { LZ4F_freeDecompressionContext(context) }

  func decode(_ bytes: UnsafeBufferPointer<UInt8>) -> FrameStep {
    var output: [UInt8] = []
    var used = 0
    var hint = 1
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 1 << 16) { buffer in
      while true {
        var produced = buffer.count
        var consumed = bytes.count - used
        hint = LZ4F_decompress(
          context, buffer.baseAddress, &produced, bytes.baseAddress?.advanced(by: used), &consumed, nil)
        if LZ4F_isError(hint) != 0 { return }
        output.append(contentsOf: buffer[..<produced])
        used += consumed
        if hint == 0 || (produced < buffer.count && used >= bytes.count) { return }
      }
    }
    return FrameStep(
      used: used, output: output, state: LZ4F_isError(hint) != 0 ? .broken : hint == 0 ? .ended : .within)
  }
}

/// One LZ4 frame as a whole.
enum LZ4Frame {
  /// Compresses bytes; nil where there is no memory for it.
  static func pack(_ bytes: UnsafeRawBufferPointer) -> [UInt8]? {
    var preferences = LZ4F_preferences_t()
    preferences.frameInfo.contentSize = UInt64(bytes.count)
    let room = LZ4F_compressFrameBound(bytes.count, &preferences)
    let frame = [UInt8](unsafeUninitializedCapacity: room) { buffer, count in
      let written = LZ4F_compressFrame(buffer.baseAddress, room, bytes.baseAddress, bytes.count, &preferences)
      count = LZ4F_isError(written) == 0 ? written : 0
    }
    return frame.isEmpty ? nil : frame
  }

  /// Decompresses a frame that is known to hold this many bytes; nil where it does not, or is broken.
  static func unpack(_ frame: [UInt8], count: Int) -> [UInt8]? {
    var context: OpaquePointer?
    guard LZ4F_isError(LZ4F_createDecompressionContext(&context, UInt32(LZ4F_VERSION))) == 0 else { return nil }
    defer { LZ4F_freeDecompressionContext(context) }
    var isWhole = false
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      var used = 0
      while true {
        var produced = count - filled
        var consumed = frame.count - used
        let hint = frame.withUnsafeBufferPointer { source in
          LZ4F_decompress(
            context, buffer.baseAddress?.advanced(by: filled), &produced, source.baseAddress?.advanced(by: used),
            &consumed, nil)
        }
        if LZ4F_isError(hint) != 0 { return }
        filled += produced
        used += consumed
        if hint == 0 { isWhole = filled == count && used == frame.count }
        if hint == 0 || (produced == 0 && consumed == 0) { return }
      }
    }
    return isWhole ? bytes : nil
  }
}
