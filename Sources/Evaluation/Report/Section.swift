/// A part of the page with figures; nothing at all where it has none.
enum Section {
  /// - Parameters:
  ///   - explanation: what is shown and how it is read.
  ///   - panels: drawings side by side.
  static func figures(
    _ title: String, _ explanation: String, panels: [Markup], legend: Markup = Markup([])
  ) -> Markup {
    guard !panels.isEmpty else { return Markup([]) }
    return Markup(
      "section", [:], Markup("h2", [:], Markup(text: title)),
      Markup(
        "figure", [:], Markup("figcaption", [:], Markup(text: explanation)), legend,
        Markup("div", ["class": "panels"], Markup(panels))))
  }
}
