/// Markup that is HTML and XML alike. Text becomes part of it escaped, and in no other way.
struct Markup: Sendable, ExpressibleByStringLiteral {
  private(set) var source: String

  private init(source: String) { self.source = source }

  /// Text that is to be read as it is.
  init(text: String) { source = Self.escaped(text) }

  init(stringLiteral text: String) { self.init(text: text) }

  /// Pieces one behind the other.
  init(_ pieces: [Markup]) { source = pieces.map(\.source).joined() }

  /// An element; attributes that are nil are left out.
  init(_ name: String, _ attributes: KeyValuePairs<String, String?> = [:], _ content: Markup...) {
    source = "<" + name
    for (name, value) in attributes {
      if let value { source += " \(name)=\"\(Self.escaped(value))\"" }
    }
    // HTML takes <td/> for a beginning alone, and knows some elements that have no end.
    if ["meta", "img", "br"].contains(name) {
      source += "/>"
    } else {
      source += ">" + content.map(\.source).joined() + "</\(name)>"
    }
  }

  /// A style sheet of the page's own.
  static func style(_ sheet: StaticString) -> Markup { Markup(source: "<style>\(sheet)</style>") }

  /// A whole page of the parts of its root element.
  static func page(_ head: Markup, _ body: Markup) -> String {
    let root = Markup("html", ["xmlns": "http://www.w3.org/1999/xhtml", "lang": "en"], head, body)
    return "<!DOCTYPE html>\n" + root.source + "\n"
  }

  static func + (left: Markup, right: Markup) -> Markup { Markup(source: left.source + right.source) }

  static func += (left: inout Markup, right: Markup) { left.source += right.source }

  private static func escaped(_ text: String) -> String {
    var escaped = ""
    escaped.reserveCapacity(text.utf8.count)
    for scalar in text.unicodeScalars {
      switch scalar {
      case "<": escaped += "&lt;"
      case ">": escaped += "&gt;"
      case "&": escaped += "&amp;"
      case "\"": escaped += "&quot;"
      case "'": escaped += "&#39;"
      case "\t", "\n": escaped.unicodeScalars.append(scalar)
      // XML holds no control characters: their pictures stand for them, and a mark for what has none.
      case "\0"..."\u{1F}": escaped.unicodeScalars.append(Unicode.Scalar(0x2400 + scalar.value) ?? "\u{FFFD}")
      case "\u{7F}": escaped += "\u{2421}"
      case "\u{80}"..."\u{9F}", "\u{FFFE}", "\u{FFFF}": escaped += "\u{FFFD}"
      default: escaped.unicodeScalars.append(scalar)
      }
    }
    return escaped
  }
}
