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
    /// What is looked for; for a token that is looked for in normalised text, its normalised content.
    let pattern: [UInt8]
  }
  private(set) var tokens: [Token] = []
  /// By first byte, the longest first: those of the text as it is, and those of the normalised text.
  private var byFirstByte: [[Int]] = Array(repeating: [], count: 256)
  private var byFirstNormalizedByte: [[Int]] = Array(repeating: [], count: 256)
  private(set) var hasNormalized = false

  /// Reads `added_tokens` of a tokenizer file.
  init(_ json: JSONValue?, normalizers: [TextNormalizer], place: String) throws(ModelError) {
    for item in json?.array ?? [] {
      guard let id = item["id"]?.int, (0..<(1 << 24)).contains(id), let content = item["content"]?.string,
        !content.isEmpty
      else { throw ModelError("\(place): added_tokens: expected an id and a content, found \(item.kind)") }
      let isNormalized = item["normalized"]?.bool ?? false
      let bytes = Array(content.utf8)
      add(
        Token(
          id: Int32(id), content: bytes, isSpecial: item["special"]?.bool ?? false,
          takesSpaceBefore: item["lstrip"]?.bool ?? false, takesSpaceBehind: item["rstrip"]?.bool ?? false,
          standsAlone: item["single_word"]?.bool ?? false,
          pattern: isNormalized ? normalizers.reduce(bytes) { $1($0) } : bytes), isNormalized: isNormalized)
    }
    sort()
  }

  /// Tokens that are found as they are.
  init(_ plain: [(id: Int32, content: [UInt8], isSpecial: Bool)]) {
    for token in plain where !token.content.isEmpty {
      add(
        Token(
          id: token.id, content: token.content, isSpecial: token.isSpecial, takesSpaceBefore: false,
          takesSpaceBehind: false, standsAlone: false, pattern: token.content), isNormalized: false)
    }
    sort()
  }

  private mutating func add(_ token: Token, isNormalized: Bool) {
    guard let first = token.pattern.first else { return }
    tokens.append(token)
    if isNormalized {
      byFirstNormalizedByte[Int(first)].append(tokens.count - 1)
      hasNormalized = true
    } else {
      byFirstByte[Int(first)].append(tokens.count - 1)
    }
  }

  private mutating func sort() {
    for byte in 0..<256 {
      byFirstByte[byte].sort { tokens[$0].pattern.count > tokens[$1].pattern.count }
      byFirstNormalizedByte[byte].sort { tokens[$0].pattern.count > tokens[$1].pattern.count }
    }
  }

  /// A stretch of text, or a token in it.
  enum Part {
    case text(Range<Int>)
    case token(Int32)
  }

  /// Cuts text at its added tokens: the leftmost first, of several the longest.
  func split(_ text: UnsafeBufferPointer<UInt8>, normalized: Bool, _ body: (Part) -> Void) {
    let table = normalized ? byFirstNormalizedByte : byFirstByte
    var start = 0
    var at = 0
    while at < text.count {
      guard let token = token(in: text, at: at, table) else {
        at += 1
        continue
      }
      var before = at
      if token.takesSpaceBefore { while before > start, Self.isSpace(text[before - 1]) { before -= 1 } }
      if before > start { body(.text(start..<before)) }
      body(.token(token.id))
      at += token.pattern.count
      if token.takesSpaceBehind { while at < text.count, Self.isSpace(text[at]) { at += 1 } }
      start = at
    }
    if start < text.count { body(.text(start..<text.count)) }
  }

  private func token(in text: UnsafeBufferPointer<UInt8>, at: Int, _ table: [[Int]]) -> Token? {
    for index in table[Int(text[at])] {
      let token = tokens[index]
      let end = at + token.pattern.count
      guard end <= text.count, text[at..<end].elementsEqual(token.pattern) else { continue }
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
