/// A page that shows what drafters were worth. It stands alone: no script, and nothing that is loaded.
package struct Report: Sendable {
  /// What was judged, on what.
  package struct Head: Sendable {
    /// The target's name.
    package var target: String
    /// Each method's drafter by name, in the order of the lines.
    package var drafters: [(method: String, name: String)]
    /// Draft tokens a round where methods are compared.
    package var gamma: Int
    package var threads: Int
    /// Further facts of the run, by name.
    package var facts: [(name: String, value: String)]

    package init(
      target: String, drafters: [(method: String, name: String)], gamma: Int, threads: Int,
      facts: [(name: String, value: String)] = []
    ) {
      self.target = target
      self.drafters = drafters
      self.gamma = gamma
      self.threads = threads
      self.facts = facts
    }
  }

  package var head: Head
  package var standings: [Standing]
  package var examples: [ReportExample]

  package init(_ head: Head, _ standings: [Standing], examples: [ReportExample] = []) {
    self.head = head
    self.standings = standings
    self.examples = examples
  }

  /// The whole page.
  package var page: String {
    let findings = Findings(standings, gamma: head.gamma)
    let title = "Drafters for \(NumberText.cut(head.target, 80))"
    var body = Markup("h1", [:], Markup(text: title)) + facts(findings)
    if standings.isEmpty {
      body += Markup("p", [:], "No record was judged.")
    } else {
      body += ReportTable(findings).section
      body += FigureDistances(findings).section
      body += FigurePositions(findings).section
      body += FigureSeconds(findings).section
      if let speed = FigureSpeed(findings) { body += speed.section }
      body += ReportExample.section(examples)
    }
    return Markup.page(top(title), Markup("body", [:], body))
  }

  /// Whatever a text should smuggle in, a browser loads nothing for it.
  private func top(_ title: String) -> Markup {
    Markup(
      "head", [:], Markup("meta", ["charset": "utf-8"]),
      Markup(
        "meta",
        [
          "http-equiv": "Content-Security-Policy",
          "content": "default-src 'none'; img-src data:; style-src 'unsafe-inline'",
        ]),
      Markup("meta", ["name": "viewport", "content": "width=device-width, initial-scale=1"]),
      Markup("title", [:], Markup(text: title)), .style(ReportStyle.sheet))
  }

  private func facts(_ findings: Findings) -> Markup {
    let drafters = head.drafters.map { "\($0.method): \($0.name)" }
    let gammas = Set(standings.compactMap { $0.setting.method == Setting.plain ? nil : $0.setting.gamma }).sorted()
    let isChosen = standings.contains { $0.setting.gamma == nil }
    let temperatures = findings.temperatures.map(NumberText.short).joined(separator: ", ")
    var facts = [("target", head.target)]
    if !drafters.isEmpty { facts.append(("drafters", drafters.joined(separator: "; "))) }
    facts.append(("records", records(findings)))
    if !gammas.isEmpty || isChosen {
      facts.append(("γ", (gammas.map(String.init) + (isChosen ? ["auto"] : [])).joined(separator: ", ")))
    }
    if !temperatures.isEmpty { facts.append(("temperatures", temperatures)) }
    facts.append(("threads", String(head.threads)))
    facts += head.facts.map { ($0.name, $0.value) }
    return Markup(
      "dl", [:], Markup(facts.map { Markup("dt", [:], Markup(text: $0.0)) + Markup("dd", [:], Markup(text: $0.1)) }))
  }

  /// How many records there were, of which tasks.
  private func records(_ findings: Findings) -> String {
    var counts: [String: Int] = [:]
    for standing in standings { counts[standing.task] = max(counts[standing.task] ?? 0, standing.tally.samples.count) }
    let whole = String(counts.values.reduce(0, +))
    let named = findings.tasks.prefix(Findings.figuredTasks).map { "\(counts[$0] ?? 0) \(NumberText.cut($0, 40))" }
    let rest = findings.tasks.count - named.count
    guard !named.isEmpty else { return whole }
    return "\(whole) (\(named.joined(separator: ", "))\(rest > 0 ? ", and \(rest) further tasks" : ""))"
  }
}
