/// A word of the pipe language and where it stands.
struct Token {
  enum Kind: Equatable {
    case name(String)
    case string(String)
    /// A number as it was written, perhaps with a size suffix (`512M`).
    case number(String)
    /// `$NAME`.
    case parameter(String)
    /// One of `| @ = [ ] , ( )`.
    case sign(Character)
    case end
  }
  let kind: Kind
  let range: Range<Int>

  /// The token as messages name it.
  var text: String {
    switch kind {
    case .name(let name): "\"\(name)\""
    case .string: "a string"
    case .number(let text): "the number \(text)"
    case .parameter(let name): "\"$\(name)\""
    case .sign(let sign): "'\(sign)'"
    case .end: "the end of the pipe"
    }
  }
}

/// Cuts a text into tokens. What is no token is an error with its place; cutting goes on behind it.
struct Lexer {
  let source: SourceText
  private(set) var diagnostics: [Diagnostic] = []
  private var at = 0

  init(_ source: SourceText) { self.source = source }

  private var bytes: [UInt8] { source.bytes }

  /// All tokens, `.end` last.
  mutating func tokens() -> [Token] {
    var tokens: [Token] = []
    while let token = next() { tokens.append(token) }
    tokens.append(Token(kind: .end, range: bytes.count..<bytes.count))
    return tokens
  }

  private mutating func report(_ message: String, _ range: Range<Int>, hint: String? = nil) {
    diagnostics.append(Diagnostic(message, at: .source(source, range), hint: hint))
  }

  private mutating func next() -> Token? {
    while at < bytes.count {
      let start = at
      switch bytes[at] {
      case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\n"), UInt8(ascii: "\r"): at += 1
      case UInt8(ascii: "#"): skipComment()
      case UInt8(ascii: "\""): return Token(kind: .string(string()), range: start..<at)
      case UInt8(ascii: "$"): if let token = parameter() { return token }
      case let byte where Self.signs.contains(byte):
        at += 1
        return Token(kind: .sign(Character(Unicode.Scalar(byte))), range: start..<at)
      case let byte where Self.isLetter(byte):
        return Token(kind: .name(takeWord()), range: start..<at)
      case let byte where Self.isDigit(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "."):
        if let token = number() { return token }
      default: skipUnknown()
      }
    }
    return nil
  }

  private static let signs = Set("|@=[],()".utf8)

  static func isLetter(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) || byte == UInt8(ascii: "_")
  }

  static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

  private static func continuesWord(_ byte: UInt8) -> Bool {
    isLetter(byte) || isDigit(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".")
  }

  private mutating func skipComment() {
    while at < bytes.count, bytes[at] != UInt8(ascii: "\n") { at += 1 }
  }

  private mutating func takeWord() -> String {
    let start = at
    while at < bytes.count, Self.continuesWord(bytes[at]) { at += 1 }
    return String(decoding: bytes[start..<at], as: UTF8.self)
  }

  private mutating func parameter() -> Token? {
    let start = at
    at += 1
    guard at < bytes.count, Self.isLetter(bytes[at]) else {
      report("expected a parameter's name behind '$'", start..<at)
      return nil
    }
    return Token(kind: .parameter(takeWord()), range: start..<at)
  }

  private mutating func number() -> Token? {
    let start = at
    at += 1
    while at < bytes.count, Self.continuesWord(bytes[at]) || bytes[at] == UInt8(ascii: "+") { at += 1 }
    let text = String(decoding: bytes[start..<at], as: UTF8.self)
    let digits = text.last.map { "kKmMgGtT".contains($0) } == true ? String(text.dropLast()) : text
    guard let value = Double(digits), value.isFinite,
      digits.utf8.allSatisfy({ Set("0123456789.eE+-".utf8).contains($0) })
    else {
      report("\"\(text.prefix(60))\" is no number", start..<at, hint: "text that begins with a digit needs quotes")
      return nil
    }
    return Token(kind: .number(text), range: start..<at)
  }

  /// Text up to the closing quote, which stands on the same line.
  private mutating func string() -> String {
    let start = at
    at += 1
    var text: [UInt8] = []
    while at < bytes.count, bytes[at] != UInt8(ascii: "\n") {
      let byte = bytes[at]
      at += 1
      if byte == UInt8(ascii: "\"") { return checked(text, start..<at) }
      if byte == UInt8(ascii: "\\") { escape(into: &text) } else { text.append(byte) }
    }
    report("a string without its closing quote", start..<at)
    return String(decoding: text, as: UTF8.self)
  }

  private mutating func checked(_ text: [UInt8], _ range: Range<Int>) -> String {
    if let valid = String(validating: text, as: UTF8.self) { return valid }
    report("a string that is not UTF-8", range)
    return String(decoding: text, as: UTF8.self)
  }

  private mutating func escape(into text: inout [UInt8]) {
    let start = at - 1
    guard at < bytes.count, bytes[at] != UInt8(ascii: "\n") else { return }
    let byte = bytes[at]
    at += 1
    let plain: [Character: UInt8] = ["n": 10, "t": 9, "r": 13, "\"": 34, "\\": 92]
    if let value = plain[Character(Unicode.Scalar(byte))] { return text.append(value) }
    while at < bytes.count, bytes[at] & 0xC0 == 0x80 { at += 1 }
    report("unknown escape in a string", start..<at, hint: "known: \\n \\t \\r \\\" \\\\")
  }

  private mutating func skipUnknown() {
    let start = at
    at += 1
    while at < bytes.count, bytes[at] & 0xC0 == 0x80 { at += 1 }
    let shown = String(decoding: bytes[start..<at], as: UTF8.self)
    let printable = bytes[start] >= 0x20 && bytes[start] != 0x7F
    report(
      printable ? "unexpected character '\(shown)'" : "unexpected byte \(bytes[start])", start..<at,
      hint: "/:~".contains(shown) && !shown.isEmpty ? "paths and other text need quotes" : nil)
  }
}
