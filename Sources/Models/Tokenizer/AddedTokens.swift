import JSON

/// Tokens that are found in the text before it is cut into words: markers such as `<|im_end|>`.
struct AddedTokens: Sendable {
  struct Token: Sendable {
    let id: Int32
    let content: [UInt8]
    let isSpecial: Bool
    let takesSpaceBefore: Bool
    let takesSpaceBehind: Bool
    let standsAlone: Bool
  }
  private(set) var tokens: [Token] = []
  /// By first byte, the longest first.
  private var byFirstByte: [[Int]] = Array(repeating: [], count: 256)

  /// Reads `added_tokens` of a tokenizer file.
  init(_ json: JSONValue?, place: String) throws(ModelError) {
    for item in json?.array ?? [] {
      guard let id = item["id"]?.int, (0..<(1 << 24)).contains(id), let content = item["content"]?.string,
        !content.isEmpty
      else { throw ModelError("\(place): added_tokens: expected an id and a content, found \(item.kind)") }
      tokens.append(
        Token(
          id: Int32(id), content: Array(content.utf8), isSpecial: item["special"]?.bool ?? false,
          takesSpaceBefore: item["lstrip"]?.bool ?? false, takesSpaceBehind: item["rstrip"]?.bool ?? false,
          standsAlone: item["single_word"]?.bool ?? false))
    }
    for (index, token) in tokens.enumerated() { byFirstByte[Int(token.content[0])].append(index) }
    for byte in byFirstByte.indices {
      byFirstByte[byte].sort { tokens[$0].content.count > tokens[$1].content.count }
    }
  }

  /// A stretch of text, or a token in it.
  enum Part {
    case text(Range<Int>)
    case token(Int32)
  }

  /// Cuts text at its added tokens: the leftmost first, of several the longest.
  func split(_ text: UnsafeBufferPointer<UInt8>, _ body: (Part) -> Void) {
    var start = 0
    var at = 0
    while at < text.count {
      guard let token = token(in: text, at: at) else {
        at += 1
        continue
      }
      var before = at
      if token.takesSpaceBefore { while before > start, Self.isSpace(text[before - 1]) { before -= 1 } }
      if before > start { body(.text(start..<before)) }
      body(.token(token.id))
      at += token.content.count
      if token.takesSpaceBehind { while at < text.count, Self.isSpace(text[at]) { at += 1 } }
      start = at
    }
    if start < text.count { body(.text(start..<text.count)) }
  }

  private func token(in text: UnsafeBufferPointer<UInt8>, at: Int) -> Token? {
    for index in byFirstByte[Int(text[at])] {
      let token = tokens[index]
      let end = at + token.content.count
      guard end <= text.count, text[at..<end].elementsEqual(token.content) else { continue }
      if token.standsAlone {
        if at > 0, Self.isWord(text[at - 1]) { continue }
        if end < text.count, Self.isWord(text[end]) { continue }
      }
      return token
    }
    return nil
  }

  private static func isSpace(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) }

  private static func isWord(_ byte: UInt8) -> Bool {
    byte >= 0x80 || byte == 95 || (48...57).contains(byte) || (97...122).contains(byte | 32)
  }
}
