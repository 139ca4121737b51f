/// Decodes ids as they come and holds back bytes that are not yet a whole character.
package struct StreamingDecoder {
  private let tokenizer: Tokenizer
  private var held: [UInt8] = []

  package init(_ tokenizer: Tokenizer) { self.tokenizer = tokenizer }

  /// The text that is certain once this id has come; it may be empty.
  package mutating func append(_ id: Int32) -> String {
    held += tokenizer.bytes(of: id) ?? []
    let cut = held.count - Self.incompleteTail(held)
    defer { held.removeFirst(cut) }
    return String(decoding: held[..<cut], as: UTF8.self)
  }

  /// What is held back at the end, incomplete as it is.
  package mutating func finish() -> String {
    defer { held = [] }
    return String(decoding: held, as: UTF8.self)
  }

  /// How many bytes at the end begin a character that later bytes may complete.
  private static func incompleteTail(_ bytes: [UInt8]) -> Int {
    for back in 1...3 where back <= bytes.count {
      let byte = bytes[bytes.count - back]
      if byte & 0xC0 == 0x80 { continue }
      let length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC2 ? 2 : 1
      return length > back ? back : 0
    }
    return 0
  }
}
