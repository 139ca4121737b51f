/// Where drafting gains and where it loses: the MASSV drafter's speed over γ, and the acceptance that a drafter needs.
struct FigureSpeed {
  /// A method's costs at the γ of the comparison.
  private struct Point {
    let method: String
    let costs: DraftingCosts
  }

  private let place: Findings.Place
  private let gamma: Int
  private let standings: [Standing]
  private let points: [Point]
  private let model: SpeedModel

  /// nil where nothing was drafted beside plain decoding.
  init?(_ findings: Findings) {
    guard let place = findings.places.first else { return nil }
    let standings = findings.standings(at: place)
    guard let plain = standings.first(where: { $0.setting.method == Setting.plain }) else { return nil }
    points = findings.comparable(at: place).compactMap { standing in
      DraftingCosts(standing, plain: plain).map { Point(method: standing.setting.method, costs: $0) }
    }
    guard !points.isEmpty else { return nil }
    let fixed = standings.filter { $0.setting.gamma != nil }
    model = SpeedModel(fixed.compactMap { DraftingCosts($0, plain: plain) })
    self.place = place
    self.standings = standings
    gamma = findings.gamma
  }

  /// The part of the page.
  var section: Markup {
    Section.figures(
      "Where drafting gains and where it loses",
      "Left: the MASSV drafter's speed against plain decoding (decoding alone) over γ, as measured with 95 % "
        + "intervals, and as (1 + a + … + a^γ) / (V(γ) + γ·c) has it from its acceptance a and the cost c of a draft "
        + "token. Right: the acceptance from which drafting gains, over c, for γ = 1 (lowest) to 8 (highest): "
        + "above its line a drafter gains, below it loses. Seconds are in plain decoding's seconds per token; "
        + "a pass of the target over γ draft tokens took V(γ) = 1 + \(NumberText.fixed(model.perRow, 3))·γ."
        + (model.perRow < 1
          ? "" : " That is as much as the tokens are worth: no drafter can gain, and there are no lines."),
      panels: [curve, breakEven].compactMap { $0 })
  }

  // MARK: Speed over γ

  private var curve: Markup? {
    let own = standings.filter { $0.setting.method == Setting.massv && $0.overPlain.value != nil }
    let fixed = own.filter { $0.setting.gamma != nil }
    guard let point = points.first(where: { $0.method == Setting.massv }), !fixed.isEmpty else { return nil }
    let last = max(8, fixed.compactMap(\.setting.gamma).max() ?? 0)
    let modelled = (0...last).map { gamma in
      (x: Double(gamma), y: model.speed(point.costs.acceptance, draftStep: point.costs.draftStep, gamma))
    }
    let measured = own.compactMap(\.overPlain.value)
    let ends = own.compactMap(\.overPlain.interval?.upperBound).map { min($0, 1.5 * (measured.max() ?? 1)) }
    let highest = (measured + ends + modelled.map(\.y) + [1.2]).max() ?? 1
    var plot = Plot(
      Axis("γ, draft tokens a round", whole: 0...last, margin: 0.3), Axis("speed against plain", upTo: highest))
    drawLoss(&plot, last: last)
    let look = MethodLook.of(Setting.massv)
    plot.line(modelled, Stroke(colour: look.colour, dash: "2 3", width: 1.5))
    drawPoints(fixed, &plot, look)
    let auto = own.first { $0.setting.gamma == nil }?.overPlain.value
    if let auto {
      plot.line(
        [(x: -0.3, y: auto), (x: Double(last) + 0.3, y: auto)], Stroke(colour: "#222222", dash: "9 4", width: 1.5))
    }
    return Markup(
      "div", ["class": "panel"],
      plot.figure("massv: \(place.title)", described: "Speed of the MASSV drafter over γ, \(place.title)"),
      curveLegend(point.costs, look, auto))
  }

  /// Below plain decoding's speed, drafting loses.
  private func drawLoss(_ plot: inout Plot, last: Int) {
    plot.box(-0.3...Double(last) + 0.3, 0...1, fill: "#f3f3f3")
    plot.line([(x: -0.3, y: 1), (x: Double(last) + 0.3, y: 1)], Stroke(colour: "#222222", width: 1.2))
    plot.label("break-even; below it drafting loses", Double(last) + 0.3, 1, anchor: "end", shift: -4, lift: -13)
  }

  private func drawPoints(_ standings: [Standing], _ plot: inout Plot, _ look: MethodLook) {
    for standing in standings {
      guard let gamma = standing.setting.gamma, let speed = standing.overPlain.value else { continue }
      if let interval = standing.overPlain.interval {
        plot.line(
          [(x: Double(gamma), y: interval.lowerBound), (x: Double(gamma), y: interval.upperBound)],
          Stroke(colour: look.colour, width: 1.2))
      }
      plot.mark(Double(gamma), speed, look)
    }
  }

  private func curveLegend(_ costs: DraftingCosts, _ look: MethodLook, _ auto: Double?) -> Markup {
    let modelled = MethodLook(colour: look.colour, dash: "2 3", marker: look.marker)
    var entries = [
      (
        sample: MethodLook(colour: look.colour, dash: nil, marker: look.marker).sample(isMarked: true), name: "measured"
      ),
      (
        sample: modelled.sample(isMarked: false),
        name: "model: a = \(NumberText.fixed(costs.acceptance, 3)), c = \(NumberText.fixed(costs.draftStep, 3))"
      ),
    ]
    if let auto {
      let chosen = MethodLook(colour: "#222222", dash: "9 4", marker: .plus)
      entries.append((chosen.sample(isMarked: false), "γ chosen as it goes: \(NumberText.fixed(auto, 2))"))
    }
    return Legend.list(entries)
  }

  // MARK: Break-even

  private var breakEven: Markup {
    let shown = points.map(\.costs.draftStep).filter { $0 <= 3 }
    let widest = max(1, (shown.max() ?? 0) * 1.1)
    var plot = Plot(
      Axis("c, cost of a draft token", upTo: widest), .share("acceptance a"))
    for gamma in 1...8 { draw(gamma, widest, &plot) }
    // Where the lines have come near each other, outside of the first and the last: drafters lie further left.
    let cost = 0.6 * (1 - model.perRow)
    if cost > 0.05, let low = model.breakEven(draftStep: cost, 1), let high = model.breakEven(draftStep: cost, 8) {
      plot.label("γ = 1", cost, low, shift: 4, lift: -16)
      plot.label("γ = 8", cost, high, anchor: "end", shift: -4, lift: 9)
    }
    for point in points where point.costs.draftStep <= 3 {
      plot.mark(max(0, point.costs.draftStep), point.costs.acceptance, MethodLook.of(point.method))
    }
    var names = points.map { point in
      let (a, c) = (NumberText.fixed(point.costs.acceptance, 3), NumberText.fixed(point.costs.draftStep, 3))
      let beyond = point.costs.draftStep <= 3 ? "" : ", right of the figure"
      return (sample: Self.sample(point.method), name: "\(point.method): a = \(a), c = \(c)\(beyond)")
    }
    if (1...8).contains(gamma), model.perRow < 1 {
      let line = MethodLook(colour: "#222222", dash: nil, marker: .plus)
      names.append((line.sample(isMarked: false), "break-even for γ = \(gamma)"))
    }
    return Markup(
      "div", ["class": "panel"],
      plot.figure("break-even: \(place.title)", described: "Break-even acceptance over the cost of a draft token"),
      Legend.list(names))
  }

  /// The line on which drafting neither gains nor loses; that of the comparison's γ is thicker.
  private func draw(_ gamma: Int, _ widest: Double, _ plot: inout Plot) {
    let points = (0...120).compactMap { step -> (x: Double, y: Double)? in
      let cost = widest * Double(step) / 120
      return model.breakEven(draftStep: cost, gamma).map { (x: cost, y: $0) }
    }
    plot.line(points, Stroke(colour: gamma == self.gamma ? "#222222" : "#8a8a8a", width: gamma == self.gamma ? 2 : 1))
  }

  private static func sample(_ method: String) -> Markup {
    let look = MethodLook.of(method)
    return Markup(
      "svg", ["xmlns": "http://www.w3.org/2000/svg", "class": "sample", "width": "14", "height": "14"],
      look.marker.drawn(7, 7, look.colour))
  }
}
