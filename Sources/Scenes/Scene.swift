/// What an object looks like from outside. Raw values are the words of a record's `.json`; their order is part of the
/// class codes of `LabelGrid`.
package enum Shape: String, CaseIterable, Sendable {
  case circle, square, triangle, star, ring, cross, diamond, heart
}

/// Colours that can be told apart in any light that a scene has.
package enum Colour: String, CaseIterable, Sendable {
  case red, green, blue, yellow, orange, purple, white, black, pink
}

/// How large an object is: radii of two sizes lie far apart.
package enum ObjectSize: String, CaseIterable, Sendable {
  case small, large
}

/// What an object's surface shows.
package enum Texture: String, CaseIterable, Sendable {
  case plain, striped, dotted, checked
}

/// One of the 3 × 3 places of a picture; it holds one object at most.
package struct Place: Sendable, Hashable {
  /// From the top, 0 to 2.
  package let row: Int
  /// From the left, 0 to 2.
  package let column: Int

  package init(row: Int, column: Int) {
    self.row = row
    self.column = column
  }

  /// Row after row.
  package static let all = (0..<9).map { Place(row: $0 / 3, column: $0 % 3) }
  /// The places' words in a record's `.json`, in the same order.
  package static let names = [
    "top left", "top", "top right", "left", "centre", "right", "bottom left", "bottom", "bottom right",
  ]

  /// The place's number, row after row.
  package var number: Int { row * 3 + column }

  package var name: String { Self.names[number] }
}

/// Where the light comes from.
package enum Light: String, CaseIterable, Sendable {
  case even, left, right, above, below, dim
}

/// A shade that only backgrounds have.
package enum Tone: String, CaseIterable, Sendable {
  case grey, beige, lavender, teal, olive, navy
}

/// What lies behind the objects.
package struct Background: Sendable, Equatable {
  /// How the tones are laid out; only the first is used where it is plain.
  package enum Pattern: String, CaseIterable, Sendable {
    case plain, gradient, halves, stripes
  }
  package let pattern: Pattern
  package let tones: [Tone]
  /// Whether the tones follow each other from left to right, not from top to bottom.
  package let runsAcross: Bool

  package init(pattern: Pattern, tones: [Tone], runsAcross: Bool) {
    self.pattern = pattern
    self.tones = tones
    self.runsAcross = runsAcross
  }
}

/// One object. Lengths are in units: `Scene.side` of them are a side of the picture, whatever its size in pixels.
package struct SceneObject: Sendable {
  package let shape: Shape
  package let colour: Colour
  package let size: ObjectSize
  package let texture: Texture
  package let place: Place
  /// From the left edge, in units.
  package var x = 0
  /// From the upper edge, in units.
  package var y = 0
  package var radius = 0
  /// Which of the small turns it has, and which way its stripes run.
  var turn = 0
  var grain = 0

  package init(shape: Shape, colour: Colour, size: ObjectSize, texture: Texture, place: Place) {
    self.shape = shape
    self.colour = colour
    self.size = size
    self.texture = texture
    self.place = place
  }
}

/// How pictures are drawn.
package enum SceneStyle: String, CaseIterable, Sendable {
  /// Filled shapes in full colours.
  case plain
  /// Outlines in pastel shades, of combinations too that `plain` never shows.
  case drawn
}

/// All that is true of one picture, and what its pixels depend on beside it.
package struct Scene: Sendable {
  /// Units of length a side.
  package static let side = 24_576

  package let style: SceneStyle
  /// In the order of their places. No two have both shape and colour in common.
  package let objects: [SceneObject]
  package let background: Background
  package let light: Light
  /// Amplitude of the noise, in steps of a colour.
  package let noise: Int
  /// How often the picture is blurred.
  package let blur: Int
  /// The JPEG quality that was drawn for the scene: what quality=auto takes.
  package let quality: Int
}
