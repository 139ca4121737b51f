import CCodecs
import Foundation

/// How many pixels of a JPEG file share a colour.
package enum ChromaSampling: Int32, Sendable {
  /// Each has its own (4:4:4).
  case full = 1
  /// Squares of four share one (4:2:0), as in most photographs.
  case halved = 2
}

extension Picture {
  /// The picture as a JPEG file.
  ///
  /// The same pixels give the same bytes with one version of libjpeg; another version may give others.
  ///
  /// - Parameter quality: libjpeg's, 1 to 100.
  package func jpeg(quality: Int, sampling: ChromaSampling = .full) throws(PictureError) -> [UInt8] {
    var file: UnsafeMutablePointer<UInt8>?
    var count = 0
    var message = [CChar](repeating: 0, count: Int(MP_MESSAGE_SIZE))
    let quality = Int32(min(100, max(1, quality)))
    guard mp_encode_jpeg(rgb, width, height, quality, sampling.rawValue, &file, &count, &message) == 0, let file else {
      let reason = message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
      throw PictureError("JPEG: \(String(decoding: reason, as: UTF8.self))")
    }
    defer { free(file) }
    return Array(UnsafeBufferPointer(start: file, count: count))
  }
}
