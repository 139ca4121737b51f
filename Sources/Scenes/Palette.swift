/// Red, green and blue of a colour, 0 to 255.
package struct RGB: Sendable, Equatable {
  let red: Int
  let green: Int
  let blue: Int

  init(_ red: Int, _ green: Int, _ blue: Int) {
    self.red = red
    self.green = green
    self.blue = blue
  }

  /// How far apart two colours are.
  func squaredDistance(to other: RGB) -> Int {
    let (r, g, b) = (red - other.red, green - other.green, blue - other.blue)
    return r * r + g * g + b * b
  }

  /// Between two colours: this one at 0, the other at 256.
  func mixed(with other: RGB, _ share: Int) -> RGB {
    RGB(
      (red * (256 - share) + other.red * share) >> 8, (green * (256 - share) + other.green * share) >> 8,
      (blue * (256 - share) + other.blue * share) >> 8)
  }
}

/// What the names of colours and tones mean in a style.
struct Palette {
  /// The squared distance from which an object stands out from its background.
  static let clearDistance = 100 * 100

  private let colours: [RGB]
  private let tones: [RGB]

  init(_ style: SceneStyle) {
    colours = style == .plain ? Self.full : Self.pastel
    tones = style == .plain ? Self.matt : Self.board
  }

  subscript(_ colour: Colour) -> RGB { colours[colour.number] }

  subscript(_ tone: Tone) -> RGB { tones[tone.number] }

  /// The second colour of a pattern on an object: a shade of the same name, far enough off to be seen.
  func shade(of colour: Colour) -> RGB {
    let own = self[colour]
    return colour == .black ? own.mixed(with: RGB(255, 255, 255), 104) : own.mixed(with: RGB(0, 0, 0), 136)
  }

  // In the order of `Colour.allCases` and `Tone.allCases`.
  private static let full = [
    RGB(222, 38, 38), RGB(40, 168, 62), RGB(44, 84, 222), RGB(246, 222, 48), RGB(246, 138, 26), RGB(132, 48, 176),
    RGB(250, 250, 250), RGB(20, 20, 22), RGB(250, 150, 192),
  ]
  private static let pastel = [
    RGB(232, 92, 84), RGB(122, 206, 130), RGB(112, 150, 240), RGB(250, 238, 140), RGB(250, 178, 104),
    RGB(176, 116, 214), RGB(242, 242, 246), RGB(52, 50, 58), RGB(252, 190, 216),
  ]
  private static let matt = [
    RGB(134, 134, 134), RGB(206, 188, 148), RGB(178, 166, 214), RGB(48, 116, 118), RGB(112, 112, 58),
    RGB(40, 50, 92),
  ]
  private static let board = [
    RGB(158, 160, 162), RGB(222, 210, 178), RGB(198, 190, 228), RGB(36, 92, 98), RGB(92, 94, 44), RGB(26, 36, 72),
  ]
}
