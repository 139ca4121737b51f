/// How far drafters are from the target, token by token: histograms over each other.
struct FigureDistances {
  /// Those before and after training on the target's own answers.
  private static let methods = [Setting.textOnly, "phase1", "fixed", Setting.massv]

  /// A method's share of tokens in each bin.
  private struct Outline {
    let method: String
    let shares: [Double]
    let mean: Double?
  }

  private let panels: [(place: Findings.Place, outlines: [Outline])]

  init(_ findings: Findings) {
    let others = findings.places.dropFirst()
    panels = (findings.firstPlaces + others).compactMap { place in
      let standings = findings.standings(at: place)
      let outlines = Self.methods.compactMap { method in
        standings.first { $0.setting.method == method && $0.tally.histogram != nil }.flatMap(Self.outline)
      }
      return outlines.isEmpty ? nil : (place, outlines)
    }
  }

  private static func outline(_ standing: Standing) -> Outline? {
    let counts = standing.tally.histogram?.counts ?? []
    let sum = counts.reduce(0, +)
    guard sum > 0 else { return nil }
    return Outline(
      method: standing.setting.method, shares: counts.map { 100 * Double($0) / Double(sum) },
      mean: standing.distance.value)
  }

  /// The part of the page.
  var section: Markup {
    let highest = panels.flatMap { $0.outlines.flatMap(\.shares) }.max() ?? 0
    return Section.figures(
      "How far drafters are from the target",
      "Total variation distance between the drafter's and the target's next token, at every token of the target's "
        + "answers (0: the same distribution, 1: nothing in common; at temperature 0, distributions are those of "
        + "temperature 1). The further left, the better. Each outline is the share of tokens in bins of 0.05, and the "
        + "mark on the bottom line is the mean.",
      panels: panels.map { panel($0.place, $0.outlines, highest) })
  }

  private func panel(_ place: Findings.Place, _ outlines: [Outline], _ highest: Double) -> Markup {
    var plot = Plot(.share("total variation distance"), Axis("% of tokens", upTo: highest))
    let steps = outlines.map { outline in
      outline.shares.indices.flatMap { bin in
        [bin, bin + 1].map { (x: Double($0) / Double(outline.shares.count), y: outline.shares[bin]) }
      }
    }
    for (outline, steps) in zip(outlines, steps) {
      plot.area(steps, colour: MethodLook.of(outline.method).colour, opacity: 0.1)
    }
    for (outline, steps) in zip(outlines, steps) { plot.line(steps, MethodLook.of(outline.method).stroke) }
    for outline in outlines {
      if let mean = outline.mean { plot.mark(mean, 0, MethodLook.of(outline.method)) }
    }
    let names = outlines.map { outline in
      (
        sample: MethodLook.of(outline.method).sample(isMarked: true),
        name: "\(outline.method): mean \(NumberText.fixed(outline.mean, 3))"
      )
    }
    return Markup(
      "div", ["class": "panel"],
      plot.figure(
        place.title, described: "Histogram of distances, \(place.title). " + names.map(\.name).joined(separator: ", ")),
      Legend.list(names))
  }
}
