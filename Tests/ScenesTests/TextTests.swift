import Scenes
import Testing

private let options = SceneOptions(objects: 1...5)

private func scene(_ index: Int) -> Scene { Scene(seed: 11, index: index, options: options) }

private func narrator(_ index: Int) -> Narrator { Narrator(scene(index), seed: 11, index: index, options: options) }

@Test(arguments: [SceneTask.captions, .details, .text]) func ownDescriptionsAreTrueAndWhole(task: SceneTask) {
  var total = (said: 0, right: 0, foreign: 0, foreignRight: 0)
  for index in 0..<5000 {
    let text = narrator(index).utterance(task).answer
    let facts = Facts(of: text, truth: Truth(scene(index)))
    #expect(facts.right == facts.said, "\(text)")
    let objects = scene(index).objects.count
    #expect(facts.byKind[.shape]?.said == objects && facts.byKind[.count]?.said == 1, "\(text)")
    total.said += facts.said
    total.right += facts.right
    // The same text about another picture.
    let foreign = Facts(of: text, truth: Truth(scene(index + 1)))
    total.foreign += foreign.said
    total.foreignRight += foreign.right
  }
  #expect(total.right == total.said && total.said > 50_000)
  #expect(Double(total.foreignRight) < 0.6 * Double(total.foreign), "\(total)")
}

@Test func answersAreTrueAndCannotBeGuessed() {
  var kinds: [FactKind: Int] = [:]
  var truths: [String: Int] = [:]
  var right = 0
  for index in 0..<5000 {
    let exchange = narrator(index).utterance(.questions)
    guard let fact = exchange.fact else {
      Issue.record("\(exchange.prompt) asks for nothing")
      continue
    }
    #expect(Facts(of: exchange.answer, asked: fact).right == 1, "\(exchange.prompt) \(exchange.answer)")
    kinds[fact.kind, default: 0] += 1
    if fact.kind == .truth { truths[fact.value, default: 0] += 1 }
    if let other = narrator(index + 1).utterance(.questions).fact, Facts(of: exchange.answer, asked: other).right == 1 {
      right += 1
    }
  }
  #expect(kinds.count == FactKind.allCases.count - 1 && (kinds.values.min() ?? 0) > 150, "\(kinds)")
  let yes = Double(truths["yes"] ?? 0) / Double(truths.values.reduce(0, +))
  #expect((0.45...0.6).contains(yes), "\(truths)")
  #expect(right < 1000)
}

@Test func theLanguageIsRich() {
  let content = Set(
    """
    red scarlet green blue yellow orange purple violet white black pink rose circle disc square box triangle star ring
    hoop cross plus sign diamond rhombus heart one two three four five small little tiny large big huge plain solid
    striped lined dotted spotted checked checkered top upper bottom lower left right middle centre corner edge side row
    grey beige lavender teal olive navy shape shapes object objects figure figures form forms item items thing things
    element elements picture image scene view frame near very an
    """.split(whereSeparator: \.isWhitespace).map(String.init))
  var words: Set<String> = []
  var patterns: Set<String> = []
  var lengths: [Int] = []
  for index in 0..<5000 {
    let text = narrator(index).utterance(.captions).answer
    let all = text.lowercased().split { !$0.isLetter }.map(String.init)
    words.formUnion(all)
    lengths.append(all.count)
    for sentence in text.lowercased().split(separator: ".") {
      let masked = sentence.split { !$0.isLetter }.map { content.contains(String($0)) ? "_" : String($0) }
      patterns.insert(masked.joined(separator: " ").replacing(/(_ )+_/, with: "_"))
    }
    #expect(text.allSatisfy { $0.isASCII } && !text.contains("  ") && !text.contains("{") && text.hasSuffix("."))
    #expect(!text.contains(/\ba [aeiou]/) && !text.contains(/\ban [^aeiou]/), "\(text)")
  }
  #expect(words.count > 200, "\(words.count)")
  #expect(patterns.count > 400, "\(patterns.count)")
  lengths.sort()
  #expect(lengths[250] >= 15 && lengths[2500] <= 45 && lengths[4750] <= 65)
}

@Test func textsKeepToTheirTaskAndScene() {
  let counts = (0..<4000).reduce(into: [SceneTask: Int]()) {
    $0[SceneTask.task(ofRecord: $1, seed: 11, among: [.captions, .captions, .text, .questions]), default: 0] += 1
  }
  #expect(
    abs((counts[.captions] ?? 0) - 2000) < 120 && abs((counts[.text] ?? 0) - 1000) < 120 && counts[.details] == nil)
  let prompts = (0..<2000).map { narrator($0).utterance(.captions).prompt }
  #expect(Set(prompts).count == 6)
  #expect((900...1100).contains(prompts.filter { $0 == "Describe this image." }.count))
  // What is told of a picture that is not shown is in the prompt.
  for index in 0..<1000 {
    let utterance = narrator(index).utterance(.text)
    let facts = Facts(of: utterance.prompt, truth: Truth(scene(index)))
    #expect(facts.said - facts.right <= 1, "\(utterance.prompt)")
    #expect(facts.byKind[.colour]?.right == scene(index).objects.count)
  }
}

@Test func wrongTextsAreFoundOut() {
  let objects = [
    SceneObject(
      shape: .star, colour: .red, size: .large, texture: .dotted, place: Place(row: 0, column: 0)),
    SceneObject(shape: .ring, colour: .blue, size: .small, texture: .plain, place: Place(row: 1, column: 2)),
  ]
  let background = Background(pattern: .halves, tones: [.grey, .navy], runsAcross: true)
  let truth = Truth(objects: objects, background: background, light: .left)
  func wrong(_ text: String) -> [FactKind: Int] {
    Facts(of: text, truth: truth).byKind.mapValues { $0.said - $0.right }.filter { $0.value > 0 }
  }
  let ring = "a blue ring is on the right"
  #expect(wrong("There are two shapes. A red star is at the top left and \(ring).") == [:])
  #expect(wrong("There are three shapes. A red star is at the top left and \(ring).") == [.count: 1])
  #expect(wrong("A red star is at the top left and \(ring).") == [.count: 1])
  #expect(wrong("Two shapes: a red star at the top and \(ring).") == [.place: 1])
  #expect(wrong("Two shapes: a pink star at the top left and \(ring).") == [.colour: 1])
  #expect(wrong("Two shapes: a red heart at the top left and \(ring).") == [.shape: 1])
  #expect(wrong("Two shapes: a star at the top left and \(ring).") == [.colour: 1])
  #expect(wrong("Two shapes: a small red star at the top left with stripes, \(ring).") == [.size: 1, .texture: 1])
  // An object left out, and one that is not there.
  #expect(wrong("There are two shapes: \(ring).") == [.shape: 1, .colour: 1, .place: 1])
  let invented = "Two shapes: a red star at the top left, a red box at the bottom and \(ring)."
  #expect(wrong(invented) == [.shape: 1, .colour: 1, .place: 1])
  let twice = "Two shapes: a red star at the top left, a red star at the top left and \(ring)."
  #expect(wrong(twice) == [.shape: 1, .colour: 1, .place: 1])
  let told = "Two shapes: a red star at the top left and \(ring). "
  #expect(wrong(told + "The star is above the ring. The red star is larger than the blue ring.") == [:])
  #expect(wrong(told + "The blue ring is to the left of the red star.") == [.relation: 1])
  #expect(wrong(told + "The star is on the left of the ring.") == [:])
  #expect(wrong(told + "The red star is striped and large. It is big.") == [.texture: 1])
  #expect(wrong(told + "The background is half navy and half grey. The light comes from the left.") == [:])
  #expect(wrong(told + "The background is plain navy. The light is dim.") == [.background: 1, .light: 1])
  #expect(wrong("") == [.count: 1, .shape: 2, .colour: 2, .place: 2])
}

@Test func wrongAnswersAreFoundOut() {
  func isRight(_ text: String, _ kind: FactKind, _ value: String) -> Bool {
    Facts(of: text, asked: AskedFact(kind: kind, value: value)).right == 1
  }
  #expect(isRight("The star is scarlet.", .colour, "red") && !isRight("The star is red or blue.", .colour, "red"))
  #expect(
    isRight("It is on the left of the picture.", .place, "left") && !isRight("It is at the top left.", .place, "left"))
  #expect(isRight("There are no stars.", .count, "0") && !isRight("There are stars.", .count, "0"))
  #expect(isRight("No, there is none.", .truth, "no") && !isRight("", .truth, "yes"))
  #expect(
    isRight("The red plus sign is larger.", .object, "red cross") && !isRight("The cross is.", .object, "red cross"))
}

/// Whatever a model writes can be judged.
@Test func anyTextCanBeJudged() {
  var random = SystemRandomNumberGenerator()
  let words = (0..<200).flatMap { narrator($0).utterance(.details).answer.split(separator: " ") }
  let odd = [
    "of", "left", "than", "the", ".", ",", "\u{0}", "é", "at", "in", "on the", "left of", "above", "one", "it",
  ]
  for index in 0..<3000 {
    let text = (0..<Int.random(in: 0...30, using: &random)).map { _ in
      (Bool.random(using: &random) ? words.randomElement(using: &random).map(String.init) : odd.randomElement()) ?? ""
    }.joined(separator: " ")
    let facts = Facts(of: text, truth: Truth(scene(index)))
    #expect(facts.right <= facts.said)
    for kind in FactKind.allCases { _ = Facts(of: text, asked: AskedFact(kind: kind, value: "")) }
  }
}
