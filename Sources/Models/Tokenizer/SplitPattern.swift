/// The regular expression of a tokenizer's Split step, compiled for matching over UTF-8.
///
/// Tokenizers use a small part of the language: alternatives, literals, classes with Unicode categories, greedy
/// repetition of one character, optional groups, `(?i:…)` and negative lookahead. Anything else is an error when the
/// tokenizer is loaded. Matching backtracks as the reference's engine does.
struct SplitPattern: Sendable {
  enum Node: Sendable {
    /// One character of a set, `least` to `most` times, as many as fit.
    case scalars(set: Int, least: Int, most: Int, next: Int)
    case choice([Int])
    /// Goes on at `next` if nothing matches from `body` on.
    case negativeLookahead(body: Int, next: Int)
    case accept
  }
  var nodes: [Node] = [.accept]
  var sets: [ScalarSet] = []
  var start = 0

  /// Compiles a pattern.
  ///
  /// - Throws: where the pattern uses something that no known tokenizer does.
  init(_ pattern: String) throws(ModelError) {
    guard pattern.utf8.count <= 4096 else {
      throw ModelError("the Split pattern has \(pattern.utf8.count) bytes, expected at most 4096")
    }
    var compiler = SplitCompiler(pattern)
    let alternatives = try compiler.alternatives(next: 0, end: nil)
    nodes = compiler.nodes
    sets = compiler.sets
    start = alternatives
  }

  /// Cuts text into the matches and what lies between them, in order: the behaviour "Isolated".
  func pieces(of text: UnsafeBufferPointer<UInt8>, _ body: (Range<Int>) -> Void) {
    var at = 0
    var unmatched = 0
    var matcher = Matcher(pattern: self, text: text)
    while at < text.count {
      let end = matcher.match(start, at)
      guard end > at else {
        at += Self.length(text[at])
        continue
      }
      if unmatched < at { body(unmatched..<at) }
      body(at..<end)
      at = end
      unmatched = end
    }
    if unmatched < text.count { body(unmatched..<text.count) }
  }

  @inline(__always) static func length(_ lead: UInt8) -> Int {
    lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4
  }

  @inline(__always) private static func scalar(_ text: UnsafeBufferPointer<UInt8>, _ at: Int) -> (UInt32, Int) {
    let lead = text[at]
    if lead < 0x80 { return (UInt32(lead), 1) }
    let count = length(lead)
    guard at + count <= text.count else { return (0xFFFD, 1) }
    var value = UInt32(lead) & (0x7F >> UInt32(count))
    for i in 1..<count { value = value << 6 | UInt32(text[at + i] & 0x3F) }
    return (value, count)
  }

  /// One walk over one text.
  private struct Matcher {
    let pattern: SplitPattern
    let text: UnsafeBufferPointer<UInt8>
    /// Steps that are left. Patterns that tokenizers use take a few a character; one that tries every way to match is
    /// ended, and matches nothing from there on.
    var steps: Int

    init(pattern: SplitPattern, text: UnsafeBufferPointer<UInt8>) {
      self.pattern = pattern
      self.text = text
      steps = 10_000 + 500 * text.count
    }

    /// Where the match that begins here ends, -1 for none.
    mutating func match(_ node: Int, _ at: Int) -> Int {
      steps -= 1
      guard steps > 0 else { return -1 }
      switch pattern.nodes[node] {
      case .accept: return at
      case .choice(let alternatives):
        for alternative in alternatives {
          let end = match(alternative, at)
          if end >= 0 { return end }
        }
        return -1
      case .negativeLookahead(let body, let next): return match(body, at) >= 0 ? -1 : match(next, at)
      case .scalars(let set, let least, let most, let next): return matchScalars(set, least, most, next, at)
      }
    }

    private mutating func matchScalars(_ set: Int, _ least: Int, _ most: Int, _ next: Int, _ start: Int) -> Int {
      var at = start
      var count = 0
      while count < most, at < text.count {
        let (value, length) = SplitPattern.scalar(text, at)
        if !pattern.sets[set].contains(value) { break }
        at += length
        count += 1
      }
      steps -= count
      while count >= least {
        let end = match(next, at)
        if end >= 0 { return end }
        if count == 0 || steps <= 0 { break }
        repeat { at -= 1 } while at > start && text[at] & 0xC0 == 0x80
        count -= 1
      }
      return -1
    }
  }
}
