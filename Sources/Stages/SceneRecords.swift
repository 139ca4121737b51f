import Images
import JSON
import Pipeline
import Samples
import Scenes

/// Makes the members of scene records.
struct SceneRecords {
  private let seed: Int
  private let size: Int
  private let cells: Int
  private let tasks: [SceneTask]
  private let options: SceneOptions
  /// nil for each scene's own.
  private let quality: Int?

  init(_ arguments: Arguments) {
    seed = arguments.integer("seed")
    size = arguments.integer("size")
    cells = arguments.integer("cells")
    tasks = arguments.words("tasks").compactMap { SceneTask(rawValue: $0.text) }
    // The order of the two has been checked with the pipe.
    let most = arguments.integer("max-objects")
    options = SceneOptions(
      style: SceneStyle(rawValue: arguments.text("style")) ?? .plain,
      objects: min(arguments.integer("min-objects"), most)...most, heldCombinations: arguments.flag("held-combinations")
    )
    quality = arguments.optionalInteger("quality")
  }

  /// A record's key.
  static func key(_ number: Int) -> String {
    let digits = String(number)
    return "scene-" + String(repeating: "0", count: max(0, 7 - digits.count)) + digits
  }

  /// The members of a record, in the order of the archive.
  func members(of number: Int) throws(PictureError) -> [SampleMember] {
    let task = SceneTask.task(ofRecord: number, seed: seed, among: tasks)
    var options = options
    if task == .drawn { options.style = .drawn }
    let scene = Scene(seed: seed, index: number, options: options)
    let narrator = Narrator(scene, seed: seed, index: number, options: options)
    let utterance = narrator.utterance(task)
    var members: [SampleMember] = []
    var labels: LabelGrid?
    if task != .text {
      let (rgb, grid) = Renderer.render(scene, size: size, cells: cells, seed: seed, index: number)
      let picture = Picture(width: size, height: size, rgb: rgb)
      members.append(SampleMember(field: "jpg", bytes: try picture.jpeg(quality: quality ?? scene.quality)))
      labels = grid
    }
    let caption = [.captions, .drawn, .text].contains(task) ? utterance.answer : narrator.caption()
    let truth = SceneTruth(scene: scene, task: task, utterance: utterance, caption: caption, labels: labels)
    members.append(SampleMember(field: "prompt.txt", bytes: Array(utterance.prompt.utf8)))
    members.append(SampleMember(field: "txt", bytes: Array(utterance.answer.utf8)))
    members.append(SampleMember(field: "json", bytes: truth.json(size: size)))
    return members
  }
}

/// What a record's `.json` says.
private struct SceneTruth {
  let scene: Scene
  let task: SceneTask
  let utterance: Utterance
  let caption: String
  /// nil where there is no picture.
  let labels: LabelGrid?

  func json(size: Int) -> [UInt8] {
    JSONWriter.line { writer in
      writer.key("task")
      writer.string(task.rawValue)
      writer.key("style")
      writer.string(scene.style.rawValue)
      writer.key("prompt")
      writer.string(utterance.prompt)
      writer.key("caption")
      writer.string(caption)
      if let fact = utterance.fact { write(fact, &writer) }
      writer.key("count")
      writer.integer(scene.objects.count)
      writer.key("objects")
      writer.array { writer in for object in scene.objects { write(object, size, &writer) } }
      if let labels { writeLook(labels, &writer) }
    }
  }

  private func write(_ fact: AskedFact, _ writer: inout JSONWriter) {
    writer.key("fact")
    writer.object { writer in
      writer.key("kind")
      writer.string(fact.kind.rawValue)
      writer.key("value")
      writer.string(fact.value)
    }
  }

  private func write(_ object: SceneObject, _ size: Int, _ writer: inout JSONWriter) {
    let words = [
      ("shape", object.shape.rawValue), ("colour", object.colour.rawValue), ("size", object.size.rawValue),
      ("texture", object.texture.rawValue), ("place", object.place.name),
    ]
    writer.object { writer in
      for (name, word) in words {
        writer.key(name)
        writer.string(word)
      }
      guard labels != nil else { return }
      for (name, units) in [("x", object.x), ("y", object.y), ("radius", object.radius)] {
        writer.key(name)
        writer.number(Double(units * size) / Double(Scene.side), decimals: 1)
      }
    }
  }

  private func writeLook(_ labels: LabelGrid, _ writer: inout JSONWriter) {
    writer.key("background")
    writer.object { writer in
      writer.key("pattern")
      writer.string(scene.background.pattern.rawValue)
      writer.key("tones")
      writer.array { writer in for tone in scene.background.tones { writer.string(tone.rawValue) } }
    }
    writer.key("light")
    writer.string(scene.light.rawValue)
    for (name, classes) in [("cells", labels.objects), ("textures", labels.textures)] {
      writer.key(name)
      writer.array { writer in for number in classes { writer.integer(number) } }
    }
  }
}
