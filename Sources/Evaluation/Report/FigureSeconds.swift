/// Where a record's seconds go: a bar of phases for each method.
struct FigureSeconds {
  /// A phase's colour, and the pattern that tells it without.
  private static let looks: [(colour: String, pattern: String)] = [
    ("#d9d9d9", ""), ("#a9cfe8", "M-1 1l2-2M0 6l6-6M5 7l2-2"), ("#f3d9a4", "M0 3H6"),
    ("#eeb39a", "M3 0V6"), ("#b7d9b0", "M0 0l6 6M-1 5l2 2M5-1l2 2"),
  ]

  private struct Bar {
    let name: String
    /// By phase.
    let seconds: [Double]

    var whole: Double { seconds.reduce(0, +) }
  }

  private let panels: [(place: Findings.Place, bars: [Bar])]

  init(_ findings: Findings) {
    panels = findings.firstPlaces.compactMap { place in
      let standings = findings.standings(at: place).filter { standing in
        let gamma = standing.setting.gamma
        return standing.setting.method == Setting.plain || gamma == nil || gamma == findings.gamma
      }
      let bars = standings.compactMap(Self.bar)
      return bars.contains { $0.whole > 0 } ? (place, bars) : nil
    }
  }

  private static func bar(_ standing: Standing) -> Bar? {
    let records = Double(standing.tally.samples.count)
    guard records > 0 else { return nil }
    let (method, gamma) = (standing.setting.method, standing.gammaText)
    return Bar(
      name: method == Setting.plain ? method : gamma == "auto" ? "\(method), auto" : "\(method), γ \(gamma)",
      seconds: PhaseSeconds.names.map { standing.tally.seconds[keyPath: $0.path] / records })
  }

  /// The part of the page.
  var section: Markup {
    let legend = zip(PhaseSeconds.names, Self.looks.indices).map { phase, index in
      (sample: Self.sample(index), name: phase.name)
    }
    return Section.figures(
      "Where the time goes",
      "Seconds per record by phase, from the picture's file to the last token; the drafter's reading of the prompt "
        + "counts as draft.",
      panels: panels.enumerated().map { panel($0.offset, $0.element.place, $0.element.bars) },
      legend: Legend.list(legend))
  }

  private func panel(_ number: Int, _ place: Findings.Place, _ bars: [Bar]) -> Markup {
    var margins = Plot.Margins()
    margins.left = 20 + 6.6 * Double(bars.map(\.name.count).max() ?? 0)
    // Room for the sum behind the longest bar.
    margins.right = 62
    var plot = Plot(
      Axis("seconds per record", upTo: bars.map(\.whole).max() ?? 0, steps: 4),
      Axis("", 0...Double(bars.count), ticks: []), width: 500, height: 76 + 24 * Double(bars.count), margins: margins)
    plot.add(Markup(Self.looks.indices.map { Self.pattern($0, "phase-\(number)-\($0)") }))
    for (row, bar) in bars.enumerated() {
      let low = Double(bars.count - row) - 0.86
      var start = 0.0
      for (phase, seconds) in bar.seconds.enumerated() where seconds > 0 {
        plot.box(start...start + seconds, low...low + 0.72, fill: "url(#phase-\(number)-\(phase))")
        start += seconds
      }
      plot.label(bar.name, 0, low + 0.36, anchor: "end", shift: -6, lift: -4)
      plot.label("\(NumberText.rounded(bar.whole)) s", start, low + 0.36, shift: 5, lift: -4)
    }
    return Markup(
      "div", ["class": "panel"],
      plot.figure(place.title, described: "Seconds per record by phase, \(place.title)"))
  }

  // MARK: Patterns

  private static func pattern(_ phase: Int, _ name: String) -> Markup {
    Markup(
      "pattern", ["id": name, "width": "6", "height": "6", "patternUnits": "userSpaceOnUse"], tile(phase))
  }

  private static func tile(_ phase: Int) -> Markup {
    let look = looks[phase]
    let ground = Markup("rect", ["width": "6", "height": "6", "fill": look.colour])
    let lines = Markup("path", ["d": look.pattern, "stroke": "#444444", "stroke-width": "0.9", "fill": "none"])
    return look.pattern.isEmpty ? ground : ground + lines
  }

  private static func sample(_ phase: Int) -> Markup {
    Markup(
      "svg", ["xmlns": "http://www.w3.org/2000/svg", "class": "sample", "width": "24", "height": "14"],
      pattern(phase, "phase-\(phase)"),
      Markup(
        "rect",
        [
          "x": "0.5", "y": "0.5", "width": "23", "height": "13", "fill": "url(#phase-\(phase))", "stroke": "#444444",
          "stroke-width": "0.8",
        ]))
  }
}
