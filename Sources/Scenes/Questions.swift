/// How questions are asked and answered. Slots: o, o1 and o2 are objects ("the red circle"), a is one with its article,
/// p a place, n a number with its noun, value what is asked for.
enum Questions {
  struct Wording: Sendable {
    let questions: Choices
    let answers: Choices
  }

  static let colour = Wording(
    questions: ["what colour is {o}?", "which colour does {o} have?", "tell me the colour of {o}."],
    answers: ["{o} is {value}", "it is {value}", "the colour of {o} is {value}"])
  static let shape = Wording(
    questions: ["what shape is the {value} {thing}?", "which shape is {value}?", "name the {value} {thing}."],
    answers: ["the {value} {thing} is {a}", "it is {a}", "that is {a}"])
  static let count = Wording(
    questions: [
      "how many {x} are there?", "how many {x} can you count?", "what is the number of {x}?", "count the {x}.",
    ],
    answers: ["there {are} {n}", "I count {n}", "the {picture} has {n}", "there {are} {n} in the {picture}"])
  static let place = Wording(
    questions: ["where is {o}?", "in which part of the {picture} is {o}?", "where can {o} be found?"],
    answers: ["{o} is {p}", "it is {p}", "you can find it {p}", "{o} {is} {p}"])
  static let whatIsThere = Wording(
    questions: ["what is {p}?", "which {thing} can be seen {p}?", "what do you see {p}?"],
    answers: ["{p} there is {a}", "there is {a} {p}", "it is {a}"])
  static let larger = Wording(
    questions: [
      "which is larger, {o1} or {o2}?", "is {o1} or {o2} larger?", "which of the two is bigger, {o1} or {o2}?",
    ],
    answers: ["{value} is larger", "the larger one is {value}", "{value} is bigger"])
  static let smaller = Wording(
    questions: ["which is smaller, {o1} or {o2}?", "is {o1} or {o2} smaller?"],
    answers: ["{value} is smaller", "the smaller one is {value}"])
  static let exists = Wording(
    questions: ["is there {a}?", "can you see {a} here?", "does the {picture} show {a}?", "do you see {a}?"],
    answers: [])
  static let yes: Choices = ["yes, there is {a}", "yes, there is {a} {p}", "yes, {a} {is} {p}"]
  static let no: Choices = ["no, there is no {x}", "no, there is none", "no, {a} is not to be seen"]
  static let size = Wording(
    questions: ["is {o} small or large?", "how large is {o}?", "what size is {o}?"],
    answers: ["{o} is {value}", "it is {value}"])
  static let texture = Wording(
    questions: [
      "what pattern does {o} have?", "is {o} plain, striped, dotted or checked?", "how is the surface of {o}?",
    ],
    answers: ["{o} is {value}", "it is {value}", "the surface of {o} is {value}"])
  static let background: Choices = [
    "what is the background like?", "what lies behind the {things}?", "describe the background.",
  ]
  static let light: Choices = [
    "where does the light come from?", "how is the {picture} lit?", "what is the light like?",
  ]
}

extension Speaker {
  private enum Topic: CaseIterable {
    case colour, shape, countAll, countShape, countColour, place, whatIsThere, size, comparison, texture, exists,
      exists2,
      relation, background, light
  }

  /// A question that the scene can answer, and the answer.
  mutating func exchange(_ scene: Scene, _ options: SceneOptions) -> Utterance {
    // How many objects there are can always be asked.
    for _ in 0..<20 { if let found = exchange(random.pick(Topic.allCases), scene, options) { return found } }
    return countAll(scene)
  }

  private mutating func exchange(_ topic: Topic, _ scene: Scene, _ options: SceneOptions) -> Utterance? {
    let object = random.pick(scene.objects)
    switch topic {
    case .colour: return colour(of: object, in: scene)
    case .shape: return shape(of: object, in: scene)
    case .countAll: return countAll(scene)
    case .countShape: return countShape(scene)
    case .countColour: return countColour(scene)
    case .place:
      return answered(
        Questions.place, ["o": name(object, in: scene), "p": place(object.place)], .place, object.place.name)
    case .whatIsThere:
      return answered(
        Questions.whatIsThere, ["p": place(object.place), "a": anObject(object)], .object, Self.told(object))
    case .size: return looks(object, in: scene, Questions.size, .size)
    case .texture: return looks(object, in: scene, Questions.texture, .texture)
    case .comparison: return comparison(scene)
    case .exists, .exists2: return existence(scene, options)
    case .relation: return relation(scene)
    case .background:
      // In the tones' own order: which comes first is not asked.
      let tones = Tone.allCases.filter { scene.background.tones.contains($0) }.map(\.rawValue).joined(separator: " ")
      return Utterance(
        prompt: sentence(Questions.background), answer: backgroundSentence(scene.background),
        fact: AskedFact(kind: .background, value: scene.background.pattern.rawValue + " " + tones))
    case .light:
      return Utterance(
        prompt: sentence(Questions.light), answer: lightSentence(scene.light),
        fact: AskedFact(kind: .light, value: scene.light.rawValue))
    }
  }

  private mutating func answered(
    _ wording: Questions.Wording, _ slots: [String: String], _ kind: FactKind, _ value: String
  ) -> Utterance {
    Utterance(
      prompt: sentence(wording.questions, slots), answer: sentence(wording.answers, slots),
      fact: AskedFact(kind: kind, value: value))
  }

  /// "red circle": an object in the words of a record's `.json`.
  static func told(_ object: SceneObject) -> String { object.colour.rawValue + " " + object.shape.rawValue }

  /// "the circle" where there is one, and half of the time; else "the red circle".
  private mutating func name(_ object: SceneObject, in scene: Scene) -> String {
    let isAlone = scene.objects.filter { $0.shape == object.shape }.count == 1
    return isAlone && random.chance(50) ? "the " + voice.shapes[object.shape.number] : theObject(object)
  }

  private mutating func colour(of object: SceneObject, in scene: Scene) -> Utterance? {
    guard scene.objects.filter({ $0.shape == object.shape }).count == 1 else { return nil }
    let slots = ["o": "the " + voice.shapes[object.shape.number], "value": voice.colours[object.colour.number]]
    return answered(Questions.colour, slots, .colour, object.colour.rawValue)
  }

  private mutating func shape(of object: SceneObject, in scene: Scene) -> Utterance? {
    guard scene.objects.filter({ $0.colour == object.colour }).count == 1 else { return nil }
    let slots = [
      "value": voice.colours[object.colour.number], "a": Self.withArticle(voice.shapes[object.shape.number]),
    ]
    return answered(Questions.shape, slots, .shape, object.shape.rawValue)
  }

  // MARK: Counting

  private mutating func counting(_ count: Int, _ one: String, _ many: String) -> Utterance {
    let slots = ["x": many, "n": Words.counted(count, one, many), "are": count == 1 ? "is" : "are"]
    return answered(Questions.count, slots, .count, String(count))
  }

  private mutating func countAll(_ scene: Scene) -> Utterance {
    counting(scene.objects.count, voice.words["thing"] ?? "", voice.words["things"] ?? "")
  }

  /// Of a shape that is there, or in a third of the cases of any.
  private mutating func countShape(_ scene: Scene) -> Utterance {
    let shape = random.chance(33) ? random.pick(Shape.self) : random.pick(scene.objects).shape
    return counting(
      scene.objects.filter { $0.shape == shape }.count, voice.shapes[shape.number], voice.plurals[shape.number])
  }

  private mutating func countColour(_ scene: Scene) -> Utterance {
    let colour = random.chance(33) ? random.pick(Colour.self) : random.pick(scene.objects).colour
    let word = voice.colours[colour.number] + " "
    return counting(
      scene.objects.filter { $0.colour == colour }.count, word + (voice.words["thing"] ?? ""),
      word + (voice.words["things"] ?? ""))
  }

  // MARK: Looks and comparisons

  private mutating func looks(
    _ object: SceneObject, in scene: Scene, _ wording: Questions.Wording, _ kind: FactKind
  ) -> Utterance {
    let isSize = kind == .size
    let word = say(isSize ? Words.sizes[object.size.number] : Words.textures[object.texture.number])
    return answered(
      wording, ["o": name(object, in: scene), "value": word], kind,
      isSize ? object.size.rawValue : object.texture.rawValue)
  }

  private mutating func comparison(_ scene: Scene) -> Utterance? {
    guard let large = random.shuffled(scene.objects).first(where: { $0.size == .large }),
      let small = random.shuffled(scene.objects).first(where: { $0.size == .small })
    else { return nil }
    let asksLarger = random.chance(60)
    let right = asksLarger ? large : small
    let names = random.shuffled([theObject(large), theObject(small)])
    return answered(
      asksLarger ? Questions.larger : Questions.smaller,
      ["o1": names[0], "o2": names[1], "value": theObject(right)], .object, Self.told(right))
  }

  // MARK: Yes and no

  /// As often about what is there as about what is not.
  private mutating func existence(_ scene: Scene, _ options: SceneOptions) -> Utterance? {
    let object = random.pick(scene.objects)
    if random.chance(50) {
      let slots = ["a": anObject(object), "p": place(object.place)]
      return Utterance(
        prompt: sentence(Questions.exists.questions, slots), answer: sentence(Questions.yes, slots),
        fact: AskedFact(kind: .truth, value: "yes"))
    }
    // Near misses: what is asked for has the shape or the colour of something that is there.
    let keepsShape = random.chance(50)
    let shape = keepsShape ? object.shape : random.pick(Shape.self)
    let colour = keepsShape ? random.pick(Colour.self) : object.colour
    let isThere = scene.objects.contains { $0.shape == shape && $0.colour == colour }
    guard !isThere, options.allow(shape, colour) else { return nil }
    let words = voice.colours[colour.number] + " " + voice.shapes[shape.number]
    let slots = ["a": Self.withArticle(words), "x": words]
    return Utterance(
      prompt: sentence(Questions.exists.questions, slots), answer: sentence(Questions.no, slots),
      fact: AskedFact(kind: .truth, value: "no"))
  }

  private mutating func relation(_ scene: Scene) -> Utterance? {
    guard scene.objects.count > 1 else { return nil }
    let pair = random.shuffled(scene.objects)
    let relation = random.pick([Relation.above, .below, .leftOf, .rightOf])
    let asked =
      [.above: "above", .below: "below", .leftOf: "to the left of", .rightOf: "to the right of"][relation] ?? ""
    let isSo = relation.holds(pair[0], pair[1])
    // What holds is rarer than what does not: half of the latter are left out.
    if !isSo, random.chance(50) { return nil }
    let (first, second) = (theObject(pair[0]), theObject(pair[1]))
    let answer = isSo ? "yes, \(first) is \(asked) \(second)" : "no, \(first) is not \(asked) \(second)"
    return Utterance(
      prompt: Self.sentence("is \(first) \(asked) \(second)?"), answer: Self.sentence(answer),
      fact: AskedFact(kind: .truth, value: isSo ? "yes" : "no"))
  }
}
