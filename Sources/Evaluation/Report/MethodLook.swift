/// How a line is drawn.
struct Stroke {
  var colour: String
  /// Lengths of strokes and gaps, nil for a whole line.
  var dash: String?
  var width = 2.0

  /// The attributes of a path along this outline.
  func attributes(_ outline: String) -> KeyValuePairs<String, String?> {
    [
      "d": outline, "fill": "none", "stroke": colour, "stroke-width": NumberText.short(width),
      "stroke-dasharray": dash,
    ]
  }
}

/// The shape of a point.
enum Marker {
  case circle, ring, square, diamond, triangle, cross, plus

  /// The shape with its middle at a place.
  func drawn(_ x: Double, _ y: Double, _ colour: String) -> Markup {
    if self == .circle || self == .ring {
      return Markup(
        "circle",
        [
          "cx": NumberText.place(x), "cy": NumberText.place(y), "r": "4", "stroke": colour, "stroke-width": "1.6",
          "fill": self == .ring ? "#ffffff" : colour,
        ])
    }
    let isOpen = self == .cross || self == .plus
    return Markup(
      "path",
      [
        "d": "M\(NumberText.place(x)) \(NumberText.place(y))" + path, "stroke": colour,
        "stroke-width": isOpen ? "2.2" : "1", "fill": isOpen ? "none" : colour,
      ])
  }

  /// From the middle on.
  private var path: String {
    switch self {
    case .circle, .ring: ""
    case .square: "m-3.8-3.8h7.6v7.6h-7.6z"
    case .diamond: "m0-5.4l5.4 5.4l-5.4 5.4l-5.4-5.4z"
    case .triangle: "m0-5l4.8 8.6h-9.6z"
    case .cross: "m-4-4l8 8m0-8l-8 8"
    case .plus: "m-5 0h10m-5-5v10"
    }
  }
}

/// How a method is told from others, in colour and without.
struct MethodLook {
  let colour: String
  let dash: String?
  let marker: Marker

  /// The look of a method; those that are not known share one.
  static func of(_ method: String) -> MethodLook {
    switch method {
    case Setting.plain: MethodLook(colour: "#555555", dash: nil, marker: .plus)
    case "ngram": MethodLook(colour: "#7a6200", dash: "1.5 3", marker: .triangle)
    case Setting.textOnly: MethodLook(colour: "#c04f00", dash: "7 4", marker: .square)
    case "text-only-tuned": MethodLook(colour: "#a3307d", dash: "7 3 1.5 3", marker: .cross)
    case "fixed": MethodLook(colour: "#6f42a8", dash: "3 2.5", marker: .diamond)
    case "phase1": MethodLook(colour: "#00735a", dash: "12 4", marker: .plus)
    case Setting.massv: MethodLook(colour: "#0059a6", dash: nil, marker: .circle)
    case "massv-wrong-picture": MethodLook(colour: "#3f8fcf", dash: "10 3 3 3", marker: .ring)
    default: MethodLook(colour: "#333333", dash: "2 5", marker: .plus)
    }
  }

  var stroke: Stroke { Stroke(colour: colour, dash: dash) }

  /// A piece of the method's line, its mark in the middle, for a legend.
  func sample(isMarked: Bool) -> Markup {
    let line = Markup("path", stroke.attributes("M1 7H37"))
    return Markup(
      "svg", ["xmlns": "http://www.w3.org/2000/svg", "class": "sample", "width": "38", "height": "14"],
      isMarked ? line + marker.drawn(19, 7, colour) : line)
  }
}

/// The words beside a figure that say what is what.
enum Legend {
  /// A list of samples with their names.
  static func list(_ entries: [(sample: Markup, name: String)]) -> Markup {
    guard !entries.isEmpty else { return Markup([]) }
    return Markup(
      "ul", ["class": "legend"],
      Markup(entries.map { Markup("li", [:], $0.sample, Markup(text: $0.name)) }))
  }
}
