/// How one, two or three objects are told in a sentence, with the slots a1, p1, a2, … for objects and their places.
enum ObjectSentences {
  /// By the number of objects less one: sentences that name the object first.
  static let objectFirst: [Choices] = [
    [
      "{a1} {is} {p1}", "{seen} {a1} {p1}", "there is {a1}, and it {is} {p1}", "{a1} has been placed {p1}",
      "it has {a1} {p1}", "{a1} takes its place {p1}", "we find {a1} {p1}", "{a1} {is} {p1} of {the} {picture}",
      "look for {a1} {p1}",
    ],
    [
      "{a1} {is} {p1} and {a2} {is} {p2}", "{seen} {a1} {p1} and {a2} {p2}", "{a1} {is} {p1}, while {a2} {is} {p2}",
      "{a1} {is} {p1}, and {a2} {p2}", "there is {a1} {p1} together with {a2} {p2}", "{a1} {is} {p1}; {a2} {is} {p2}",
      "both {a1} {p1} and {a2} {p2} are visible", "{a1} {p1} is joined by {a2} {p2}",
      "besides {a1} {p1}, {seen} {a2} {p2}", "along with {a1} {p1}, {seen} {a2} {p2}",
      "{a1} {is} {p1}, and then comes {a2} {p2}", "{a1} {is} {p1}, whereas {a2} {is} {p2}",
      "{a1} {p1} shares {the} {picture} with {a2} {p2}",
    ],
    [
      "{a1} {is} {p1}, {a2} {is} {p2}, and {a3} {is} {p3}", "{seen} {a1} {p1}, {a2} {p2} and {a3} {p3}",
      "{a1} {is} {p1}, {a2} {p2}, and {a3} {p3}", "{a1} {is} {p1}, with {a2} {p2} and {a3} {p3}",
      "first comes {a1} {p1}, then {a2} {p2}, and last {a3} {p3}", "{a1} {is} {p1}; {a2} {is} {p2}; {a3} {is} {p3}",
      "{a1} {p1} is followed by {a2} {p2} and {a3} {p3}", "{a1} {is} {p1} and {a2} {p2}, while {a3} {is} {p3}",
    ],
  ]

  /// The same with the place first.
  static let placeFirst: [Choices] = [
    [
      "{p1} there is {a1}", "{p1} is {a1}", "{p1} {seen} {a1}", "{p1} sits {a1}", "look {p1} to find {a1}",
      "{p1} {the} {picture} has {a1}", "{p1} stands {a1}", "{p1} lies {a1}",
    ],
    [
      "{p1} there is {a1}, and {p2} there is {a2}", "{p1} is {a1} and {p2} is {a2}", "{p1} {seen} {a1}, and {p2} {a2}",
      "{p1} there is {a1}, while {p2} there is {a2}", "{p1} sits {a1}; {p2} sits {a2}",
      "{p1} lies {a1}, and {p2} one finds {a2}", "{p1} stands {a1}, whereas {p2} there is {a2}",
    ],
    [
      "{p1} there is {a1}, {p2} there is {a2}, and {p3} there is {a3}", "{p1} is {a1}, {p2} is {a2}, and {p3} is {a3}",
      "{p1} {seen} {a1}, {p2} {a2}, and {p3} {a3}", "{p1} sits {a1}; {p2} sits {a2}; {p3} sits {a3}",
      "{p1} there is {a1}, then {p2} {a2}, and last {p3} {a3}",
    ],
  ]

  /// Sentences of a picture's only object.
  static let alone: Choices = [
    "it is {a1}, and it {is} {p1}", "it is {a1} {p1}", "{a1} {is} {p1}", "{a1} {is} {p1} and is all there is",
    "this is {a1}, which {is} {p1}", "we are looking at {a1} {p1}", "{seen} {a1} {p1}", "its only content is {a1} {p1}",
  ]

  /// How many sentences with how many objects each tell so many: the usual way first.
  static func divisions(of count: Int) -> [[Int]] {
    switch count {
    case ...1: [[1]]
    case 2: [[2], [1, 1]]
    case 3: [[3], [2, 1], [1, 2]]
    case 4: [[2, 2], [3, 1], [1, 3]]
    case 5: [[3, 2], [2, 3], [2, 2, 1]]
    default: [[3] + (divisions(of: count - 3).first ?? [])]
    }
  }

  /// Openings that tell in which order objects follow.
  static let openings: [Choices] = [
    ["", "", "from top to bottom, ", "starting at the top, "], ["from left to right, ", "going from left to right, "],
    ["from bottom to top, ", "starting at the bottom, "],
  ]
}

extension Speaker {
  /// The voice's order, where the objects' places show it.
  private func order(of objects: [SceneObject]) -> Voice.Order {
    let steps = voice.order == .columns ? objects.map(\.place.column) : objects.map(\.place.row)
    return Set(steps).count > 1 ? voice.order : .rows
  }

  /// Objects in the order in which this voice tells them.
  func ordered(_ objects: [SceneObject]) -> [SceneObject] {
    switch order(of: objects) {
    case .rows: objects
    case .columns: objects.sorted { ($0.place.column, $0.place.row) < ($1.place.column, $1.place.row) }
    case .upwards: objects.sorted { (2 - $0.place.row, $0.place.column) < (2 - $1.place.row, $1.place.column) }
    }
  }

  /// Sentences that tell every object with its place.
  mutating func objectSentences(_ objects: [SceneObject], _ adjectives: Adjectives) -> [String] {
    let told = ordered(objects)
    if told.count == 1 { return [sentence(ObjectSentences.alone, objectSlots(told[...], adjectives))] }
    let divisions = ObjectSentences.divisions(of: told.count)
    let division = divisions[random.chance(60) ? 0 : random.below(divisions.count)]
    let opening = self.opening(told)
    var sentences: [String] = []
    var rest = told[...]
    for (number, count) in division.enumerated() {
      let chunk = rest.prefix(count)
      rest = rest.dropFirst(count)
      let link = number == 0 ? opening : say(rest.isEmpty ? Words.lastLinks : Words.links)
      let choices = voice.beginsWithPlace ? ObjectSentences.placeFirst : ObjectSentences.objectFirst
      sentences.append(Self.sentence(link + say(choices[count - 1], objectSlots(chunk, adjectives))))
    }
    return sentences
  }

  /// What tells the order that follows, where there is one to see.
  private mutating func opening(_ objects: [SceneObject]) -> String {
    switch order(of: objects) {
    case .rows: Set(objects.map(\.place.row)).count > 1 ? say(ObjectSentences.openings[0]) : ""
    case .columns: say(ObjectSentences.openings[1])
    case .upwards: say(ObjectSentences.openings[2])
    }
  }

  /// "a red circle at the top left, a blue star in the centre and …".
  mutating func list(_ objects: [SceneObject], _ adjectives: Adjectives) -> String {
    let items = objects.map { anObject($0, adjectives) + " " + place($0.place) }
    guard let last = items.last, items.count > 1 else { return items.first ?? "" }
    return items.dropLast().joined(separator: ", ") + " and " + last
  }

  private mutating func objectSlots(_ objects: ArraySlice<SceneObject>, _ adjectives: Adjectives) -> [String: String] {
    var slots: [String: String] = [:]
    for (number, object) in objects.enumerated() {
      slots["a\(number + 1)"] = anObject(object, adjectives)
      slots["p\(number + 1)"] = place(object.place)
    }
    return slots
  }
}
