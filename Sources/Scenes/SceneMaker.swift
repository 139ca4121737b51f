/// What may be in a scene.
package struct SceneOptions: Sendable {
  package var style = SceneStyle.plain
  /// How many objects a scene has.
  package var objects = 1...4
  /// Whether plain scenes show the combinations too that are held out of them.
  package var heldCombinations = false

  package init(style: SceneStyle = .plain, objects: ClosedRange<Int> = 1...4, heldCombinations: Bool = false) {
    self.style = style
    self.objects = objects
    self.heldCombinations = heldCombinations
  }

  /// Whether a scene may show this shape in this colour.
  func allow(_ shape: Shape, _ colour: Colour) -> Bool {
    style == .drawn || heldCombinations || !Self.isHeldOut(shape, colour)
  }

  /// One in eight combinations is held out of plain scenes, so that a trained model can be asked about what it has never
  /// seen together: one shape of each colour, one or two colours of each shape.
  package static func isHeldOut(_ shape: Shape, _ colour: Colour) -> Bool {
    (5 * shape.number + colour.number) % 8 == 0
  }
}

extension CaseIterable where Self: Equatable, AllCases == [Self] {
  /// The case's place among all of them.
  package var number: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}

extension Scene {
  /// The scene of a record: a seed and an index always give the same one.
  package init(seed: Int, index: Int, options: SceneOptions = SceneOptions()) {
    var random = SplitMix64(seed: seed, index: index, .scene)
    style = options.style
    objects = Self.objects(options, &random)
    background = Self.background(behind: objects, options.style, &random)
    // A gradient and a light from one side could not be told apart.
    light = background.pattern == .gradient ? random.pick([.even, .dim]) : random.pick(Light.self)
    noise = random.pick([0, 3, 6, 10])
    blur = random.pick([0, 0, 1])
    quality = random.within(60...95)
  }

  private static func objects(_ options: SceneOptions, _ random: inout SplitMix64) -> [SceneObject] {
    let count = random.within(options.objects)
    let places = random.shuffled(Place.all).prefix(count).sorted { $0.number < $1.number }
    var objects: [SceneObject] = []
    for place in places {
      var shape: Shape
      var colour: Colour
      repeat {
        shape = random.pick(Shape.self)
        colour = random.pick(Colour.self)
      } while !options.allow(shape, colour) || objects.contains { $0.shape == shape && $0.colour == colour }
      var object = SceneObject(
        shape: shape, colour: colour, size: random.pick(ObjectSize.self), texture: random.pick(Texture.self),
        place: place)
      settle(&object, &random)
      objects.append(object)
    }
    return objects
  }

  /// Radius and place to the unit: anywhere within its own of the 3 × 3 places, so that no two objects touch.
  private static func settle(_ object: inout SceneObject, _ random: inout SplitMix64) {
    let cell = side / 3
    object.radius = object.size == .small ? random.within(2050...2350) : random.within(3350...3750)
    let freedom = cell / 2 - object.radius - 150
    object.x = object.place.column * cell + cell / 2 + random.within(-freedom...freedom)
    object.y = object.place.row * cell + cell / 2 + random.within(-freedom...freedom)
    object.turn = random.below(Turn.all.count)
    object.grain = random.below(Grain.allCases.count)
  }

  /// Tones from which every object stands out.
  private static func background(
    behind objects: [SceneObject], _ style: SceneStyle, _ random: inout SplitMix64
  ) -> Background {
    let palette = Palette(style)
    func distance(_ tone: Tone) -> Int {
      objects.map { palette[$0.colour].squaredDistance(to: palette[tone]) }.min() ?? .max
    }
    let order = random.shuffled(Tone.allCases)
    let clear = order.filter { distance($0) >= Palette.clearDistance }
    // Where no tone is clear of all, the clearest is taken.
    let ranked = clear.isEmpty ? order.sorted { distance($0) > distance($1) } : clear
    let pattern = ranked.count == 1 || clear.isEmpty ? .plain : random.pick(Background.Pattern.self)
    return Background(
      pattern: pattern, tones: Array(ranked.prefix(pattern == .plain ? 1 : 2)), runsAcross: random.chance(50))
  }
}
