/// What is said of a picture beside where its objects are.
enum Remarks {
  /// By `Background.Pattern`, with the slots t1 and t2 for the tones.
  static let backgrounds: [Choices] = [
    [
      "the background is plain {t1}", "the background is {t1}", "behind everything lies a plain {t1} background",
      "all of it is set on {a t1} background", "the backdrop is {t1} all over", "{t1} is the colour of the background",
    ],
    [
      "the background fades from {t1} to {t2}", "the background changes slowly from {t1} to {t2}",
      "behind everything {a t1} background turns into {t2}", "the backdrop passes from {t1} to {t2}",
    ],
    [
      "one half of the background is {t1} and the other half {t2}", "the background is half {t1} and half {t2}",
      "the backdrop is divided into {t1} and {t2}", "the background is split between {t1} and {t2}",
    ],
    [
      "the background has {t1} and {t2} stripes", "the backdrop consists of {t1} and {t2} stripes",
      "the background is striped in {t1} and {t2}", "stripes of {t1} and {t2} make up the backdrop",
    ],
  ]

  /// By `Light`.
  static let lights: [Choices] = [
    ["the light is even", "light falls evenly on everything", "the lighting is the same everywhere"],
    ["the light comes from the left", "it is lit from the left", "the left is brighter, since light falls from there"],
    [
      "the light comes from the right", "it is lit from the right",
      "the right is brighter, since light falls from there",
    ],
    ["the light comes from above", "it is lit from above", "light falls from above"],
    ["the light comes from below", "it is lit from below", "light shines up from below"],
    ["the light is dim", "there is little light", "the lighting is weak and dim"],
  ]

  /// Of one object, with the slots o ("the red circle"), size and texture.
  static let looks: Choices = [
    "{o} is {size} and {texture}", "{o} is {size} and it is {texture}", "{o} is {texture} and {size}",
    "{o} looks {size} and {texture}", "{o} is a {size} one and is {texture}",
  ]

  static let sizeAlone: Choices = [
    "{o} is {size}", "{o} looks {size}", "{o} is rather {size}", "{o} is {size} in size",
  ]

  static let textureAlone: Choices = ["{o} is {texture}", "{o} looks {texture}", "the surface of {o} is {texture}"]

  /// Of two objects, the first of which lies above, below, to the left or to the right of the second.
  static let relations: [Relation: Choices] = [
    .above: [
      "{o1} is above {o2}", "{o1} is higher than {o2}", "{o1} lies above {o2}", "{o1} appears higher than {o2}",
    ],
    .below: ["{o1} is below {o2}", "{o1} is lower than {o2}", "{o1} lies below {o2}", "{o1} appears lower than {o2}"],
    .leftOf: ["{o1} is to the left of {o2}", "{o1} lies left of {o2}", "{o1} is further left than {o2}"],
    .rightOf: ["{o1} is to the right of {o2}", "{o1} lies right of {o2}", "{o1} is further right than {o2}"],
    .larger: ["{o1} is larger than {o2}", "{o1} is bigger than {o2}", "in size {o1} is larger than {o2}"],
    .smaller: ["{o1} is smaller than {o2}", "{o1} takes less room than {o2}", "in size {o1} is smaller than {o2}"],
  ]
}

/// How one object stands to another.
package enum Relation: String, CaseIterable, Sendable {
  case above, below, leftOf, rightOf, larger, smaller

  /// Whether it is so.
  package func holds(_ first: SceneObject, _ second: SceneObject) -> Bool {
    switch self {
    case .above: first.place.row < second.place.row
    case .below: first.place.row > second.place.row
    case .leftOf: first.place.column < second.place.column
    case .rightOf: first.place.column > second.place.column
    case .larger: first.size == .large && second.size == .small
    case .smaller: first.size == .small && second.size == .large
    }
  }
}

extension Speaker {
  /// "The background is plain grey."
  mutating func backgroundSentence(_ background: Background) -> String {
    let tones = background.tones.map(\.rawValue)
    return sentence(
      Remarks.backgrounds[background.pattern.number],
      ["t1": tones.first ?? "", "a t1": Self.withArticle(tones.first ?? ""), "t2": tones.last ?? ""])
  }

  /// "The light comes from the left."
  mutating func lightSentence(_ light: Light) -> String { sentence(Remarks.lights[light.number]) }

  /// "The red circle is large and striped."
  mutating func looksSentence(_ object: SceneObject) -> String {
    sentence(Remarks.looks, looksSlots(object))
  }

  /// One of the two, where there is no room for both.
  mutating func shortLooksSentence(_ object: SceneObject) -> String {
    sentence(random.chance(50) ? Remarks.sizeAlone : Remarks.textureAlone, looksSlots(object))
  }

  private mutating func looksSlots(_ object: SceneObject) -> [String: String] {
    [
      "o": theObject(object), "size": say(Words.sizes[object.size.number]),
      "texture": say(Words.textures[object.texture.number]),
    ]
  }

  /// Something that is true of two of the objects; nil where there are no two.
  mutating func relationSentence(_ objects: [SceneObject]) -> String? {
    guard objects.count > 1 else { return nil }
    let pair = random.shuffled(objects)
    let (first, second) = (pair[0], pair[1])
    // Two objects never share a place, so one of these holds.
    guard let relation = random.shuffled(Relation.allCases).first(where: { $0.holds(first, second) }) else {
      return nil
    }
    return sentence(
      Remarks.relations[relation] ?? [], ["o1": theObject(first), "o2": theObject(second)])
  }
}
