import Foundation

/// Unicode normalisation form C of UTF-8 text.
enum Normalization {
  /// Nothing below U+0300 changes under NFC, and its UTF-8 begins with a byte below 0xCC.
  static func mayChange(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool { bytes.contains { $0 >= 0xCC } }

  static func composed(_ bytes: UnsafeBufferPointer<UInt8>) -> String {
    let text = String(decoding: bytes, as: UTF8.self).precomposedStringWithCanonicalMapping
    // Foundation leaves a syllable and the consonant that ends it apart.
    return text.unicodeScalars.contains { trailing.contains($0.value) } ? composingHangul(text) : text
  }

  private static let trailing: Range<UInt32> = 0x11A8..<0x11C3
  private static let syllables: Range<UInt32> = 0xAC00..<0xD7A4

  private static func composingHangul(_ text: String) -> String {
    var result = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      if trailing.contains(scalar.value), let last = result.last?.value, syllables.contains(last),
        (last - syllables.lowerBound) % 28 == 0,
        let whole = Unicode.Scalar(last + scalar.value - trailing.lowerBound + 1)
      {
        result.removeLast()
        result.append(whole)
      } else {
        result.append(scalar)
      }
    }
    return String(result)
  }
}
