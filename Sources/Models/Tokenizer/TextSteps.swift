/// A step that rewrites text before it is cut into words.
enum TextNormalizer: Sendable {
  case nfc
  case replace([UInt8], with: [UInt8])
  case prepend([UInt8])

  /// The text after this step.
  func callAsFunction(_ text: [UInt8]) -> [UInt8] {
    switch self {
    case .nfc:
      return text.withUnsafeBufferPointer {
        Normalization.mayChange($0) ? Array(Normalization.composed($0).utf8) : text
      }
    case .replace(let pattern, let content): return Self.replacing(pattern, with: content, in: text)
    case .prepend(let prefix): return text.isEmpty ? text : prefix + text
    }
  }

  static func replacing(_ pattern: [UInt8], with content: [UInt8], in text: [UInt8]) -> [UInt8] {
    guard let first = pattern.first, text.contains(first) else { return text }
    var result: [UInt8] = []
    result.reserveCapacity(text.count + text.count / 4)
    var at = 0
    while at < text.count {
      if text[at] == first, text[at...].starts(with: pattern) {
        result += content
        at += pattern.count
      } else {
        result.append(text[at])
        at += 1
      }
    }
    return result
  }
}

/// How text is cut into words.
enum WordSplitter: Sendable {
  case pattern(SplitPattern)
  /// Before each of these, which stay at the end of the word before them.
  case behind([UInt8])
  /// Spaces become a mark; a mark goes before the text (always, or before its first piece alone), and words begin with it.
  case marked([UInt8], prepends: Prepending, splits: Bool)
  case whole

  enum Prepending: String, Sendable {
    case always, first, never
  }

  /// Calls `body` with each word, in order.
  ///
  /// - Parameter isFirst: whether the text stands at the very beginning.
  func words(of text: [UInt8], isFirst: Bool, _ body: (ArraySlice<UInt8>) -> Void) {
    switch self {
    case .whole: body(text[...])
    case .pattern(let pattern):
      text.withUnsafeBufferPointer { bytes in pattern.pieces(of: bytes) { body(text[$0]) } }
    case .behind(let separator): Self.cut(text, at: separator, before: false, body)
    case .marked(let mark, let prepends, let splits):
      var marked = TextNormalizer.replacing([0x20], with: mark, in: text)
      if prepends == .always || (prepends == .first && isFirst), !marked.starts(with: mark) { marked = mark + marked }
      if splits { Self.cut(marked, at: mark, before: true, body) } else { body(marked[...]) }
    }
  }

  /// Cuts before or behind each separator.
  private static func cut(
    _ text: [UInt8], at separator: [UInt8], before: Bool, _ body: (ArraySlice<UInt8>) -> Void
  ) {
    var start = 0
    var at = 0
    while at + separator.count <= text.count {
      guard text[at..<at + separator.count].elementsEqual(separator) else {
        at += 1
        continue
      }
      let place = before ? at : at + separator.count
      if place > start { body(text[start..<place]) }
      start = place
      at += separator.count
    }
    if start < text.count { body(text[start...]) }
  }
}

/// What the symbols of a word are before any merge.
enum SymbolAlphabet: Sendable {
  /// A symbol for each of the 256 bytes.
  case bytes([Int32])
  /// Characters that are tokens; others become byte tokens, or the unknown token.
  case characters([UInt32: Int32], bytes: [Int32]?, unknown: Int32?, fusesUnknown: Bool)

  /// Appends the symbols of a word.
  func symbols(of word: ArraySlice<UInt8>, into symbols: inout [Int32]) {
    switch self {
    case .bytes(let table): for byte in word { symbols.append(table[Int(byte)]) }
    case .characters(let table, let bytes, let unknown, let fuses):
      var isUnknown = false
      for scalar in String(decoding: word, as: UTF8.self).unicodeScalars {
        if let symbol = table[scalar.value] {
          symbols.append(symbol)
          isUnknown = false
        } else if let bytes {
          for byte in String(Character(scalar)).utf8 { symbols.append(bytes[Int(byte)]) }
          isUnknown = false
        } else if let unknown {
          if !(fuses && isUnknown) { symbols.append(unknown) }
          isUnknown = true
        }
      }
    }
  }
}
