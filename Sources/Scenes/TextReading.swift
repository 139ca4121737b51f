/// What a text says of one object.
struct Claim {
  let shape: Shape
  var colour: Colour?
  var sizes: [ObjectSize] = []
  var textures: [Texture] = []
  var places: [Place] = []
}

/// What a text says of a picture: found by its words alone, so that it can be told of any text, however odd.
struct TextReading {
  private(set) var counts: [Int] = []
  private(set) var claims: [Claim] = []
  /// Two claims by their numbers, and how the first is said to stand to the second.
  private(set) var relations: [(first: Int, relation: Relation, second: Int)] = []
  private(set) var backgrounds: [(pattern: Background.Pattern, tones: Set<Tone>)] = []
  private(set) var lights: [Light?] = []

  init(_ text: String) {
    for sentence in Self.sentences(text) {
      if sentence.contains(where: { Lexicon.lightWords.contains($0) }) {
        lights.append(sentence.reversed().lazy.compactMap { Lexicon.lights[$0] }.first)
      } else if sentence.contains(where: { Lexicon.backgroundWords.contains($0) }) {
        readBackground(sentence)
      } else {
        readCount(sentence)
        readObjects(sentence)
      }
    }
  }

  /// Words in lower case, and commas and the like as words of their own.
  static func sentences(_ text: String) -> [[String]] {
    var sentences: [[String]] = [[]]
    var word = ""
    func end() {
      if !word.isEmpty { sentences[sentences.count - 1].append(word) }
      word = ""
    }
    for character in text.lowercased() {
      if character.isLetter || character == "-" || character == "'" {
        word.append(character)
        continue
      }
      end()
      if ".?!".contains(character) { sentences.append([]) }
      if ",;:".contains(character) { sentences[sentences.count - 1].append(",") }
    }
    end()
    return sentences.filter { !$0.isEmpty }
  }

  private mutating func readBackground(_ words: [String]) {
    let pattern = Lexicon.patterns.first { !$0.words.isDisjoint(with: words) }?.pattern ?? .plain
    backgrounds.append((pattern, Set(words.compactMap { Lexicon.tones[$0] })))
  }

  /// "three shapes", "a trio of objects", "two different figures".
  private mutating func readCount(_ words: [String]) {
    for (index, word) in words.enumerated() {
      guard case .number(let number)? = Lexicon.meanings[word] else { continue }
      for next in words[(index + 1)...].prefix(3) {
        if next == "," { break }
        if case .thing? = Lexicon.meanings[next] {
          counts.append(number)
          break
        }
      }
    }
  }

  // MARK: Objects

  /// What one sentence has said so far.
  private struct Progress {
    enum Event {
      case object(Int)
      case place(Place)
    }
    var events: [Event] = []
    var colour: Colour?
    var sizes: [ObjectSize] = []
    var textures: [Texture] = []
    /// Whether what comes next belongs to a noun that is yet to come.
    var isInNoun = false
    var isDefinite = false
    var subject: Int?
    var relation: Relation?
  }

  private mutating func readObjects(_ words: [String]) {
    var progress = Progress()
    var index = 0
    while index < words.count {
      let word = words[index]
      if let relation = Self.relation(words, at: index) {
        flush(&progress)
        progress.relation = relation
        progress.subject = claims.isEmpty ? nil : lastMention
      } else if let (place, end) = Self.place(words, at: index) {
        flush(&progress)
        progress.events.append(.place(place))
        index = end
        continue
      } else {
        read(word, &progress)
      }
      index += 1
    }
    flush(&progress)
    settlePlaces(progress.events)
  }

  /// The claim that was mentioned last, in this sentence or before it.
  private var lastMention = 0

  private mutating func read(_ word: String, _ progress: inout Progress) {
    switch word {
    case "a", "an", "the", "another", "it", "its":
      flush(&progress)
      progress.isInNoun = word.hasPrefix("a") || word == "the"
      progress.isDefinite = word == "the"
    case ",":
      if !progress.isInNoun { flush(&progress) }
    case "without": progress.textures.append(.plain)
    default:
      switch Lexicon.meanings[word] {
      case .colour(let colour)?: progress.colour = colour
      case .size(let size)?: progress.sizes.append(size)
      case .texture(let texture)?: progress.textures.append(texture)
      case .shape(let shape)?: mention(shape, &progress)
      default: break
      }
    }
  }

  /// What was said behind an object is said of it.
  private mutating func flush(_ progress: inout Progress) {
    if claims.indices.contains(lastMention) {
      if let colour = progress.colour { claims[lastMention].colour = colour }
      claims[lastMention].sizes += progress.sizes
      claims[lastMention].textures += progress.textures
    }
    progress.colour = nil
    progress.sizes = []
    progress.textures = []
    progress.isInNoun = false
  }

  private mutating func mention(_ shape: Shape, _ progress: inout Progress) {
    let colour = progress.colour
    let known = claims.indices.last { index in
      claims[index].shape == shape && (colour == nil || claims[index].colour == colour)
    }
    if progress.isDefinite, let known {
      lastMention = known
    } else {
      claims.append(Claim(shape: shape))
      lastMention = claims.count - 1
    }
    flush(&progress)
    progress.isDefinite = false
    progress.events.append(.object(lastMention))
    if let relation = progress.relation, let subject = progress.subject {
      relations.append((subject, relation, lastMention))
      progress.relation = nil
    }
  }

  /// Gives each place to the object behind it where the sentence begins with one, else to the object before it.
  private mutating func settlePlaces(_ events: [Progress.Event]) {
    var waiting: Place?
    let placeComesFirst = if case .place? = events.first { true } else { false }
    var current = lastMention
    for event in events {
      switch event {
      case .object(let claim):
        current = claim
        if let place = waiting { claims[claim].places.append(place) }
        waiting = nil
      case .place(let place):
        if placeComesFirst, waiting == nil {
          waiting = place
        } else if claims.indices.contains(current) {
          claims[current].places.append(place)
        }
      }
    }
    if let waiting, claims.indices.contains(current) { claims[current].places.append(waiting) }
  }

  // MARK: Places and relations

  /// A place that begins here, and where it ends; nil where none does.
  static func place(_ words: [String], at start: Int) -> (Place, end: Int)? {
    guard Lexicon.placeStarts.contains(words[start]), start == 0 || words[start - 1] != "starting" else { return nil }
    var (row, column, index) = (1, 1, start + 1)
    var isPlace = false
    func continues(_ index: Int) -> Bool {
      guard index < words.count else { return false }
      let word = words[index]
      return Lexicon.rows[word] != nil || Lexicon.columns[word] != nil || Lexicon.middles.contains(word)
        || Lexicon.placeWords.contains(word)
    }
    while true {
      // "on the left of the top row" goes on; "on the left of the picture" does not.
      if index + 2 < words.count, words[index] == "of", continues(index + 2), words[index + 1] == "the" { index += 1 }
      guard continues(index) else { break }
      if let found = Lexicon.rows[words[index]] { row = found }
      if let found = Lexicon.columns[words[index]] { column = found }
      isPlace = isPlace || words[index] != "the" && words[index] != "very"
      index += 1
    }
    // The last article belongs to what comes behind: "on the left the picture has …".
    if index < words.count, words[index - 1] == "the" { index -= 1 }
    // "on the left of the red circle" is no place of the picture.
    if index < words.count, words[index] == "of", isObject(words[(index + 1)...]) { return nil }
    return isPlace ? (Place(row: row, column: column), index) : nil
  }

  /// A relation to an object that is named behind it.
  private static func relation(_ words: [String], at index: Int) -> Relation? {
    guard let relation = Lexicon.comparisons[words[index]], index > 0, index + 1 < words.count else { return nil }
    switch words[index] {
    case "above", "below": return relation
    case "left", "right":
      if words[index + 1] == "than" { return relation }
      // "left of the red circle", not "on the left of the picture".
      return words[index + 1] == "of" && isObject(words[(index + 2)...]) ? relation : nil
    default: return words[(index + 1)...].prefix(2).contains("than") ? relation : nil
    }
  }

  /// Whether words begin with an object: "the red circle".
  private static func isObject(_ words: ArraySlice<String>) -> Bool {
    guard let first = words.first, ["a", "an", "the"].contains(first), words.count > 1 else { return false }
    switch Lexicon.meanings[words[words.startIndex + 1]] {
    case .shape, .colour, .size, .texture: return true
    default: return false
    }
  }
}
