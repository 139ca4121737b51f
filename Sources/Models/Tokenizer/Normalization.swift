// The standard library's own composition: Foundation's (Swift 6.3) makes wrong syllables of old jamo, and letters of the
// supplementary planes into others.
@_spi(_Unicode) import Swift

/// Unicode normalisation form C of UTF-8 text.
enum Normalization {
  /// Nothing below U+0300 changes under NFC, and its UTF-8 begins with a byte below 0xCC.
  static func mayChange(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool { bytes.contains { $0 >= 0xCC } }

  static func composed(_ bytes: UnsafeBufferPointer<UInt8>) -> String {
    var composed = String.UnicodeScalarView()
    composed.append(contentsOf: String(decoding: bytes, as: UTF8.self)._nfc)
    return String(composed)
  }
}
