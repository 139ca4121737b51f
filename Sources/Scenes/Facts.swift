/// What is true of a picture, as far as texts about it are judged.
package struct Truth: Sendable {
  package let objects: [SceneObject]
  /// nil where it is not known.
  package let background: Background?
  package let light: Light?

  package init(objects: [SceneObject], background: Background?, light: Light?) {
    self.objects = objects
    self.background = background
    self.light = light
  }

  package init(_ scene: Scene) {
    self.init(objects: scene.objects, background: scene.background, light: scene.light)
  }
}

/// How much of a text is right, by kind of fact.
///
/// A description owes the number of objects, and the shape, colour and place of each: what it leaves out is wrong, and
/// so is what it says of an object that is not there. All else counts where it is said.
package struct Facts: Sendable, Equatable {
  /// How many facts of a kind were told, or were owed, and how many of them are right.
  package struct Tally: Sendable, Equatable {
    package var said = 0
    package var right = 0
  }
  package private(set) var byKind: [FactKind: Tally] = [:]

  package var said: Int { byKind.values.reduce(0) { $0 + $1.said } }

  package var right: Int { byKind.values.reduce(0) { $0 + $1.right } }

  private mutating func add(_ kind: FactKind, _ isRight: Bool) {
    byKind[kind, default: Tally()].said += 1
    if isRight { byKind[kind, default: Tally()].right += 1 }
  }

  // MARK: Descriptions

  /// Judges a caption or any other description.
  package init(of text: String, truth: Truth) {
    let reading = TextReading(text)
    for count in reading.counts { add(.count, count == truth.objects.count) }
    if reading.counts.isEmpty { add(.count, false) }
    let matches = Self.matches(reading.claims, truth.objects)
    for (claim, match) in zip(reading.claims, matches) { judge(claim, match.map { truth.objects[$0] }) }
    for number in truth.objects.indices where !matches.contains(number) {
      for kind in [FactKind.shape, .colour, .place] { add(kind, false) }
    }
    for (first, relation, second) in reading.relations {
      guard let a = matches[first], let b = matches[second] else {
        add(.relation, false)
        continue
      }
      add(.relation, relation.holds(truth.objects[a], truth.objects[b]))
    }
    judgeSurroundings(reading, truth)
  }

  /// - Parameter object: what the claim is about, nil where there is nothing.
  private mutating func judge(_ claim: Claim, _ object: SceneObject?) {
    add(.shape, claim.shape == object?.shape)
    add(.colour, claim.colour != nil && claim.colour == object?.colour)
    for place in claim.places { add(.place, place == object?.place) }
    if claim.places.isEmpty { add(.place, false) }
    for size in claim.sizes { add(.size, size == object?.size) }
    for texture in claim.textures { add(.texture, texture == object?.texture) }
  }

  private mutating func judgeSurroundings(_ reading: TextReading, _ truth: Truth) {
    for (pattern, tones) in reading.backgrounds {
      add(.background, pattern == truth.background?.pattern && tones == truth.background.map { Set($0.tones) })
    }
    for light in reading.lights { add(.light, light != nil && light == truth.light) }
  }

  /// Which object each claim is about: the best fitting pairs first, each object once.
  private static func matches(_ claims: [Claim], _ objects: [SceneObject]) -> [Int?] {
    var matches = [Int?](repeating: nil, count: claims.count)
    var pairs: [(claim: Int, object: Int, fit: Int)] = []
    for (number, claim) in claims.enumerated() {
      for (place, object) in objects.enumerated() { pairs.append((number, place, fit(claim, object))) }
    }
    pairs.sort { ($1.fit, $0.claim, $0.object) < ($0.fit, $1.claim, $1.object) }
    var taken: Set<Int> = []
    for pair in pairs where matches[pair.claim] == nil && !taken.contains(pair.object) {
      matches[pair.claim] = pair.object
      taken.insert(pair.object)
    }
    return matches
  }

  private static func fit(_ claim: Claim, _ object: SceneObject) -> Int {
    (claim.shape == object.shape ? 5 : 0) + (claim.colour == object.colour ? 5 : 0)
      + (claim.places.contains(object.place) ? 4 : 0) + (claim.sizes.contains(object.size) ? 1 : 0)
      + (claim.textures.contains(object.texture) ? 1 : 0)
  }

  // MARK: Answers

  /// Judges the answer to a question: it must say what was asked for, and nothing else of that kind.
  package init(of text: String, asked: AskedFact) {
    add(asked.kind, Self.told(text, asked.kind) == [asked.value])
  }

  /// All that a text says of a kind, in the words of a record's `.json`.
  private static func told(_ text: String, _ kind: FactKind) -> Set<String> {
    let sentences = TextReading.sentences(text)
    let words = sentences.flatMap { $0 }
    let meanings = words.compactMap { Lexicon.meanings[$0] }
    func all(_ read: (Lexicon.Meaning) -> String?) -> Set<String> { Set(meanings.compactMap(read)) }
    switch kind {
    case .count: return all { if case .number(let number) = $0 { String(number) } else { nil } }
    case .shape: return all { if case .shape(let shape) = $0 { shape.rawValue } else { nil } }
    case .colour: return all { if case .colour(let colour) = $0 { colour.rawValue } else { nil } }
    case .size: return all { if case .size(let size) = $0 { size.rawValue } else { nil } }
    case .texture: return all { if case .texture(let texture) = $0 { texture.rawValue } else { nil } }
    case .place:
      return Set(
        sentences.flatMap { sentence in
          sentence.indices.compactMap { TextReading.place(sentence, at: $0)?.0.name }
        })
    case .object:
      return Set(TextReading(text).claims.map { ($0.colour?.rawValue ?? "") + " " + $0.shape.rawValue })
    case .truth:
      let isDenied = words.contains { ["no", "not", "none", "nothing"].contains($0) }
      return words.isEmpty ? [] : isDenied ? ["no"] : ["yes"]
    case .background:
      return Set(
        TextReading(text).backgrounds.map { background in
          let tones = Tone.allCases.filter { background.tones.contains($0) }.map(\.rawValue)
          return ([background.pattern.rawValue] + tones).joined(separator: " ")
        })
    case .light: return Set(TextReading(text).lights.map { $0?.rawValue ?? "" })
    case .relation: return []
    }
  }
}
