import Images
import PipeLanguage
import Pipeline
import Samples
import Scenes

/// `scenes`: drawn pictures of several objects with true text about them, as many as are wanted and always the same.
///
/// A record depends on the seed and its index alone. Its members are what `read` would find in a tar: `jpg` (but for
/// the task `text`), `prompt.txt`, `txt` (the answer) and `json` (what is true of the picture). The pixels are the same
/// on every machine; the bytes of `jpg` are with one version of libjpeg.
enum Scenes {
  static let definition = StageDefinition(
    StageDeclaration(
      "scenes", .source, "drawn pictures of several objects with true text about them: any number, by a seed",
      writes: [Field.members.name],
      parameters: [
        ParameterDeclaration("count", .integer(0...(1 << 50)), default: "1000", "how many records"),
        ParameterDeclaration("seed", .integer(.min ... .max), default: "0", "fixes every record"),
        ParameterDeclaration("first", .integer(0...(1 << 50)), default: "0", "the first record's number"),
        ParameterDeclaration("size", .integer(16...2048), default: "96", "pixels a side"),
        ParameterDeclaration(
          "tasks", .mixture(SceneTask.allCases.map(\.rawValue)), default: "captions,details,questions",
          "what records are about, each as often as it is named"),
        ParameterDeclaration(
          "style", .choice(SceneStyle.allCases.map(\.rawValue)), default: "plain",
          "filled shapes, or outlines in other shades and unseen combinations"),
        ParameterDeclaration("min-objects", .integer(1...5), default: "1", "objects in a picture at least"),
        ParameterDeclaration("max-objects", .integer(1...5), default: "4", "objects in a picture at most"),
        ParameterDeclaration(
          "quality", .integerOrAuto(1...100), default: "85", "of the JPEG files; auto draws one from 60 to 95 for each"),
        ParameterDeclaration(
          "held-combinations", .flag, default: "false",
          "show the one in eight combinations of shape and colour too that style=plain holds out"),
        ParameterDeclaration("cells", .integer(1...256), default: "6", "labelled cells a side, in .json"),
        ParameterDeclaration(
          "max-records", .integer(0...(1 << 50)), default: "1000000000", "records after which drawing stops"),
        ParameterDeclaration("read-ahead", .integer(0...4096), default: "16", "records drawn ahead"),
      ],
      faults: { faults($0) })
  ) { inputs, context throws(RunFailure) in
    let source = SceneSource(inputs.arguments, context)
    let ahead = inputs.arguments.integer("read-ahead")
    return ahead == 0 ? source : ReadAhead(source, records: ahead, bytes: 64 << 20, context: context)
  }

  private static func faults(_ bound: BoundCall) -> [Diagnostic] {
    let (least, most) = (bound.arguments.integer("min-objects"), bound.arguments.integer("max-objects"))
    guard least > most else { return [] }
    return [
      Diagnostic(
        "expected \"min-objects\" to be at most \"max-objects\", found \(least) and \(most)", at: bound.call.name.origin
      )
    ]
  }
}

/// Scenes in the order of their numbers.
private final class SceneSource: Stage {
  private let context: RunContext
  private let passOver: PassOver
  private let factory: SceneRecords
  private let first: Int
  private let count: Int
  private var index = 0

  init(_ arguments: Arguments, _ context: RunContext) {
    self.context = context
    passOver = context.passOver(reordering: true)
    factory = SceneRecords(arguments)
    first = arguments.integer("first")
    count = min(arguments.integer("count"), arguments.integer("max-records"), context.options.limit ?? .max)
  }

  func next() throws(RunFailure) -> Record? {
    let done = passOver.count
    while index < count, !context.isEnding {
      let key = SceneRecords.key(first + index)
      try passOver.check(key: key, index: index)
      index += 1
      // What is passed over is not drawn.
      if index > done { return record(key) }
    }
    if index >= count { try passOver.checkEnd(after: index) }
    return nil
  }

  private func record(_ key: String) -> Record {
    let started = ContinuousClock.now
    var record = Record(key: key, shard: "scenes", index: index - 1)
    do throws(PictureError) {
      let members = try factory.members(of: first + index - 1)
      record[Field.members] = members
      record.footprint = members.reduce(0) { $0 + $1.bytes.count }
    } catch {
      record.failure = StageFailure(stage: "scenes", message: error.description)
    }
    context.meter.add(seconds: ContinuousClock.now - started, to: "scenes")
    return record
  }
}
