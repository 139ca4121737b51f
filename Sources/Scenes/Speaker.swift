/// A sentence or a part of one with slots in braces: `{a1} {is} {p1}`.
struct Phrase: Sendable {
  enum Part: Sendable {
    case text(String)
    case slot(String)
  }
  let parts: [Part]

  init(_ pattern: String) {
    var parts: [Part] = []
    for (index, piece) in pattern.split(separator: "{", omittingEmptySubsequences: false).enumerated() {
      var rest = piece
      if index > 0, let end = piece.firstIndex(of: "}") {
        parts.append(.slot(String(piece[..<end])))
        rest = piece[piece.index(after: end)...]
      }
      if !rest.isEmpty { parts.append(.text(String(rest))) }
    }
    self.parts = parts
  }
}

/// Alternatives, of which the first is the commonest: the n-th comes 1/n times as often.
///
/// So a text has many ways to go on and one that is likeliest, as in languages that people speak.
struct Choices: Sendable, ExpressibleByArrayLiteral {
  let phrases: [Phrase]
  /// Sums of the weights up to each.
  private let sums: [Int]

  init(arrayLiteral patterns: String...) { self.init(patterns) }

  init(_ patterns: [String]) {
    phrases = patterns.map { Phrase($0) }
    var sum = 0
    sums = patterns.indices.map { index in
      sum += 100_000 / (index + 1)
      return sum
    }
  }

  func pick(_ random: inout SplitMix64) -> Phrase {
    let place = random.below(sums.last ?? 1)
    return phrases[sums.firstIndex { place < $0 } ?? 0]
  }
}

/// Who puts a scene into words, with habits that hold for a whole text: what has been said tells how it goes on.
struct Speaker {
  var random: SplitMix64
  let voice: Voice

  init(_ random: SplitMix64) {
    self.random = random
    voice = Voice(&self.random)
  }

  /// A phrase's words with all slots filled: from `slots`, from what the voice is used to, or from the word lists.
  mutating func say(_ choices: Choices, _ slots: [String: String] = [:]) -> String {
    var text = ""
    append(choices.pick(&random), slots, to: &text)
    return text
  }

  private mutating func append(_ phrase: Phrase, _ slots: [String: String], to text: inout String) {
    for part in phrase.parts {
      switch part {
      case .text(let words): text += words
      case .slot(let name):
        if let words = slots[name] ?? voice.words[name] {
          text += words
        } else if let choices = Words.choices[name] {
          append(choices.pick(&random), slots, to: &text)
        }
      }
    }
  }

  /// The same as a sentence: with a capital letter and a full stop, unless it ends in a mark of its own.
  mutating func sentence(_ choices: Choices, _ slots: [String: String] = [:]) -> String {
    Self.sentence(say(choices, slots))
  }

  /// Words as a sentence.
  static func sentence(_ words: String) -> String {
    let ends = words.last.map { ".?!".contains($0) } ?? true
    return words.prefix(1).uppercased() + words.dropFirst() + (ends ? "" : ".")
  }

  // MARK: Things by name

  /// What is said of an object beside its colour and shape.
  struct Adjectives: OptionSet {
    let rawValue: Int
    static let size = Adjectives(rawValue: 1)
    static let texture = Adjectives(rawValue: 2)
  }

  /// "large striped red circle".
  mutating func noun(_ object: SceneObject, _ adjectives: Adjectives = []) -> String {
    var words: [String] = []
    if adjectives.contains(.size) { words.append(say(Words.sizes[object.size.number])) }
    if adjectives.contains(.texture) { words.append(say(Words.textures[object.texture.number])) }
    words.append(voice.colours[object.colour.number])
    words.append(voice.shapes[object.shape.number])
    return words.joined(separator: " ")
  }

  /// "a red circle", "a circle in red", "a red circle with stripes".
  mutating func anObject(_ object: SceneObject, _ adjectives: Adjectives = []) -> String {
    if voice.tellsColourBehind, !adjectives.contains(.texture) {
      let size = adjectives.contains(.size) ? say(Words.sizes[object.size.number]) + " " : ""
      return Self.withArticle(size + voice.shapes[object.shape.number]) + " in " + voice.colours[object.colour.number]
    }
    if adjectives.contains(.texture), random.chance(30) {
      return Self.withArticle(noun(object, adjectives.subtracting(.texture))) + " "
        + say(Words.texturesBehind[object.texture.number])
    }
    return Self.withArticle(noun(object, adjectives))
  }

  /// "the red circle".
  mutating func theObject(_ object: SceneObject) -> String { "the " + noun(object) }

  /// "at the top left".
  func place(_ place: Place) -> String { voice.places[place.number] }

  /// "a", or "an" before a vowel.
  static func withArticle(_ words: String) -> String {
    (words.first.map { "aeiou".contains($0) } ?? false ? "an " : "a ") + words
  }
}

/// Habits of speech.
struct Voice {
  /// In which order objects are told.
  enum Order {
    case rows, columns, upwards
  }
  let order: Order
  /// Whether sentences begin with the place: "At the top left there is …".
  let beginsWithPlace: Bool
  let tellsColourBehind: Bool
  let adjectives: Speaker.Adjectives
  /// Words for each place, colour and shape.
  let places: [String]
  let colours: [String]
  let shapes: [String]
  let plurals: [String]
  /// What fills these slots throughout the text.
  let words: [String: String]

  init(_ random: inout SplitMix64) {
    order = [.rows, .rows, .rows, .rows, .rows, .rows, .columns, .columns, .upwards, .rows][random.below(10)]
    beginsWithPlace = random.chance(35)
    tellsColourBehind = random.chance(7)
    adjectives = [[], [], [], [], [], [], [], .size, .size, .texture][random.below(10)]
    places = Words.places[Self.rank(of: Words.places.count, &random)]
    colours = Words.colours.map { $0[Self.variant(of: $0.count, &random)] }
    let forms = Words.shapes.map { $0[Self.variant(of: $0.count, &random)] }
    shapes = forms.map { $0.one }
    plurals = forms.map { $0.many }
    let things = Words.things[Self.rank(of: Words.things.count, &random)]
    let picture = Words.pictures[Self.rank(of: Words.pictures.count, &random)]
    words = [
      "thing": things.one, "things": things.many, "picture": picture, "a picture": Speaker.withArticle(picture),
    ]
  }

  /// A place in a list, the first the likeliest.
  private static func rank(of count: Int, _ random: inout SplitMix64) -> Int {
    let place = random.below((1...count).reduce(0) { $0 + 100_000 / $1 })
    var sum = 0
    for index in 0..<count {
      sum += 100_000 / (index + 1)
      if place < sum { return index }
    }
    return 0
  }

  /// Mostly the usual word.
  private static func variant(of count: Int, _ random: inout SplitMix64) -> Int {
    count > 1 && random.chance(20) ? random.within(1...count - 1) : 0
  }
}
