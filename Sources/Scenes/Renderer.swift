/// The pixels of a scene, and which object they show.
///
/// All arithmetic is of whole numbers, so that every machine draws the same bytes.
package struct Renderer {
  /// Points a side that are looked at within a pixel.
  private static let points = 4

  private let scene: Scene
  private let palette: Palette
  private let size: Int
  /// Pixels, three bytes each.
  private(set) var rgb: [UInt8]
  /// Points of each object in each cell, of cells row after row.
  private(set) var coverage: LabelGrid.Coverage

  private init(_ scene: Scene, size: Int, cells: Int) {
    self.scene = scene
    self.size = size
    palette = Palette(scene.style)
    rgb = [UInt8](repeating: 0, count: size * size * 3)
    coverage = LabelGrid.Coverage(cells: cells, objects: scene.objects.count)
  }

  /// Draws a scene of `size` × `size` pixels.
  ///
  /// - Parameters:
  ///   - cells: labelled cells a side.
  ///   - seed, index: what the noise is drawn from.
  package static func render(
    _ scene: Scene, size: Int, cells: Int, seed: Int, index: Int
  ) -> (rgb: [UInt8], labels: LabelGrid) {
    var renderer = Renderer(scene, size: size, cells: cells)
    renderer.fill()
    for (number, object) in scene.objects.enumerated() { renderer.draw(object, number) }
    renderer.shine()
    for _ in 0..<scene.blur { renderer.blur() }
    var random = SplitMix64(seed: seed, index: index, .noise)
    renderer.addNoise(&random)
    let labels = LabelGrid(
      renderer.coverage, of: scene, pointsPerCell: (size * points) * (size * points) / (cells * cells))
    return (renderer.rgb, labels)
  }

  // MARK: Background

  private mutating func fill() {
    let first = palette[scene.background.tones[0]]
    let second = scene.background.tones.last.map { palette[$0] } ?? first
    let line = (0..<size).map { position -> RGB in
      switch scene.background.pattern {
      case .plain: first
      case .gradient: first.mixed(with: second, position * 256 / max(1, size - 1))
      case .halves: position * 2 < size ? first : second
      case .stripes: (position * 12 / size) % 2 == 0 ? first : second
      }
    }
    for y in 0..<size {
      for x in 0..<size { set(y * size + x, line[scene.background.runsAcross ? x : y]) }
    }
  }

  private mutating func set(_ pixel: Int, _ colour: RGB) {
    rgb[pixel * 3] = UInt8(truncatingIfNeeded: colour.red)
    rgb[pixel * 3 + 1] = UInt8(truncatingIfNeeded: colour.green)
    rgb[pixel * 3 + 2] = UInt8(truncatingIfNeeded: colour.blue)
  }

  // MARK: Objects

  private mutating func draw(_ object: SceneObject, _ number: Int) {
    let brush = Brush(object, scene.style)
    let (main, shade) = (palette[object.colour], palette.shade(of: object.colour))
    let reach = object.radius * 1100 / 1024
    let all = Self.points * Self.points
    for y in pixels(object.y - reach...object.y + reach) {
      for x in pixels(object.x - reach...object.x + reach) {
        let found = points(of: brush, x, y)
        if found.inside == 0 { continue }
        coverage.add(found.inside, of: number, x * coverage.cells / size, y * coverage.cells / size)
        let pixel = (y * size + x) * 3
        let left = all - found.main - found.shade
        func blend(_ channel: Int, _ main: Int, _ shade: Int) {
          let sum = Int(rgb[pixel + channel]) * left + main * found.main + shade * found.shade
          rgb[pixel + channel] = UInt8(truncatingIfNeeded: (sum + all / 2) / all)
        }
        blend(0, main.red, shade.red)
        blend(1, main.green, shade.green)
        blend(2, main.blue, shade.blue)
      }
    }
  }

  /// Rows or columns of pixels that touch a range of units.
  private func pixels(_ units: ClosedRange<Int>) -> ClosedRange<Int> {
    max(0, units.lowerBound * size / Scene.side)...min(size - 1, max(0, units.upperBound * size / Scene.side))
  }

  /// How many of a pixel's points lie in the object, and how many of them have its colours.
  private func points(of brush: Brush, _ x: Int, _ y: Int) -> (inside: Int, main: Int, shade: Int) {
    var (inside, main, shade) = (0, 0, 0)
    let step = 2 * Self.points * size
    for row in 0..<Self.points {
      let v = (2 * (y * Self.points + row) + 1) * Scene.side / step
      for column in 0..<Self.points {
        let u = (2 * (x * Self.points + column) + 1) * Scene.side / step
        switch brush.ink(at: u, v) {
        case .none: break
        case .inside: inside += 1
        case .main:
          inside += 1
          main += 1
        case .shade:
          inside += 1
          shade += 1
        }
      }
    }
    return (inside, main, shade)
  }

  // MARK: Light, blur and noise

  /// Makes each pixel as bright as the light that falls there: 256 leaves it as it is.
  private mutating func shine() {
    let (base, across, down) =
      switch scene.light {
      case .even: (256, 0, 0)
      case .left: (240, -64, 0)
      case .right: (240, 64, 0)
      case .above: (240, 0, -64)
      case .below: (240, 0, 64)
      case .dim: (172, 0, 0)
      }
    if scene.light == .even { return }
    for y in 0..<size {
      for x in 0..<size {
        let factor = base + (across * (2 * x + 1 - size) + down * (2 * y + 1 - size)) / size
        for byte in (y * size + x) * 3..<(y * size + x) * 3 + 3 {
          rgb[byte] = UInt8(truncatingIfNeeded: min(255, (Int(rgb[byte]) * factor) >> 8))
        }
      }
    }
  }

  /// Mixes each pixel with its neighbours, half and half along rows and then along columns.
  private mutating func blur() {
    for step in [3, size * 3] {
      let source = rgb
      let end = source.count - step
      for byte in step..<max(step, end) {
        let place = step == 3 ? byte / 3 % size : byte / 3 / size
        if place == 0 || place == size - 1 { continue }
        let sum = Int(source[byte - step]) + 2 * Int(source[byte]) + Int(source[byte + step])
        rgb[byte] = UInt8(truncatingIfNeeded: (sum + 2) >> 2)
      }
    }
  }

  private mutating func addNoise(_ random: inout SplitMix64) {
    if scene.noise == 0 { return }
    var bits: UInt64 = 0
    for byte in rgb.indices {
      if byte % 8 == 0 { bits = random.next() }
      let noise = ((Int(bits & 0xFF) * 2 - 255) * scene.noise) >> 8
      bits >>= 8
      rgb[byte] = UInt8(truncatingIfNeeded: min(255, max(0, Int(rgb[byte]) + noise)))
    }
  }
}

/// What a point shows of an object.
private enum Ink {
  case none
  /// Within the object, but not painted: inside an outline.
  case inside
  case main
  case shade
}

/// An object as it is painted.
private struct Brush {
  private let object: SceneObject
  private let turn: Turn
  private let grain: Grain
  /// Turns units into 1024ths of the radius.
  private let scale: Int
  private let isFilled: Bool
  /// Thickness in 1024ths of the radius of an outline, or of a filled object's rim, which has no pattern: so that the
  /// pattern does not blur the shape.
  private let rim: Int
  /// Patterns of small objects are finer: 256ths.
  private let fineness: Int

  init(_ object: SceneObject, _ style: SceneStyle) {
    self.object = object
    turn = Turn.all[object.turn]
    grain = Grain.allCases[object.grain]
    scale = (1 << 20) / max(1, object.radius)
    isFilled = style == .plain
    rim = (isFilled ? 280 : 480) * 1024 / max(1, object.radius)
    fineness = object.size == .small ? 310 : 256
  }

  @inline(__always) func ink(at x: Int, _ y: Int) -> Ink {
    let (dx, dy) = (x - object.x, y - object.y)
    let u = ((dx * turn.cosine + dy * turn.sine) * scale) >> 20
    let v = ((dy * turn.cosine - dx * turn.sine) * scale) >> 20
    guard object.shape.contains(u, v) else { return .none }
    let (a, b) = ((dx * fineness) >> 8, (dy * fineness) >> 8)
    if isFilled { return object.texture.isShaded(a, b, grain) && !isEdge(u, v) ? .shade : .main }
    return object.texture.isDrawn(a, b, grain) || isEdge(u, v) ? .main : .inside
  }

  /// Whether the rim's thickness away, in one of eight directions, the object has ended.
  private func isEdge(_ u: Int, _ v: Int) -> Bool {
    let (far, near) = (rim, (rim * 181) >> 8)
    let shape = object.shape
    return
      !(shape.contains(u - far, v) && shape.contains(u + far, v) && shape.contains(u, v - far)
      && shape.contains(u, v + far) && shape.contains(u - near, v - near) && shape.contains(u + near, v - near)
      && shape.contains(u - near, v + near) && shape.contains(u + near, v + near))
  }
}
