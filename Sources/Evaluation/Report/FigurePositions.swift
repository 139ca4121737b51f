/// How often a proposal stands, by its place in the round.
struct FigurePositions {
  private let panels: [(place: Findings.Place, standings: [Standing])]
  private let gamma: Int

  init(_ findings: Findings) {
    gamma = findings.gamma
    let others = findings.places.dropFirst()
    panels = (findings.firstPlaces + others).compactMap { place in
      let standings = findings.comparable(at: place).filter { !$0.tally.examinedAt.isEmpty }
      return standings.isEmpty ? nil : (place, standings)
    }
  }

  /// The part of the page.
  var section: Markup {
    Section.figures(
      "Acceptance by position",
      "Of the draft tokens at a position of the round that the target looked at, the share that stood. A position is "
        + "looked at only where all before it stood. γ = \(gamma).",
      panels: panels.map { panel($0.place, $0.standings) })
  }

  private func panel(_ place: Findings.Place, _ standings: [Standing]) -> Markup {
    let last = standings.map(\.tally.examinedAt.count).max() ?? 1
    var plot = Plot(
      Axis("draft position", whole: 1...max(1, last), margin: 0.25), .share("share that stood"))
    for standing in standings {
      let look = MethodLook.of(standing.setting.method)
      let points = standing.tally.acceptance.enumerated().map { (x: Double($0.offset + 1), y: $0.element) }
      plot.line(points, look.stroke)
      for point in points { plot.mark(point.x, point.y, look) }
    }
    let names = standings.map { standing in
      (sample: MethodLook.of(standing.setting.method).sample(isMarked: true), name: standing.setting.method)
    }
    return Markup(
      "div", ["class": "panel"],
      plot.figure(place.title, described: "Acceptance by draft position, \(place.title)"), Legend.list(names))
  }
}
