/// A chart in the making: a frame with two axes, and what has been drawn into it.
struct Plot {
  /// Units around the frame, for titles and numbers.
  struct Margins {
    var top = 30.0
    var right = 18.0
    var bottom = 42.0
    var left = 44.0
  }

  let x: Axis
  let y: Axis
  private let width: Double
  private let height: Double
  private let margins: Margins
  private var drawn = Markup([])

  init(_ x: Axis, _ y: Axis, width: Double = 460, height: Double = 270, margins: Margins = Margins()) {
    self.x = x
    self.y = y
    self.width = width
    self.height = height
    self.margins = margins
  }

  // MARK: Places

  /// Where a value lies from the left.
  func across(_ value: Double) -> Double {
    margins.left + x.place(of: value) * (width - margins.left - margins.right)
  }

  /// Where a value lies from the top.
  func down(_ value: Double) -> Double {
    height - margins.bottom - y.place(of: value) * (height - margins.top - margins.bottom)
  }

  // MARK: Drawing

  /// Adds what was drawn elsewhere, in the plot's units.
  mutating func add(_ markup: Markup) { drawn += markup }

  /// A line through points.
  mutating func line(_ points: [(x: Double, y: Double)], _ stroke: Stroke) {
    guard points.count > 1 else { return }
    add(Markup("path", stroke.attributes("M" + outline(points))))
  }

  /// An area between points and the bottom.
  mutating func area(_ points: [(x: Double, y: Double)], colour: String, opacity: Double) {
    guard let first = points.first, let last = points.last else { return }
    let path = "M" + outline([(first.x, y.range.lowerBound)] + points + [(last.x, y.range.lowerBound)]) + "Z"
    add(Markup("path", ["d": path, "fill": colour, "fill-opacity": NumberText.short(opacity), "stroke": "none"]))
  }

  private func outline(_ points: [(x: Double, y: Double)]) -> String {
    points.map { "\(NumberText.place(across($0.x))) \(NumberText.place(down($0.y)))" }.joined(separator: "L")
  }

  /// A mark at a point.
  mutating func mark(_ x: Double, _ y: Double, _ look: MethodLook) {
    add(look.marker.drawn(across(x), down(y), look.colour))
  }

  /// Words that begin, end or have their middle at a point; `lift` moves them up by as many units.
  mutating func label(
    _ text: String, _ x: Double, _ y: Double, anchor: String = "start", shift: Double = 0, lift: Double = 0
  ) {
    add(
      Markup(
        "text",
        [
          "x": NumberText.place(across(x) + shift), "y": NumberText.place(down(y) - lift), "text-anchor": anchor,
          "class": "on-plot",
        ], Markup(text: text)))
  }

  /// A box from one value to another in both directions.
  mutating func box(_ xs: ClosedRange<Double>, _ ys: ClosedRange<Double>, fill: String) {
    let (left, right) = (across(xs.lowerBound), across(xs.upperBound))
    let (top, bottom) = (down(ys.upperBound), down(ys.lowerBound))
    add(
      Markup(
        "rect",
        [
          "x": NumberText.place(left), "y": NumberText.place(top), "width": NumberText.place(right - left),
          "height": NumberText.place(bottom - top), "fill": fill,
        ]))
  }

  // MARK: The whole

  /// The drawing with its frame, axes and title.
  ///
  /// - Parameter described: what it shows, for those who cannot see it.
  func figure(_ title: String, described: String) -> Markup {
    let size = ["viewBox": "0 0 \(NumberText.place(width)) \(NumberText.place(height))"]
    return Markup(
      "svg",
      [
        "xmlns": "http://www.w3.org/2000/svg", "class": "plot", "role": "img", "aria-label": described,
        "viewBox": size["viewBox"], "width": NumberText.place(width), "height": NumberText.place(height),
      ],
      text(title, 4, 13, class: "plot-title"), grid, drawn, frame)
  }

  private func text(
    _ words: String, _ x: Double, _ y: Double, anchor: String = "start", class name: String? = nil
  ) -> Markup {
    Markup(
      "text", ["x": NumberText.place(x), "y": NumberText.place(y), "text-anchor": anchor, "class": name],
      Markup(text: words))
  }

  /// Thin lines behind everything, with their numbers.
  private var grid: Markup {
    let (left, right) = (margins.left, width - margins.right)
    let (top, bottom) = (margins.top, height - margins.bottom)
    func thin(_ path: String) -> Markup { Markup("path", ["d": path, "class": "grid"]) }
    let across = x.ticks.map { tick in
      let place = NumberText.place(self.across(tick))
      return thin("M\(place) \(NumberText.place(top))V\(NumberText.place(bottom))")
        + text(NumberText.short(tick), self.across(tick), bottom + 15, anchor: "middle")
    }
    let down = y.ticks.map { tick in
      let place = NumberText.place(self.down(tick))
      return thin("M\(NumberText.place(left)) \(place)H\(NumberText.place(right))")
        + text(NumberText.short(tick), left - 6, self.down(tick) + 4, anchor: "end")
    }
    return Markup(across + down)
  }

  /// The two axes and what they measure.
  private var frame: Markup {
    let (left, bottom) = (margins.left, height - margins.bottom)
    let path =
      "M\(NumberText.place(left)) \(NumberText.place(margins.top))V\(NumberText.place(bottom))"
      + "H\(NumberText.place(width - margins.right))"
    return Markup("path", ["d": path, "class": "axis"])
      + text(x.title, (left + width - margins.right) / 2, height - 8, anchor: "middle")
      + text(y.title, width - margins.right, 13, anchor: "end")
  }
}
