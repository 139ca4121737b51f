/// GPT-2's way to write any byte as a visible letter, which byte-level vocabularies use.
enum ByteLevelLetters {
  private static let byteOfLetter: [UInt8?] = {
    var bytes = [UInt8?](repeating: nil, count: 0x180)
    var next = 256
    for byte in UInt8.min...UInt8.max {
      let isPlain = (33...126).contains(byte) || (161...172).contains(byte) || byte >= 174
      bytes[isPlain ? Int(byte) : next] = byte
      if !isPlain { next += 1 }
    }
    return bytes
  }()

  /// The bytes that a token's letters stand for, nil where a character is none of them.
  static func bytes(of text: String) -> [UInt8]? {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.utf8.count)
    for scalar in text.unicodeScalars {
      guard scalar.value < 0x180, let byte = byteOfLetter[Int(scalar.value)] else { return nil }
      bytes.append(byte)
    }
    return bytes
  }
}
