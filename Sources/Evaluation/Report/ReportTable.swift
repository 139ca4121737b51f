/// The numbers of every line, a group for each task and temperature.
struct ReportTable {
  /// Tasks that the table holds; those beyond are in the lines alone.
  private static let tasks = 40

  /// A column: its name, its text in a row, and what makes a row the best.
  private struct Column {
    let name: String
    let text: (Standing) -> String
    var interval: (Standing) -> ClosedRange<Double>? = { _ in nil }
    /// The larger the better; nil where rows are not compared.
    var worth: (Standing) -> Double? = { _ in nil }
    var isWords = false
  }

  private static var columns: [Column] {
    [
      Column(name: "method", text: \.setting.method, isWords: true),
      Column(name: "γ", text: \.gammaText),
      Column(name: "records", text: { String($0.tally.samples.count) }),
      Column(name: "mal", text: { NumberText.fixed($0.accepted.value, 2) }, worth: \.accepted.value),
      Column(
        name: "mal with bonus", text: { NumberText.fixed($0.acceptedWithBonus.value, 2) },
        interval: \.acceptedWithBonus.interval, worth: \.acceptedWithBonus.value),
      Column(
        name: "TVD", text: { NumberText.fixed($0.distance.value, 3) }, worth: { $0.distance.value.map { -$0 } }),
      Column(name: "tokens/s", text: { NumberText.rounded($0.tokensPerSecond) }, worth: \.tokensPerSecond),
      Column(
        name: "speed vs plain", text: { NumberText.fixed($0.overPlain.value, 2) }, interval: \.overPlain.interval,
        worth: \.overPlain.value),
      Column(
        name: "speed vs text-only", text: { NumberText.fixed($0.overText.value, 2) }, interval: \.overText.interval),
      Column(name: "identical", text: { $0.tally.isIdentical ? "yes" : "NO" }, isWords: true),
    ]
  }

  private let findings: Findings
  /// Those that say something of any row.
  private let columns: [Column]

  init(_ findings: Findings) {
    self.findings = findings
    columns = Self.columns.filter { column in
      findings.standings.contains { column.text($0) != NumberText.none }
    }
  }

  /// The part of the page.
  var section: Markup {
    let left = findings.tasks.count - Self.tasks
    let groups = findings.tasks.prefix(Self.tasks).flatMap { task in
      findings.temperatures.map { group(Findings.Place(task: task, temperature: $0)) }
    }
    return Markup(
      "section", [:], Markup("h2", [:], "Results"),
      Markup(
        "p", [:],
        """
        mal: mean accepted length, draft tokens that stood per call of the target; with bonus: and the target's own \
        token. TVD: mean total variation distance. Speeds are of decoding alone, over the same records; 1 is as fast. \
        Text-only drafting is the one at the same γ, or where it was not judged at that, the first one of the group. \
        Small: 95 % intervals. Identical: whether all answers are those of plain decoding. The best of each group is bold.
        """),
      Markup(
        "div", ["class": "wide"],
        Markup(
          "table", [:],
          Markup("thead", [:], Markup("tr", [:], Markup(columns.map(heading)))), Markup(groups))),
      left > 0
        ? Markup("p", [:], Markup(text: "Left out: \(left) further tasks, whose numbers the JSON lines hold."))
        : Markup([]))
  }

  private func heading(_ column: Column) -> Markup {
    Markup("th", ["scope": "col", "class": column.isWords ? "words" : nil], Markup(text: column.name))
  }

  private func group(_ place: Findings.Place) -> Markup {
    let rows = Self.sorted(findings.standings(at: place))
    guard !rows.isEmpty else { return Markup([]) }
    let best = columns.map { column -> String? in
      let worthy = rows.filter { column.worth($0)?.isFinite == true }
      let first = worthy.max { (column.worth($0) ?? 0) < (column.worth($1) ?? 0) }
      return worthy.count > 1 ? first.map(column.text) : nil
    }
    let title = Markup(
      "tr", ["class": "group"],
      Markup("th", ["colspan": "\(columns.count)", "scope": "rowgroup"], Markup(text: place.title)))
    return Markup("tbody", [:], title, Markup(rows.map { row($0, best) }))
  }

  /// Methods in the order of the lines, each with γ from 1 on and what was chosen last.
  private static func sorted(_ rows: [Standing]) -> [Standing] {
    var methods: [String] = []
    for row in rows where !methods.contains(row.setting.method) { methods.append(row.setting.method) }
    return methods.flatMap { method in
      rows.filter { $0.setting.method == method }.sorted { ($0.setting.gamma ?? .max) < ($1.setting.gamma ?? .max) }
    }
  }

  private func row(_ standing: Standing, _ best: [String?]) -> Markup {
    Markup("tr", [:], Markup(zip(columns, best).map { cell($0, standing, best: $1) }))
  }

  private func cell(_ column: Column, _ standing: Standing, best: String?) -> Markup {
    let text = column.text(standing)
    var content = text == best ? Markup("b", [:], Markup(text: text)) : Markup(text: text)
    if let interval = column.interval(standing) {
      let (low, high) = (NumberText.fixed(interval.lowerBound, 2), NumberText.fixed(interval.upperBound, 2))
      content += " " + Markup("small", [:], Markup(text: "\(low)…\(high)"))
    }
    return Markup("td", ["class": column.isWords ? "words" : nil], content)
  }
}
