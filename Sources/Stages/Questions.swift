import Foundation
import JSON
import Pipeline

/// A field of records that holds what is asked: `txt`, `json.NAME`, or `json.conversations` in LLaVA's form.
struct QuestionField: Sendable {
  private let field: String
  /// The stage that reads, for messages.
  private let stage: String
  /// Whether line breaks at a file's end stay.
  private let isRaw: Bool

  init(_ field: String, stage: String, isRaw: Bool = false) {
    self.field = field
    self.stage = stage
    self.isRaw = isRaw
  }

  private func failure(_ message: String) -> StageFailure { StageFailure(stage: stage, message: message) }

  /// The record's question; of a conversation, the first.
  func first(of record: Record) throws(StageFailure) -> String {
    guard let name = jsonName else { return try text(of: record) }
    let value = try member(name, of: record)
    if let turns = conversation(name, value) { return try questions(turns, of: record)[0] }
    guard let text = value?.string else { throw mismatch(name, value, of: record, expected: "a string") }
    return text
  }

  /// All questions of the record, one or more: a string, a list of strings, or every human turn of a conversation.
  func all(of record: Record) throws(StageFailure) -> [String] {
    guard let name = jsonName else { return [try text(of: record)] }
    let value = try member(name, of: record)
    if let turns = conversation(name, value) { return try questions(turns, of: record) }
    if let text = value?.string { return [text] }
    guard let texts = value?.array?.map(\.string), !texts.isEmpty, !texts.contains(nil) else {
      throw mismatch(name, value, of: record, expected: "a string or a list of strings")
    }
    return texts.compactMap { $0 }
  }

  /// The name behind `json.`, nil for another member.
  private var jsonName: String? { field.hasPrefix("json.") ? String(field.dropFirst("json.".count)) : nil }

  private func mismatch(_ name: String, _ value: JSONValue?, of record: Record, expected: String) -> StageFailure {
    failure("\(record.originalKey).json: \"\(name)\": expected \(expected), found \(value?.kind ?? "nothing")")
  }

  private func member(_ name: String, of record: Record) throws(StageFailure) -> JSONValue? {
    guard let bytes = record.bytes(of: "json") else { throw failure("expected a .json member, found none") }
    do { return try JSONValue(parsing: bytes)[name] } catch { throw failure("\(record.originalKey).json: \(error)") }
  }

  // MARK: Conversations

  /// The turns of LLaVA's form; nil for anything else.
  private func conversation(_ name: String, _ value: JSONValue?) -> [JSONValue]? {
    guard name == "conversations", let turns = value?.array, turns.first?["from"] != nil else { return nil }
    return turns
  }

  /// What the human says, without the picture's place.
  private func questions(_ turns: [JSONValue], of record: Record) throws(StageFailure) -> [String] {
    var questions: [String] = []
    for turn in turns where turn["from"]?.string == "human" {
      guard let text = turn["value"]?.string else {
        throw mismatch("value", turn["value"], of: record, expected: "a string in each human turn")
      }
      questions.append(
        text.replacing("<image>\n", with: "").replacing("\n<image>", with: "").replacing("<image>", with: ""))
    }
    guard !questions.isEmpty else {
      throw failure("\(record.originalKey).json: \"conversations\": expected a turn from \"human\", found none")
    }
    return questions
  }

  // MARK: Members of text

  private func text(of record: Record) throws(StageFailure) -> String {
    guard let bytes = record.bytes(of: field) else { throw failure("expected a .\(field) member, found none") }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw failure("\(record.originalKey).\(field): expected UTF-8 text")
    }
    // A file's last line ends; raw text is taken as it is.
    return isRaw ? text : text.trimmingCharacters(in: .newlines)
  }
}
