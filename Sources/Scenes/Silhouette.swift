/// A small turn to the left or right, as sine and cosine in 1024ths: tables, since libraries differ in the last bit.
struct Turn {
  let sine: Int
  let cosine: Int

  /// 0, ±4, ±8 and ±12 degrees.
  static let all = [
    Turn(sine: 0, cosine: 1024), Turn(sine: 71, cosine: 1022), Turn(sine: -71, cosine: 1022),
    Turn(sine: 143, cosine: 1014), Turn(sine: -143, cosine: 1014), Turn(sine: 213, cosine: 1002),
    Turn(sine: -213, cosine: 1002),
  ]
}

extension Shape {
  /// Whether a point belongs to the shape. Coordinates are in 1024ths of the object's radius, from its centre to the right
  /// and down.
  @inline(__always) func contains(_ u: Int, _ v: Int) -> Bool {
    switch self {
    case .circle: u * u + v * v <= 950 * 950
    case .square: abs(u) <= 820 && abs(v) <= 820
    case .triangle: v <= 640 && abs(u) * 1580 <= 900 * (v + 940)
    case .star: Self.starContains(u, v)
    case .ring: (530 * 530...980 * 980).contains(u * u + v * v)
    case .cross: min(abs(u), abs(v)) <= 310 && max(abs(u), abs(v)) <= 980
    case .diamond: abs(u) * 1060 + abs(v) * 720 <= 1060 * 720
    case .heart: Self.heartContains(abs(u), v)
    }
  }

  /// A star of five points is what lies on the inner side of at least four of the five lines through its points.
  @inline(__always) private static func starContains(_ u: Int, _ v: Int) -> Bool {
    let reach = 325 * 1024
    var sides = -v * 1024 <= reach ? 1 : 0
    sides += 974 * u - 316 * v <= reach ? 1 : 0
    sides += -974 * u - 316 * v <= reach ? 1 : 0
    sides += 602 * u + 828 * v <= reach ? 1 : 0
    sides += -602 * u + 828 * v <= reach ? 1 : 0
    return sides >= 4
  }

  /// A heart is a square on its corner with half a disc on each of the upper sides.
  @inline(__always) private static func heartContains(_ u: Int, _ v: Int) -> Bool {
    if u + abs(v - 120) <= 820 { return true }
    let (a, b) = (u - 410, v + 290)
    return a * a + b * b <= 580 * 580
  }
}

/// Which way the stripes of an object run.
enum Grain: Int, CaseIterable {
  case across, down, rising, falling

  /// How far a point lies across the stripes.
  @inline(__always) func distance(_ x: Int, _ y: Int) -> Int {
    switch self {
    case .across: y
    case .down: x
    case .rising: ((x + y) * 181) >> 8
    case .falling: ((x - y) * 181) >> 8
    }
  }
}

extension Texture {
  // Lengths in units of the scene, 256 of which are a pixel of a picture of 96 × 96.

  /// Keeps what is divided above 0.
  private static let origin = 1 << 16

  /// Whether a point, given from the object's centre, has the second colour of a filled object.
  @inline(__always) func isShaded(_ x: Int, _ y: Int, _ grain: Grain) -> Bool {
    switch self {
    case .plain: false
    case .striped: ((grain.distance(x, y) + Self.origin) / 700) & 1 == 1
    case .dotted: Self.isDot(x, y, apart: 1500, radius: 440)
    case .checked: ((x + Self.origin) / 1000 + (y + Self.origin) / 1000) & 1 == 1
    }
  }

  /// Whether a point inside an outline is drawn.
  @inline(__always) func isDrawn(_ x: Int, _ y: Int, _ grain: Grain) -> Bool {
    switch self {
    case .plain: false
    case .striped: (grain.distance(x, y) + Self.origin) % 1250 < 380
    case .dotted: Self.isDot(x, y, apart: 1500, radius: 400)
    case .checked: min((x + Self.origin) % 1300, (y + Self.origin) % 1300) < 330
    }
  }

  @inline(__always) private static func isDot(_ x: Int, _ y: Int, apart: Int, radius: Int) -> Bool {
    let (a, b) = ((x + apart * 64) % apart - apart / 2, (y + apart * 64) % apart - apart / 2)
    return a * a + b * b <= radius * radius
  }
}
