import JSON
import PipeLanguage
import Pipeline
import Scenes

/// `facts`: how many facts a text tells of a `scenes` record, and how many of them are right.
///
/// A record that asked a question is judged by what it asked for, any other as a description.
enum FactStage {
  /// A text of more bytes is no caption, and would take long to judge.
  private static let maximumBytes = 1 << 16

  static let definition = StageDefinition(
    StageDeclaration(
      "facts", .link, "how much of what there is to tell of a picture of scenes a text tells rightly, by the .json",
      reads: [Field.members.name], writes: ["facts", "facts_right", "facts_by_kind"],
      parameters: [
        ParameterDeclaration(
          "field", .text, default: "text", "the text that is judged: text is the answer, any other a member, as txt")
      ],
      readsNamed: { arguments in
        arguments.text("field") == "text" ? [ArgumentWord(text: Field.answer.name, origin: .catalog)] : []
      })
  ) { inputs, context throws(RunFailure) in
    let field = inputs.arguments.text("field")
    return Transform("facts", upstream: inputs.upstream, meter: context.meter) { record throws(StageFailure) in
      let text = try text(of: record, field)
      let truth = try RecordedTruth(record)
      let facts =
        truth.asked.map { Facts(of: text, asked: $0) } ?? Facts(of: text, truth: truth.truth)
      record[Field.facts] = facts
    }
  }

  private static func text(of record: Record, _ field: String) throws(StageFailure) -> String {
    var text = record[Field.answer]?.text ?? ""
    if field != "text" {
      guard let bytes = record.bytes(of: field), let member = String(validating: bytes, as: UTF8.self) else {
        throw StageFailure(stage: "facts", message: "expected a .\(field) member of UTF-8 text, found none")
      }
      text = member
    }
    guard text.utf8.count <= maximumBytes else {
      throw StageFailure(
        stage: "facts", message: "expected a text of at most \(maximumBytes) bytes, found \(text.utf8.count)")
    }
    return text
  }
}

/// What a record's `.json` says is true, as `scenes` writes it.
private struct RecordedTruth {
  let truth: Truth
  /// What the record's question asks for, nil for descriptions.
  let asked: AskedFact?

  init(_ record: Record) throws(StageFailure) {
    guard let bytes = record.bytes(of: "json") else { throw Self.failure("expected a .json member, found none") }
    let json: JSONValue
    do { json = try JSONValue(parsing: bytes) } catch { throw Self.failure("\(record.originalKey).json: \(error)") }
    guard let list = json["objects"]?.array else {
      throw Self.failure("\(record.originalKey).json: expected \"objects\" as scenes writes them, found none")
    }
    guard list.count <= Place.all.count else {
      throw Self.failure(
        "\(record.originalKey).json: \"objects\": expected \(Place.all.count) at most, found \(list.count)")
    }
    var objects: [SceneObject] = []
    for value in list { objects.append(try Self.object(value, record)) }
    truth = Truth(objects: objects, background: Self.background(json["background"]), light: Self.word(json["light"]))
    asked = try json["fact"].map { value throws(StageFailure) in
      guard let kind: FactKind = Self.word(value["kind"]), let text = value["value"]?.string else {
        throw Self.failure("\(record.originalKey).json: \"fact\": expected a known kind and its value")
      }
      return AskedFact(kind: kind, value: text)
    }
  }

  private static func failure(_ message: String) -> StageFailure { StageFailure(stage: "facts", message: message) }

  private static func word<Word: RawRepresentable<String>>(_ value: JSONValue?) -> Word? {
    value?.string.flatMap { Word(rawValue: $0) }
  }

  private static func object(_ value: JSONValue, _ record: Record) throws(StageFailure) -> SceneObject {
    guard let shape: Shape = word(value["shape"]), let colour: Colour = word(value["colour"]),
      let size: ObjectSize = word(value["size"]), let texture: Texture = word(value["texture"]),
      let place = value["place"]?.string.flatMap({ Place.names.firstIndex(of: $0) })
    else {
      throw failure(
        "\(record.originalKey).json: \"objects\": expected shape, colour, size, texture and place in known words")
    }
    return SceneObject(shape: shape, colour: colour, size: size, texture: texture, place: Place.all[place])
  }

  private static func background(_ value: JSONValue?) -> Background? {
    guard let pattern: Background.Pattern = word(value?["pattern"]), let tones = value?["tones"]?.array else {
      return nil
    }
    return Background(pattern: pattern, tones: tones.compactMap { word($0) }, runsAcross: false)
  }
}
