import Scenes
import Testing

private let drawn = SceneOptions(style: .drawn, objects: 1...5)

/// How far the rarest and the most frequent of all cases are from their mean, in parts of it.
private func spread<Key: Hashable>(_ counts: [Key: Int], of cases: Int) -> Double {
  let mean = Double(counts.values.reduce(0, +)) / Double(cases)
  if counts.count < cases { return 1 }
  return counts.values.map { abs(Double($0) - mean) / mean }.max() ?? 1
}

@Test func aSceneDependsOnItsSeedAndNumberAlone() {
  let (a, b) = (Scene(seed: 3, index: 7), Scene(seed: 3, index: 7))
  #expect(a.objects.map(\.x) == b.objects.map(\.x) && a.background == b.background)
  let others = [Scene(seed: 4, index: 7), Scene(seed: 3, index: 8), Scene(seed: 7, index: 3)]
  for other in others { #expect(other.objects.map(\.x) != a.objects.map(\.x)) }
  let (first, second) = (
    Renderer.render(a, size: 96, cells: 6, seed: 3, index: 7), Renderer.render(b, size: 96, cells: 6, seed: 3, index: 7)
  )
  #expect(first.rgb == second.rgb && first.labels.objects == second.labels.objects)
}

/// Bytes that every machine draws: arithmetic is of whole numbers.
@Test func pixelsAreTheSameOnEveryMachine() {
  var sum: UInt64 = 14_695_981_039_346_656_037
  for index in 0..<40 {
    let options = index % 2 == 0 ? SceneOptions() : drawn
    let scene = Scene(seed: 5, index: index, options: options)
    for byte in Renderer.render(scene, size: 96, cells: 6, seed: 5, index: index).rgb {
      sum = (sum ^ UInt64(byte)) &* 1_099_511_628_211
    }
  }
  #expect(sum == 9_670_985_545_320_926_639)
}

@Test func plainScenesHoldOutOneCombinationInEight() {
  let combinations = Shape.allCases.flatMap { shape in Colour.allCases.map { (shape, $0) } }
  let held = combinations.filter { SceneOptions.isHeldOut($0.0, $0.1) }
  #expect(held.count == 9)
  #expect(Set(held.map(\.1)).count == Colour.allCases.count && Set(held.map(\.0)).count == Shape.allCases.count)
  func shown(_ options: SceneOptions) -> Set<Int> {
    Set(
      (0..<2000).flatMap { Scene(seed: 1, index: $0, options: options).objects }.map {
        LabelGrid.code($0.shape, $0.colour)
      })
  }
  let heldCodes = Set(held.map { LabelGrid.code($0.0, $0.1) })
  #expect(shown(SceneOptions()).isDisjoint(with: heldCodes) && shown(SceneOptions()).count == 63)
  #expect(shown(SceneOptions(heldCombinations: true)).count == 72)
  #expect(shown(drawn).count == 72)
}

@Test func everythingOccursAboutEquallyOften() {
  var shapes: [Shape: Int] = [:]
  var colours: [Colour: Int] = [:]
  var places: [Place: Int] = [:]
  var sizes: [ObjectSize: Int] = [:]
  var textures: [Texture: Int] = [:]
  var counts: [Int: Int] = [:]
  var tones: [Tone: Int] = [:]
  for index in 0..<10_000 {
    let scene = Scene(seed: 2, index: index)
    counts[scene.objects.count, default: 0] += 1
    for tone in scene.background.tones { tones[tone, default: 0] += 1 }
    for object in scene.objects {
      shapes[object.shape, default: 0] += 1
      colours[object.colour, default: 0] += 1
      places[object.place, default: 0] += 1
      sizes[object.size, default: 0] += 1
      textures[object.texture, default: 0] += 1
    }
  }
  // Combinations that are held out make some shapes a little rarer.
  #expect(spread(shapes, of: 8) < 0.15 && spread(colours, of: 9) < 0.15)
  #expect(spread(places, of: 9) < 0.06 && spread(sizes, of: 2) < 0.06 && spread(textures, of: 4) < 0.06)
  #expect(spread(counts, of: 4) < 0.06)
  // Tones stand back where an object would not stand out.
  #expect(tones.count == Tone.allCases.count && (tones.values.min() ?? 0) > 1000)
}

@Test(arguments: [SceneOptions(objects: 5...5), drawn]) func objectsStandApart(options: SceneOptions) {
  for index in 0..<1000 {
    let objects = Scene(seed: 9, index: index, options: options).objects
    #expect(options.objects.contains(objects.count))
    #expect(Set(objects.map(\.place)).count == objects.count)
    #expect(Set(objects.map { LabelGrid.code($0.shape, $0.colour) }).count == objects.count)
    for object in objects {
      let cell = Scene.side / 3
      let (left, top) = (object.place.column * cell, object.place.row * cell)
      #expect(object.x - object.radius > left && object.x + object.radius < left + cell)
      #expect(object.y - object.radius > top && object.y + object.radius < top + cell)
      #expect(object.size == .small ? object.radius < 2400 : object.radius > 3300)
    }
  }
}

@Test(arguments: [SceneOptions(), drawn]) func labelsSayWhereObjectsAre(options: SceneOptions) {
  for index in 0..<300 {
    let scene = Scene(seed: 4, index: index, options: options)
    let labels = Renderer.render(scene, size: 96, cells: 6, seed: 4, index: index).labels
    #expect(labels.objects.count == 36 && labels.textures.count == 36)
    #expect(zip(labels.objects, labels.textures).allSatisfy { ($0 == 0) == ($1 == 0) })
    for object in scene.objects {
      let code = LabelGrid.code(object.shape, object.colour)
      // Each object has cells, and they are those of its place: two rows and columns of cells are one of places.
      let cells = labels.objects.indices.filter { labels.objects[$0] == code }
      #expect(!cells.isEmpty)
      for cell in cells {
        #expect(cell / 6 / 2 == object.place.row && cell % 6 / 2 == object.place.column)
        #expect(labels.textures[cell] == LabelGrid.code(object.texture, object.size))
      }
    }
  }
}

@Test(arguments: [1, 16, 33, 100, 224]) func anySizeCanBeDrawn(size: Int) {
  let scene = Scene(seed: 6, index: 1, options: drawn)
  let (rgb, labels) = Renderer.render(scene, size: size, cells: 7, seed: 6, index: 1)
  #expect(rgb.count == size * size * 3 && labels.objects.count == 49)
}
