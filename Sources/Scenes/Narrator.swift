/// What a record is about.
package enum SceneTask: String, CaseIterable, Sendable {
  /// Two or three sentences: how many objects there are, and what and where each is.
  case captions
  /// All that is to be seen.
  case details
  /// A question and its short answer.
  case questions
  /// A picture that is told instead of shown, and its caption.
  case text
  /// A caption of a picture in the style `drawn`, whatever the others' style is.
  case drawn

  /// The task of a record: each of the list as often as it is named there.
  package static func task(ofRecord index: Int, seed: Int, among tasks: [SceneTask]) -> SceneTask {
    var random = SplitMix64(seed: seed, index: index, .task)
    return tasks.isEmpty ? .captions : random.pick(tasks)
  }
}

/// What is asked about a scene, and the true answer.
package struct Utterance: Sendable {
  package let prompt: String
  package let answer: String
  /// What a question asks for; nil for descriptions.
  package var fact: AskedFact?
}

/// What a question asks for, in the words of a record's `.json`.
package struct AskedFact: Sendable, Equatable {
  package let kind: FactKind
  package let value: String

  package init(kind: FactKind, value: String) {
    self.kind = kind
    self.value = value
  }
}

/// Puts a record's scene into words.
package struct Narrator {
  private let scene: Scene
  private let seed: Int
  private let index: Int
  private let options: SceneOptions

  package init(_ scene: Scene, seed: Int, index: Int, options: SceneOptions) {
    self.scene = scene
    self.seed = seed
    self.index = index
    self.options = options
  }

  /// The record's prompt and answer for a task.
  package func utterance(_ task: SceneTask) -> Utterance {
    var speaker = Speaker(SplitMix64(seed: seed, index: index, .words))
    switch task {
    case .captions, .drawn: return Utterance(prompt: speaker.ask(Self.captionPrompts), answer: speaker.caption(scene))
    case .details: return Utterance(prompt: speaker.ask(Self.detailPrompts), answer: speaker.details(scene))
    case .questions: return speaker.exchange(scene, options)
    case .text:
      let prompt = speaker.imagine(scene)
      // The answer has a voice of its own, so that it is no copy.
      var other = Speaker(speaker.random)
      return Utterance(prompt: prompt, answer: other.bareCaption(scene))
    }
  }

  /// A caption of the scene, whatever the record's task.
  package func caption() -> String {
    var speaker = Speaker(SplitMix64(seed: seed, index: index, .caption))
    return speaker.caption(scene)
  }

  static let captionPrompts = [
    "Describe this image.", "Describe the picture.", "What is in this image?", "What do you see?",
    "Write a caption for this picture.", "Tell me what the picture shows.",
  ]

  static let detailPrompts = [
    "Describe this image in detail.", "Describe the picture in detail.", "Tell me everything about this image.",
    "What can be seen here, in detail?", "Give a full description of this picture.",
    "Describe every part of this image.",
  ]
}

extension Speaker {
  /// The first of the prompts in half of the cases, else any of the others.
  mutating func ask(_ prompts: [String]) -> String {
    random.chance(50) ? prompts[0] : prompts[1 + random.below(prompts.count - 1)]
  }

  /// Count, objects and places, and a remark where there is room for one.
  mutating func caption(_ scene: Scene) -> String {
    var sentences = counted(scene.objects, voice.adjectives)
    let count = scene.objects.count
    if random.chance(count == 1 ? 80 : count == 2 ? 35 : 8) {
      switch random.below(4) {
      case 0, 1: sentences.append(backgroundSentence(scene.background))
      case 2: sentences.append(lightSentence(scene.light))
      default: sentences.append(shortLooksSentence(random.pick(scene.objects)))
      }
    }
    return sentences.joined(separator: " ")
  }

  /// Count, objects and places, and nothing that a prompt in words did not say.
  mutating func bareCaption(_ scene: Scene) -> String { counted(scene.objects, []).joined(separator: " ") }

  private mutating func counted(_ objects: [SceneObject], _ adjectives: Adjectives) -> [String] {
    if objects.count > 1, !voice.beginsWithPlace, random.chance(15) {
      var slots = countSlots(objects.count)
      slots["list"] = list(objects, adjectives)
      return [sentence(CountSentences.withList, slots)]
    }
    return [countSentence(objects.count)] + objectSentences(objects, adjectives)
  }

  /// Everything: also size, texture, background, light, and how objects stand to each other.
  mutating func details(_ scene: Scene) -> String {
    let count = scene.objects.count
    var sentences = [countSentence(count)]
    let background = [backgroundSentence(scene.background), lightSentence(scene.light)]
    let beginsBehind = random.chance(25)
    if beginsBehind { sentences += background }
    if count < 3, random.chance(50) {
      sentences += objectSentences(scene.objects, [])
      for object in ordered(scene.objects) { sentences.append(looksSentence(object)) }
    } else {
      sentences += objectSentences(scene.objects, [.size, .texture])
    }
    for _ in 0..<min(2, count - 1) {
      if let sentence = relationSentence(scene.objects), !sentences.contains(sentence) { sentences.append(sentence) }
    }
    if !beginsBehind { sentences += background }
    return sentences.joined(separator: " ")
  }

  private static let imaginings: Choices = [
    "imagine {a picture} with {list}. Describe it.", "think of {list}. What would the {picture} look like?",
    "picture this: {list}. Write a caption for it.", "suppose someone draws {list}. What does the drawing show?",
    "close your eyes and see {list}. Describe what is there.", "{a picture} has {list}. Put it into other words.",
    "write a description of {a picture} with {list}.",
  ]

  /// A picture in words, for who shall describe it.
  mutating func imagine(_ scene: Scene) -> String {
    sentence(Self.imaginings, ["list": list(scene.objects, [])])
  }
}
