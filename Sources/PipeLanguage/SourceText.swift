import Messages

/// A text with a name, and where its lines begin: what positions in messages refer to.
package final class SourceText: Sendable {
  /// The file's path, `-` for standard input.
  package let name: String
  package let bytes: [UInt8]
  private let lineStarts: [Int]

  package init(name: String, bytes: [UInt8]) {
    self.name = name
    // A byte order mark is no character of the text.
    let bytes = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? Array(bytes.dropFirst(3)) : bytes
    self.bytes = bytes
    lineStarts = [0] + bytes.indices.filter { bytes[$0] == UInt8(ascii: "\n") }.map { $0 + 1 }
  }

  package convenience init(name: String, text: String) {
    self.init(name: name, bytes: Array(text.utf8))
  }

  /// Line and column of a byte, both from 1; columns count characters.
  package func place(of offset: Int) -> (line: Int, column: Int) {
    let line = lineIndex(of: offset)
    let before = bytes[lineStarts[line]..<min(max(offset, lineStarts[line]), bytes.count)]
    return (line + 1, String(decoding: before, as: UTF8.self).unicodeScalars.count + 1)
  }

  /// The text of the line that holds this byte, without its end.
  package func line(of offset: Int) -> String {
    let line = lineIndex(of: offset)
    let rest = bytes[lineStarts[line]...]
    return String(decoding: rest.prefix { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") }, as: UTF8.self)
  }

  /// The last line that begins at or before the byte.
  private func lineIndex(of offset: Int) -> Int {
    var low = 0
    var high = lineStarts.count
    while high - low > 1 {
      let middle = (low + high) / 2
      if lineStarts[middle] <= offset { low = middle } else { high = middle }
    }
    return low
  }
}

/// Where a name or value was written, so that every later error can point at it.
package enum Origin: Sendable {
  /// Bytes of a pipe's text.
  case source(SourceText, Range<Int>)
  /// An argument of the command line, as it was typed.
  case commandLine(String)
  /// A default of the stage catalogue.
  case catalog
}

/// One thing that is wrong with a pipe.
package struct Diagnostic: Error, Sendable, CustomStringConvertible {
  package let message: String
  package let origin: Origin
  /// What to do about it.
  package let hint: String?

  package init(_ message: String, at origin: Origin, hint: String? = nil) {
    self.message = message
    self.origin = origin
    self.hint = hint
  }

  fileprivate var offset: Int { if case .source(_, let range) = origin { range.lowerBound } else { -1 } }

  /// `FILE:LINE:COLUMN: error: …` with the line and a caret under the place.
  package var description: String {
    let message = message.visible
    var lines: [String]
    switch origin {
    case .source(let text, let range):
      let place = text.place(of: range.lowerBound)
      lines = ["\(text.name):\(place.line):\(place.column): error: \(message)"]
      lines += Self.excerpt(text, range)
    case .commandLine(let argument): lines = ["command line: \(argument.visible): error: \(message)"]
    case .catalog: lines = ["error: \(message)"]
    }
    if let hint { lines.append("  " + hint) }
    return lines.joined(separator: "\n")
  }

  /// The line that holds the range, and carets below the range. Long lines are cut around it.
  private static func excerpt(_ text: SourceText, _ range: Range<Int>) -> [String] {
    let column = text.place(of: range.lowerBound).column - 1
    let scalars = Array(text.line(of: range.lowerBound).unicodeScalars).map {
      $0.value < 32 || $0.value == 127 ? " " : $0
    }
    let first = max(0, column - 60)
    let shown = scalars[min(first, scalars.count)..<min(scalars.count, first + 120)]
    let end = min(range.upperBound, text.bytes.count)
    let marked = String(decoding: text.bytes[min(range.lowerBound, end)..<end], as: UTF8.self)
    let width = marked.prefix { !$0.isNewline }.unicodeScalars.count
    let marks = max(1, min(width, shown.count - (column - first)))
    return [
      "  " + String(String.UnicodeScalarView(shown)),
      "  " + String(repeating: " ", count: column - first) + "^" + String(repeating: "~", count: marks - 1),
    ]
  }
}

/// The errors of one pipe, all of them, in the order of the text; those of the command line come first.
package struct PipeErrors: Error, Sendable, CustomStringConvertible {
  package let diagnostics: [Diagnostic]
  /// How many of them a description has.
  package static let shown = 50

  package init(_ diagnostics: [Diagnostic]) {
    self.diagnostics = diagnostics.enumerated().sorted {
      ($0.element.offset, $0.offset) < ($1.element.offset, $1.offset)
    }.map(\.element)
  }

  /// The errors one below the other; of very many, the first.
  package var description: String {
    let shown = diagnostics.prefix(Self.shown).map(\.description)
    let more = diagnostics.count > shown.count ? ["and \(diagnostics.count - shown.count) more errors"] : []
    return (shown + more).joined(separator: "\n")
  }
}
