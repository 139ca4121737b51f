import Foundation
import JSON
import Models
import Pipeline
import Tensors
import Training

/// `label`: the answer that the record holds, behind the prompt as the student reads it: one example to learn.
enum Label {
  static let definition = StageDefinition(
    StageDeclaration(
      "label", .link, "the record's answer behind its prompt, as an example to learn",
      reads: [Field.prompt.name, Field.members.name], uses: [Field.features.name, Field.patches.name],
      writes: [Field.example.name],
      parameters: [
        ParameterDeclaration("model", .reference("student"), "who learns"),
        ParameterDeclaration(
          "field", .text, default: "auto",
          "where the answer is: a text member, json.NAME, token_ids.json; auto takes token_ids.json, text.txt, txt, "
            + "then caption, text or conversations of .json"),
        ParameterDeclaration("max-tokens", .integer(1...(1 << 20)), default: "512", "an answer is cut off there"),
        ParameterDeclaration(
          "picture", .choice(["required", "optional"]), default: "required", "whether a record needs one"),
        ParameterDeclaration(
          "cells", .flag, default: "false",
          "take \"cells\" of .json: what each visual token shows, for a tower's lessons"),
      ])
  ) { inputs, context throws(RunFailure) in
    let resource: StudentResource = inputs.arguments.resource("model")
    let reader = AnswerReader(resource, inputs.arguments)
    return Transform("label", upstream: inputs.upstream, meter: context.meter) { record throws(StageFailure) in
      record[Field.example] = try reader.example(of: record)
      record[Field.features] = nil
      record[Field.patches] = nil
      record[Field.members] = nil
    }
  }
}

/// Makes examples of records.
private struct AnswerReader {
  private let resource: StudentResource
  private let target: TargetModel
  private let field: String
  private let maximumTokens: Int
  private let needsPicture: Bool
  private let hasCells: Bool
  /// What ends an answer that is text.
  private let end: [Int32]

  init(_ resource: StudentResource, _ arguments: Arguments) {
    self.resource = resource
    target = resource.target.target
    field = arguments.text("field")
    maximumTokens = arguments.integer("max-tokens")
    hasCells = arguments.flag("cells")
    needsPicture = arguments.text("picture") == "required"
    let ids = target.tokenizer.encode(target.family.endOfTurn)
    end = ids.count == 1 ? ids : target.defaults.endOfSequence.sorted().prefix(1).map { $0 }
  }

  private func failure(_ message: String) -> StageFailure { StageFailure(stage: "label", message: message) }

  func example(of record: Record) throws(StageFailure) -> TrainingExample {
    let (answer, place) = try answer(of: record)
    guard !answer.isEmpty else { throw failure("\(record.key): expected an answer to learn, found an empty one") }
    if needsPicture, record.patchGrid == nil {
      throw failure("\(record.key): expected a picture with its answer, found none")
    }
    var example = try prompt(of: record)
    guard !example.prompt.isEmpty else { throw failure("expected a prompt, found an empty one") }
    example.answer = Array(answer.prefix(maximumTokens))
    if example.patches != nil { try addTower(to: &example, record) }
    // Distributions stand beside the tokens that they belong to.
    if place == "token_ids.json" {
      example.teacher = try teacher(of: record, tokens: answer.count).map { Array($0.prefix(maximumTokens)) }
    }
    try checkIds(of: example)
    let limit = resource.student.language.configuration.maximumPositions
    guard example.rows < limit else {
      throw failure("prompt and answer have \(example.rows) tokens, the student reads \(limit) at most")
    }
    return example
  }

  /// Tokens that were added to a vocabulary may have no row in the student's: it cannot write them.
  private func checkIds(of example: TrainingExample) throws(StageFailure) {
    let known = resource.student.language.configuration.vocabulary
    let all = [example.answer] + (example.teacher ?? []).map(\.ids)
    guard let id = all.joined().first(where: { Int($0) >= known }) else { return }
    throw failure(
      "expected token ids below \(known), which the student can write, found \(id) "
        + "(\"\(target.tokenizer.decode([id]))\")")
  }

  /// The prompt as the student sees it: its own visual tokens, or none.
  private func prompt(of record: Record) throws(StageFailure) -> TrainingExample {
    let prompt = record[Field.prompt]
    let tokens = prompt?.tokens ?? []
    if let patches = record[Field.patches] {
      return TrainingExample(
        key: record.key, prompt: tokens, visual: prompt?.visual, patches: (patches.values, patches.grid), answer: [])
    }
    guard let visual = record[Field.features], let place = prompt?.visual, let vision = target.vision else {
      return TrainingExample(key: record.key, prompt: tokens, answer: [])
    }
    guard let projector = resource.student.projector else {
      return TrainingExample(key: record.key, prompt: tokens.filter { !vision.imageMarkers.contains($0) }, answer: [])
    }
    guard visual.features.columns == projector.inputs else {
      throw failure("expected features of the student's own target")
    }
    let grid = vision.visualGrid(visual.grid)
    let count = projector.settings.visualTokens(grid)
    return TrainingExample(
      key: record.key, prompt: prompt?.replacingVisualTokens(vision.imageToken, by: count) ?? [],
      visual: place.lowerBound..<place.lowerBound + count, features: (values: visual.features, grid: grid), answer: [])
  }

  /// Positions as the model counts them, and what its visual tokens show.
  private func addTower(to example: inout TrainingExample, _ record: Record) throws(StageFailure) {
    guard let tower = resource.student.tower, let grid = example.patches?.grid else {
      throw failure("patches are for a model that is trained with its tower: path=none of the student")
    }
    let places = tower.positions(example.prompt, grid: grid)
    example.ownPositions = places.positions + (0..<example.answer.count - 1).map { Position(places.next + $0) }
    guard hasCells else { return }
    let expected = tower.visualTokens(grid)
    let cells = try record.bytes(of: "json").map { bytes throws(StageFailure) in try parse(bytes, record, "json") }?[
      "cells"]
    guard let list = cells?.array?.compactMap(\.int), list.count == expected else {
      throw failure(
        "\(record.key).json: \"cells\": expected \(expected) whole numbers, found \(cells?.kind ?? "nothing")")
    }
    example.cells = list.map { Int32(clamping: $0) }
  }

  // MARK: Answers

  private func answer(of record: Record) throws(StageFailure) -> (ids: [Int32], place: String) {
    if field != "auto" {
      guard let ids = try answer(in: field, record) else { throw failure("expected \(field), found none") }
      return (ids, field)
    }
    for place in ["token_ids.json", "text.txt", "txt", "json.caption", "json.text", "json.conversations"] {
      if let ids = try answer(in: place, record) { return (ids, place) }
    }
    throw failure("\(record.key): expected an answer: token_ids.json, text.txt, txt, or a caption in .json; found none")
  }

  /// nil where the record has no such member.
  private func answer(in place: String, _ record: Record) throws(StageFailure) -> [Int32]? {
    if place.hasPrefix("json.") {
      guard let bytes = record.bytes(of: "json") else { return nil }
      let json = try parse(bytes, record, "json")
      let name = String(place.dropFirst("json.".count))
      guard let value = json[name], !value.isNull else { return nil }
      guard let text = name == "conversations" ? Self.reply(in: value) : value.string else {
        throw failure("\(record.key).json: \"\(name)\": expected an answer, found \(value.kind)")
      }
      return ids(of: text)
    }
    guard let bytes = record.bytes(of: place) else { return nil }
    if place.hasSuffix(".json") { return try ids(in: parse(bytes, record, place), record, place) }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw failure("\(record.key).\(place): expected UTF-8 text")
    }
    return ids(of: text)
  }

  private func parse(_ bytes: [UInt8], _ record: Record, _ field: String) throws(StageFailure) -> JSONValue {
    do { return try JSONValue(parsing: bytes) } catch { throw failure("\(record.key).\(field): \(error)") }
  }

  /// The first answer of a conversation as LLaVA writes them.
  private static func reply(in conversations: JSONValue) -> String? {
    conversations.array?.first { $0["from"]?.string == "gpt" }?["value"]?.string
  }

  /// Text as the target would have written it, its end included.
  private func ids(of text: String) -> [Int32] {
    let text = text.trimmingCharacters(in: .whitespacesAndNewlines)
    return text.isEmpty ? [] : target.tokenizer.encode(text) + end
  }

  /// The target's distributions at the answer's places, as `emit` writes them; nil where there are none.
  private func teacher(of record: Record, tokens: Int) throws(StageFailure) -> [TeacherRow]? {
    let field = "distribution.json"
    guard let bytes = record.bytes(of: field) else { return nil }
    let json = try parse(bytes, record, field)
    let (ids, shares) = (json["ids"]?.array ?? [], json["p"]?.array ?? [])
    guard ids.count == tokens, shares.count == tokens else {
      throw failure("\(record.key).\(field): expected \(tokens) places, found \(ids.count) and \(shares.count)")
    }
    var rows: [TeacherRow] = []
    for (id, share) in zip(ids, shares) {
      let row = TeacherRow(
        ids: try self.ids(in: id, record, field),
        probabilities: (share.array ?? []).compactMap(\.double).map { Float($0) })
      guard row.ids.count == row.probabilities.count, row.probabilities.allSatisfy({ (0...1.001).contains($0) }) else {
        throw failure("\(record.key).\(field): expected a probability from 0 to 1 for each id")
      }
      guard row.probabilities.contains(where: { $0 > 0 }) else {
        throw failure("\(record.key).\(field): expected likeliest tokens of each place, found a place without any")
      }
      rows.append(row)
    }
    return rows
  }

  /// Ids that the target wrote.
  private func ids(in json: JSONValue, _ record: Record, _ field: String) throws(StageFailure) -> [Int32] {
    guard let list = json.array else {
      throw failure("\(record.key).\(field): expected a list of token ids, found \(json.kind)")
    }
    var ids: [Int32] = []
    for value in list {
      guard let id = value.int, (0..<target.tokenizer.count).contains(id) else {
        throw failure(
          "\(record.key).\(field): expected ids below \(target.tokenizer.count), found \(value.kind)")
      }
      ids.append(Int32(id))
    }
    return ids
  }
}
