import PipeLanguage

extension ParameterType {
  /// What the type takes, as messages and `stages` say it.
  package var expectation: String {
    switch self {
    case .text: "text"
    case .optionalText: "text, or none"
    case .path(let optional): optional ? "a path, or none" : "a path"
    case .integer(let range): "a whole number \(Self.bounds(range))"
    case .integerOrAuto(let range): "a whole number \(Self.bounds(range)), or auto"
    case .number(let range): "a number \(Self.bounds(range))"
    case .numberOrAuto(let range): "a number \(Self.bounds(range)), or auto"
    case .bytes: "a count of bytes such as 64M"
    case .flag: "true or false"
    case .choice(let words): words.joined(separator: "|")
    case .words(let words, let prefixes):
      "a list of " + (words + prefixes.map { $0 + "NAME" }).joined(separator: " ")
    case .mixture(let words): "a list of " + words.joined(separator: " ")
    case .texts: "a text, a list of texts such as [\"What is this?\", \"Describe it.\"], or none"
    case .numbers(let range):
      "numbers \(Self.bounds(range)) such as \(range.contains(0) ? "[0, 0.7, 1]" : "[1, 2, 4]"), or none"
    case .reference(let kind): "a let of kind \(kind)"
    }
  }

  private static func bounds(_ range: ClosedRange<Int>) -> String {
    if range.lowerBound == .min { return "from −2^63 to 2^63 − 1" }
    let most = range.upperBound
    if most == .max { return "from \(range.lowerBound) to 2^63 − 1" }
    if most >= 1 << 40, most & (most - 1) == 0 { return "from \(range.lowerBound) to 2^\(most.trailingZeroBitCount)" }
    return "from \(range.lowerBound) to \(most)"
  }

  private static func bounds(_ range: ClosedRange<Double>) -> String {
    range.upperBound.isFinite
      ? "from \(shortNumber(range.lowerBound)) to \(shortNumber(range.upperBound))"
      : "from \(shortNumber(range.lowerBound))"
  }

  private static func shortNumber(_ value: Double) -> String {
    Int(exactly: value).map(String.init) ?? "\(value)"
  }

  /// Reads a value as this type. Everything that is wrong with a list of words is thrown together.
  package func read(_ value: Value, of name: String) throws(PipeErrors) -> ArgumentValue {
    if let result = try interpreted(value) { return result }
    var hint: String?
    if case .choice(let words) = self, let text = value.plainText { hint = suggestion(for: text, among: words) }
    throw PipeErrors([
      Diagnostic("\"\(name)\": expected \(expectation), found \(value.shown)", at: value.origin, hint: hint)
    ])
  }

  /// nil for what the type does not take.
  private func interpreted(_ value: Value) throws(PipeErrors) -> ArgumentValue? {
    let text = value.plainText
    switch self {
    case .text: return value.text.map { .text($0) }
    case .optionalText, .path(optional: true):
      if value.isWord("none") { return ArgumentValue.none }
      return value.text.map { .text($0) }
    case .path(optional: false): return value.text.flatMap { $0.isEmpty ? nil : .text($0) }
    case .integer(let range): return value.integer.flatMap { range.contains($0) ? .integer($0) : nil }
    case .integerOrAuto(let range):
      if value.isWord("auto") { return .auto }
      return value.integer.flatMap { range.contains($0) ? .integer($0) : nil }
    case .number(let range): return value.number.flatMap { range.contains($0) ? .number($0) : nil }
    case .numberOrAuto(let range):
      if value.isWord("auto") { return .auto }
      return value.number.flatMap { range.contains($0) ? .number($0) : nil }
    case .bytes: return value.bytes.map { .integer($0) }
    case .flag: return text == "true" ? .flag(true) : text == "false" ? .flag(false) : nil
    case .choice(let words): return text.flatMap { words.contains($0) ? .text($0) : nil }
    case .words(let known, let prefixes):
      let words = try Self.words(value, known, prefixes, expectation)
      return words.isEmpty ? nil : .words(words)
    case .mixture(let known): return try mixture(value, known).map { .words($0) }
    case .texts: return value.isWord("none") ? ArgumentValue.none : Self.texts(value).map { .texts($0) }
    case .numbers(let range):
      if value.isWord("none") { return ArgumentValue.none }
      let numbers = value.items.map { item in item.number.flatMap { range.contains($0) ? $0 : nil } }
      return numbers.isEmpty || numbers.contains(nil) ? nil : .numbers(numbers.compactMap { $0 })
    case .reference: return value.isName ? text.map { .reference($0) } : nil
    }
  }

  /// nil where there is none, or one of several is none or empty; an empty text alone stands for no text.
  private static func texts(_ value: Value) -> [String]? {
    let texts = value.textItems?.map { $0.text ?? "" }
    if texts == [""] { return [] }
    return texts?.isEmpty == true || texts?.contains("") == true ? nil : texts
  }

  /// nil for an empty list.
  private func mixture(_ value: Value, _ known: [String]) throws(PipeErrors) -> [ArgumentWord]? {
    var wrong: [Diagnostic] = []
    let words = value.items.map { item in
      let text = item.plainText ?? ""
      if !known.contains(text) {
        wrong.append(
          Diagnostic(
            "expected \(expectation), found \(item.shown)", at: item.origin, hint: suggestion(for: text, among: known)))
      }
      return ArgumentWord(text: text, origin: item.origin)
    }
    if !wrong.isEmpty { throw PipeErrors(wrong) }
    return words.isEmpty ? nil : words
  }

  private static func words(
    _ value: Value, _ known: [String], _ prefixes: [String], _ expectation: String
  ) throws(PipeErrors) -> [ArgumentWord] {
    var (words, wrong) = ([ArgumentWord](), [Diagnostic]())
    for item in value.items {
      guard let text = item.plainText else {
        wrong.append(Diagnostic("expected \(expectation), found \(item.shown)", at: item.origin))
        continue
      }
      if !known.contains(text), !prefixes.contains(where: { text.hasPrefix($0) && text != $0 }) {
        wrong.append(
          Diagnostic("unknown field \"\(text)\"", at: item.origin, hint: suggestion(for: text, among: known)))
      } else if words.contains(where: { $0.text == text }) {
        wrong.append(Diagnostic("field \"\(text)\" is named twice", at: item.origin))
      }
      words.append(ArgumentWord(text: text, origin: item.origin))
    }
    if !wrong.isEmpty { throw PipeErrors(wrong) }
    return words
  }
}

extension Value {
  /// The text of a string, name or number.
  fileprivate var plainText: String? {
    switch kind {
    case .string(let text), .name(let text), .number(let text), .raw(let text): text
    case .parameter, .list: nil
    }
  }

  /// The text of a string; a bare number or name is taken as it stands.
  fileprivate var text: String? { plainText }

  fileprivate var isName: Bool {
    switch kind {
    case .name, .raw: true
    default: false
    }
  }

  /// Whether it is this word, in quotes or without.
  fileprivate func isWord(_ word: String) -> Bool { plainText == word }

  private var numberText: String? {
    switch kind {
    case .number(let text), .raw(let text): text
    default: nil
    }
  }

  fileprivate var number: Double? {
    guard let text = numberText, let value = Double(text), value.isFinite else { return nil }
    return value
  }

  fileprivate var integer: Int? {
    guard let text = numberText else { return nil }
    return Int(text) ?? number.flatMap { Int(exactly: $0) }
  }

  /// A whole number, perhaps with K, M, G or T for powers of 1024.
  fileprivate var bytes: Int? { numberText.flatMap(byteCount) }

  /// The members of a list; on the command line `[a, b]` and `a,b` both stand for one.
  fileprivate var items: [Value] {
    switch kind {
    case .list(let values): return values
    case .raw(let text):
      let inner = text.hasPrefix("[") && text.hasSuffix("]") ? String(text.dropFirst().dropLast()) : text
      if inner != text, inner.allSatisfy({ $0 == " " }) { return [] }
      return inner.split(separator: ",", omittingEmptySubsequences: false).map { part in
        Value(.raw(String(part.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())), origin)
      }
    default: return [self]
    }
  }

  /// The members of a list of free texts. On the command line a text in brackets is a list as a pipe has it, or texts
  /// without quotes and commas between them; any other text is one, whatever commas it holds. nil for a broken list.
  fileprivate var textItems: [Value]? {
    guard case .raw(let text) = kind, text.hasPrefix("["), text.hasSuffix("]") else {
      if case .list = kind { return items }
      return [self]
    }
    if case .list(let values)? = Value(parsing: text)?.kind, values.allSatisfy({ $0.text != nil }) { return values }
    return text.contains("\"") ? nil : items
  }

  fileprivate var shown: String {
    switch kind {
    case .string(let text), .raw(let text): "\"\(text.prefix(80))\""
    case .name(let text), .number(let text): text
    case .parameter(let name): "$\(name)"
    case .list(let values): values.isEmpty ? "an empty list" : "a list of \(values.count)"
    }
  }
}

/// Reads `4096`, `64K`, `512M`, `2G`, `1T`; nil for anything else.
package func byteCount(_ text: String) -> Int? {
  let powers: [Character: Int] = ["K": 10, "k": 10, "M": 20, "m": 20, "G": 30, "g": 30, "T": 40, "t": 40]
  let shift = text.last.flatMap { powers[$0] } ?? 0
  guard let value = Double(shift > 0 ? String(text.dropLast()) : text), value >= 0 else { return nil }
  // Without a unit there are no parts of one.
  guard shift > 0 || value == value.rounded() else { return nil }
  let scaled = value * Double(1 << shift)
  return scaled < 0x1p62 ? Int(scaled) : nil
}
