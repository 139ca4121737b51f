/// Names of shards with braces, as WebDataset writes them: `data/{000000..000009}.tar`, `{train,test}.tar`.
package enum ShardPattern {
  /// What is wrong with a pattern.
  package struct Failure: Error, Sendable, CustomStringConvertible {
    package let description: String
  }

  /// A pattern may stand for this many names.
  package static let maximumNames = 1_000_000

  /// A pattern may have this many braces.
  private static let maximumBraces = 64

  /// All names, in order. A pattern without braces is one name; ranges keep their leading zeros.
  package static func expand(_ pattern: String) throws(Failure) -> [String] {
    guard pattern.utf8.count(where: { $0 == UInt8(ascii: "{") }) <= maximumBraces else {
      throw Failure(description: "\(pattern.prefix(80))…: has more than \(maximumBraces) braces")
    }
    return try expanded(pattern)
  }

  private static func expanded(_ pattern: String) throws(Failure) -> [String] {
    guard let open = pattern.firstIndex(of: "{") else { return [pattern] }
    guard let close = pattern[open...].firstIndex(of: "}") else {
      throw Failure(description: "\(pattern): '{' without its '}'")
    }
    let before = String(pattern[..<open])
    let choices = try choices(pattern[pattern.index(after: open)..<close], in: pattern)
    var names: [String] = []
    for rest in try expanded(String(pattern[pattern.index(after: close)...])) {
      guard choices.count * (names.count / choices.count + 1) <= maximumNames else {
        throw Failure(description: "\(pattern): stands for more than \(maximumNames) names")
      }
      names += choices.map { before + $0 + rest }
    }
    return names.count > choices.count ? ordered(names, choices.count) : names
  }

  /// Names with the first brace turning slowest.
  private static func ordered(_ names: [String], _ count: Int) -> [String] {
    (0..<count).flatMap { first in stride(from: first, to: names.count, by: count).map { names[$0] } }
  }

  private static func choices(_ text: Substring, in pattern: String) throws(Failure) -> [String] {
    let ends = text.split(separator: "..", omittingEmptySubsequences: false)
    if ends.count == 2, let first = Int(ends[0]), let last = Int(ends[1]), first >= 0, last >= first {
      guard last - first < maximumNames else {
        throw Failure(description: "\(pattern): stands for more than \(maximumNames) names")
      }
      let width = ends[0].hasPrefix("0") ? ends[0].count : 0
      return (first...last).map { number in
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
      }
    }
    let words = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    guard words.count > 1 else {
      throw Failure(description: "\(pattern): expected a range such as {000..009} or a list {a,b}, found {\(text)}")
    }
    return words
  }
}
