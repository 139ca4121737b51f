/// Turns the text of a pattern into nodes, from its end to its beginning: every node knows what follows it.
struct SplitCompiler {
  let pattern: [Character]
  var at = 0
  var ignoresCase = false
  private var depth = 0
  var nodes: [SplitPattern.Node] = [.accept]
  var sets: [ScalarSet] = []

  /// One element before it is linked to what follows.
  private enum Item {
    case scalars(ScalarSet, least: Int, most: Int)
    case group(start: Int, end: Int, ignoresCase: Bool, isOptional: Bool)
    case negativeLookahead(start: Int, end: Int)
  }

  init(_ text: String) { pattern = Array(text) }

  private func failure(_ what: String) -> ModelError {
    ModelError("the Split pattern \"\(String(pattern))\" at character \(at + 1): \(what)")
  }

  private mutating func add(_ node: SplitPattern.Node) -> Int {
    nodes.append(node)
    return nodes.count - 1
  }

  /// Compiles alternatives from `at` up to `end` (nil: the pattern's end), each going on at `next`.
  mutating func alternatives(next: Int, end: Int?) throws(ModelError) -> Int {
    let end = end ?? pattern.count
    var starts: [Int] = []
    repeat {
      var items: [Item] = []
      while at < end, pattern[at] != "|" { items.append(try item(end)) }
      let resume = at
      starts.append(try link(items, next))
      at = resume + 1
    } while at <= end && at - 1 < end && pattern[at - 1] == "|"
    return starts.count == 1 ? starts[0] : add(.choice(starts))
  }

  private mutating func link(_ items: [Item], _ next: Int) throws(ModelError) -> Int {
    var next = next
    for item in items.reversed() {
      switch item {
      case .scalars(var set, let least, let most):
        set.prepare()
        sets.append(set)
        next = add(.scalars(set: sets.count - 1, least: least, most: most, next: next))
      case .group(let start, let end, let caseless, let isOptional):
        let inner = try compiled(start, end, caseless || ignoresCase, next)
        next = isOptional ? add(.choice([inner, next])) : inner
      case .negativeLookahead(let start, let end):
        next = add(.negativeLookahead(body: try compiled(start, end, ignoresCase, 0), next: next))
      }
    }
    return next
  }

  private mutating func compiled(_ start: Int, _ end: Int, _ caseless: Bool, _ next: Int) throws(ModelError) -> Int {
    guard depth < 32 else { throw failure("groups nested deeper than 32") }
    depth += 1
    defer { depth -= 1 }
    let outer = (at, ignoresCase)
    at = start
    ignoresCase = caseless
    let node = try alternatives(next: next, end: end)
    (at, ignoresCase) = outer
    return node
  }

  private mutating func item(_ end: Int) throws(ModelError) -> Item {
    if pattern[at] == "(" { return try group() }
    let set = try scalarSet()
    let (least, most) = try quantifier()
    return .scalars(set, least: least, most: most)
  }

  // MARK: Groups and repetition

  private mutating func group() throws(ModelError) -> Item {
    let open = at
    guard let close = closing(of: open) else { throw failure("'(' without its ')'") }
    let inside = String(pattern[open + 1..<close].prefix(4))
    at = close + 1
    for (prefix, caseless) in [("?i:", true), ("?:", false)] where inside.hasPrefix(prefix) {
      let start = open + 1 + prefix.count
      let (least, most) = try quantifier()
      guard (least == 1 || least == 0) && most == 1 else { throw failure("a repeated group is not supported") }
      return .group(start: start, end: close, ignoresCase: caseless, isOptional: least == 0)
    }
    if inside.hasPrefix("?!") { return .negativeLookahead(start: open + 3, end: close) }
    if inside.hasPrefix("?") { throw failure("this kind of group is not supported") }
    let (least, most) = try quantifier()
    guard (least == 1 || least == 0) && most == 1 else { throw failure("a repeated group is not supported") }
    return .group(start: open + 1, end: close, ignoresCase: false, isOptional: least == 0)
  }

  private func closing(of open: Int) -> Int? {
    var depth = 0
    var inClass = false
    var place = open
    while place < pattern.count {
      switch pattern[place] {
      case "\\": place += 1
      case "[": inClass = true
      case "]": inClass = false
      case "(" where !inClass: depth += 1
      case ")" where !inClass:
        depth -= 1
        if depth == 0 { return place }
      default: break
      }
      place += 1
    }
    return nil
  }

  private mutating func quantifier() throws(ModelError) -> (least: Int, most: Int) {
    guard at < pattern.count else { return (1, 1) }
    var bounds: (Int, Int)
    switch pattern[at] {
    case "?": bounds = (0, 1)
    case "*": bounds = (0, .max)
    case "+": bounds = (1, .max)
    case "{":
      guard let close = pattern[at...].firstIndex(of: "}") else { throw failure("'{' without its '}'") }
      let parts = String(pattern[at + 1..<close]).split(separator: ",", omittingEmptySubsequences: false)
      guard let least = parts.first.flatMap({ Int($0) }), parts.count <= 2 else {
        throw failure("expected {least,most}")
      }
      bounds = (least, parts.count == 1 ? least : parts[1].isEmpty ? .max : Int(parts[1]) ?? -1)
      guard bounds.0 >= 0, bounds.1 >= bounds.0 else { throw failure("expected {least,most}") }
      at = close
    default: return (1, 1)
    }
    at += 1
    if at < pattern.count, pattern[at] == "?" || pattern[at] == "+" {
      throw failure("lazy and possessive repetition are not supported")
    }
    return bounds
  }

  // MARK: Characters

  private mutating func scalarSet() throws(ModelError) -> ScalarSet {
    var set = ScalarSet()
    let character = pattern[at]
    at += 1
    switch character {
    case "[": try bracket(&set)
    case "\\": try escape(&set)
    case ".":
      set.ranges = [10...10]
      set.isNegated = true
    case ")", "]", "*", "+", "?", "^", "$": throw failure("'\(character)' is not supported here")
    default: addLiteral(character, to: &set)
    }
    return set
  }

  private func addLiteral(_ character: Character, to set: inout ScalarSet) {
    for scalar in character.unicodeScalars { set.ranges.append(scalar.value...scalar.value) }
    guard ignoresCase else { return }
    for text in [character.lowercased(), character.uppercased()] {
      for scalar in text.unicodeScalars { set.ranges.append(scalar.value...scalar.value) }
    }
    // The one letter outside ASCII that folds to one of the contractions' letters.
    if character == "s" || character == "S" { set.ranges.append(0x17F...0x17F) }
  }

  private mutating func bracket(_ set: inout ScalarSet) throws(ModelError) {
    if at < pattern.count, pattern[at] == "^" {
      set.isNegated = true
      at += 1
    }
    while at < pattern.count, pattern[at] != "]" {
      let character = pattern[at]
      at += 1
      if character == "\\" {
        try escape(&set)
      } else if at + 1 < pattern.count, pattern[at] == "-", pattern[at + 1] != "]",
        let low = character.unicodeScalars.first?.value, let high = pattern[at + 1].unicodeScalars.first?.value,
        low <= high
      {
        set.ranges.append(low...high)
        at += 2
      } else {
        addLiteral(character, to: &set)
      }
    }
    guard at < pattern.count else { throw failure("'[' without its ']'") }
    at += 1
  }

  /// What stands behind a backslash.
  private mutating func escape(_ set: inout ScalarSet) throws(ModelError) {
    guard at < pattern.count else { throw failure("a backslash at the end") }
    let character = pattern[at]
    at += 1
    switch character {
    case "p":
      guard at < pattern.count, pattern[at] == "{", let close = pattern[at...].firstIndex(of: "}"),
        set.add(category: String(pattern[at + 1..<close]))
      else { throw failure("expected a category such as \\p{L}") }
      at = close + 1
    case "s": set.includesWhiteSpace = true
    case "S": set.includesNonWhiteSpace = true
    case "d": _ = set.add(category: "Nd")
    case "r": set.ranges.append(13...13)
    case "n": set.ranges.append(10...10)
    case "t": set.ranges.append(9...9)
    case _ where character.isLetter || character.isNumber: throw failure("\\\(character) is not supported")
    default: addLiteral(character, to: &set)
    }
  }
}
