import Foundation

/// A record as the page shows it: its picture, and what drafters made of it.
package struct ReportExample: Sendable {
  /// An answer and whose tokens it is made of.
  package struct Answer: Sendable {
    package var method: String
    /// Each token's text and whether it is a proposal that stood.
    package var pieces: [(text: String, isDrafted: Bool)]
    /// Calls of the target.
    package var rounds: Int

    package init(method: String, pieces: [(text: String, isDrafted: Bool)], rounds: Int) {
      self.method = method
      self.pieces = pieces
      self.rounds = rounds
    }
  }

  /// Examples that a page shows, and bytes that a picture of one may have.
  package static let count = 6
  package static let largestPicture = 1 << 20
  /// Tokens of an answer that are shown.
  private static let shownTokens = 600

  package var key: String
  package var task: String
  package var prompt: String
  /// The picture's file, and what it is: `image/png`.
  package var picture: [UInt8]
  package var kind: String
  package var answers: [Answer]

  package init(key: String, task: String, prompt: String, picture: [UInt8], kind: String, answers: [Answer]) {
    self.key = key
    self.task = task
    self.prompt = prompt
    self.picture = picture
    self.kind = kind
    self.answers = answers
  }

  // MARK: Markup

  /// The part of the page with these examples.
  static func section(_ examples: [ReportExample]) -> Markup {
    let shown = examples.prefix(count).compactMap(\.article)
    guard !shown.isEmpty else { return Markup([]) }
    return Markup(
      "section", [:], Markup("h2", [:], "Examples"),
      Markup(
        "p", ["class": "tokens key"], Markup("span", ["class": "drafted"], "Framed and underlined"),
        ": a draft token that stood. ", Markup("span", ["class": "own"], "Plain"),
        ": the target's own token. The text is the target's in either case; a better drafter has more of it framed."),
      Markup(shown))
  }

  /// nil where there is nothing to show.
  private var article: Markup? {
    guard picture.count <= Self.largestPicture, !answers.isEmpty else { return nil }
    let source = "data:\(kind);base64," + Data(picture).base64EncodedString()
    return Markup(
      "article", [:],
      Markup(
        "div", ["class": "picture"],
        Markup("img", ["src": source, "alt": "The picture of \(NumberText.cut(key, 80))"]),
        Markup(
          "p", [:], Markup("b", [:], Markup(text: NumberText.cut(key, 80))),
          Markup(text: ", \(NumberText.cut(task, 40))")),
        Markup("p", ["class": "asked"], Markup(text: NumberText.cut(prompt, 300)))),
      Markup(answers.map(Self.block)))
  }

  private static func block(_ answer: Answer) -> Markup {
    let drafted = answer.pieces.count { $0.isDrafted }
    let rest = answer.pieces.count - shownTokens
    return Markup(
      "div", ["class": "answer"],
      Markup(
        "p", [:], Markup("b", [:], Markup(text: answer.method)),
        Markup(text: ": \(drafted) of \(answer.pieces.count) tokens drafted, \(answer.rounds) calls of the target")),
      Markup(
        "p", ["class": "tokens"], Markup(answer.pieces.prefix(shownTokens).map(Self.token)),
        rest > 0 ? Markup(text: " … \(rest) more") : Markup([])))
  }

  private static func token(_ piece: (text: String, isDrafted: Bool)) -> Markup {
    // A token may end within a character: the next one shows it.
    guard !piece.text.isEmpty else { return Markup([]) }
    return Markup("span", ["class": piece.isDrafted ? "drafted" : "own"], Markup(text: NumberText.cut(piece.text, 200)))
  }
}
