/// What single words mean, taken from the lists that texts are made of.
enum Lexicon {
  /// A word's meaning where one object is described.
  enum Meaning {
    case shape(Shape)
    case colour(Colour)
    case size(ObjectSize)
    case texture(Texture)
    case number(Int)
    /// "shapes", "objects": what is counted.
    case thing
  }

  static let meanings: [String: Meaning] = {
    var meanings: [String: Meaning] = [:]
    for (shape, nouns) in zip(Shape.allCases, Words.shapes) {
      for noun in nouns { for form in [noun.one, noun.many] { meanings[first(form)] = .shape(shape) } }
    }
    for (colour, words) in zip(Colour.allCases, Words.colours) {
      for word in words { meanings[word] = .colour(colour) }
    }
    for (size, words) in zip(ObjectSize.allCases, Words.sizes) {
      for word in words.texts { meanings[word] = .size(size) }
    }
    for (texture, words) in zip(Texture.allCases, Words.textures) {
      for word in words.texts { meanings[word] = .texture(texture) }
    }
    for (word, texture) in patternNouns { meanings[word] = .texture(texture) }
    for (number, word) in Words.numbers.enumerated() { meanings[word] = .number(number) }
    for (word, number) in otherNumbers { meanings[word] = .number(number) }
    for noun in Words.things { for form in [noun.one, noun.many] { meanings[form] = .thing } }
    return meanings
  }()

  /// Of "plus sign" the first word tells.
  private static func first(_ form: String) -> String { String(form.prefix { $0 != " " }) }

  private static let patternNouns: [(String, Texture)] = [
    ("stripes", .striped), ("lines", .striped), ("dots", .dotted), ("spots", .dotted), ("checks", .checked),
  ]
  private static let otherNumbers = [
    ("none", 0), ("single", 1), ("lone", 1), ("pair", 2), ("trio", 3), ("quartet", 4), ("quintet", 5),
  ]

  static let tones = Dictionary(uniqueKeysWithValues: Tone.allCases.map { ($0.rawValue, $0) })

  // MARK: Places

  static let rows = ["top": 0, "upper": 0, "bottom": 2, "lower": 2]
  static let columns = ["left": 0, "right": 2]
  /// Words that may begin a place: "at the top left".
  static let placeStarts: Set = ["at", "in", "on", "near"]
  /// Words that say that there is a place, though no direction.
  static let middles: Set = ["centre", "center", "middle"]
  /// Other words within a place.
  static let placeWords: Set = ["the", "very", "corner", "edge", "side", "row", "half", "part"]

  // MARK: What sentences are about

  static let lightWords: Set = ["light", "lit", "lighting"]
  static let backgroundWords: Set = ["background", "backdrop"]
  static let lights: [String: Light] = [
    "even": .even, "evenly": .even, "same": .even, "left": .left, "right": .right, "above": .above, "below": .below,
    "dim": .dim, "little": .dim, "weak": .dim,
  ]
  /// What else than plain a background is, by a word that tells; first come those that others may stand beside.
  static let patterns: [(words: Set<String>, pattern: Background.Pattern)] = [
    (["fades", "changes", "turns", "passes"], .gradient), (["half", "divided", "split"], .halves),
    (["stripes", "striped"], .stripes),
  ]
  /// Words of a comparison that ends in "than", or that says it alone.
  static let comparisons: [String: Relation] = [
    "above": .above, "higher": .above, "below": .below, "lower": .below, "left": .leftOf, "right": .rightOf,
    "larger": .larger, "bigger": .larger, "smaller": .smaller, "less": .smaller,
  ]
}

extension Choices {
  /// The alternatives, where they are plain words.
  var texts: [String] {
    phrases.map { phrase in phrase.parts.map { if case .text(let words) = $0 { words } else { "" } }.joined() }
  }
}
