import JSON
import Pipeline
import Samples
import Scenes
import Speculation

/// How `emit` writes records.
enum RecordFormat: String, CaseIterable {
  case jsonl, tar, llava
}

/// Turns records into the bytes of the output.
struct RecordWriter {
  static let fieldNames = [
    "key", "shard", "index", "text", "token_ids", "distribution", "finish_reason", "prompt", "width", "height",
    "sha256", "sample",
    "temperature",
    "seed", "tokens", "rounds", "drafted", "accepted", "mal", "mal_with_bonus", "seconds",
    "facts", "facts_right", "facts_by_kind",
  ]

  /// Members that say what an answer is.
  private static let ofAnswers = ["text.txt", "token_ids.json", "distribution.json", "finish_reason.json"]
  /// What stands in a failed record's sample.
  private static let ofFailures = "error.json"

  let format: RecordFormat
  private let fields: [String]

  init(_ arguments: Arguments) {
    format = RecordFormat(rawValue: arguments.text("format")) ?? .jsonl
    fields = arguments.words("fields").map(\.text)
  }

  /// Whether a line says which input record it is of.
  var hasIndex: Bool { format == .jsonl && fields.contains("index") }

  /// What the object of a line holds, for messages.
  var keys: String { format == .llava ? "id, image and conversations" : fields.joined(separator: ", ") }

  /// Whether a line may be one of this writer's.
  func mayHaveWritten(_ line: JSONValue?) -> Bool {
    guard case .object(let members)? = line else { return false }
    if Self.failure(in: .object(members)) != nil { return line?["key"]?.string != nil }
    if format == .llava { return line?["id"]?.string != nil }
    return fields.contains("key") ? line?["key"]?.string != nil : members.map(\.key) == fields
  }

  /// Why a record cannot be written: what its .json or its answer says is asked for, and is not there.
  func problem(of record: Record) -> StageFailure? {
    if fields.contains("distribution"), let answer = record[Field.answer]?.answer,
      answer.likeliest.count != answer.tokens.count
    {
      return StageFailure(
        stage: "emit", message: "expected the likeliest tokens of each place, which verify keep=16 keeps, found none")
    }
    guard fields.contains(where: { $0.hasPrefix("json.") }), format != .llava, let bytes = record.bytes(of: "json")
    else {
      return nil
    }
    do { _ = try JSONValue(parsing: bytes) } catch {
      return StageFailure(stage: "emit", message: "\(record.key).json: \(error)")
    }
    return nil
  }

  /// The bytes that stand for a record.
  func bytes(of record: Record, tar: TarWriter?) throws(ShardProblem) -> [UInt8] {
    guard let tar else { return line(of: record) }
    return try tar.sample(key: record.key, members: members(of: record))
  }

  // MARK: Lines

  /// A record's line; that of a failed one says what failed.
  func line(of record: Record) -> [UInt8] {
    JSONWriter.line { writer in
      if let failure = record.failure {
        Self.writeFailure(failure, of: record, &writer)
      } else if format == .llava {
        Self.writeConversation(record, &writer)
      } else {
        for field in fields {
          writer.key(field)
          Self.write(field, of: record, &writer)
        }
      }
    }
  }

  private static func writeFailure(_ failure: StageFailure, of record: Record, _ writer: inout JSONWriter) {
    writer.key("key")
    writer.string(record.key)
    writer.key("error")
    writer.object { writer in
      writer.key("stage")
      writer.string(failure.stage)
      writer.key("message")
      writer.string(failure.message)
    }
  }

  /// What a line of a failed record says went wrong; nil for any other line.
  static func failure(in line: JSONValue) -> String? {
    guard line["error"]?["stage"]?.string != nil else { return nil }
    return line["error"]?["message"]?.string
  }

  private static func writeConversation(_ record: Record, _ writer: inout JSONWriter) {
    writer.key("id")
    writer.string(record.key)
    let facts = record[Field.imageFacts]
    if let facts {
      writer.key("image")
      let member = record[Field.members]?.first { $0.field == facts.field }
      writer.string(record.originalKey + "." + (member?.written ?? facts.field))
    }
    let question = (facts == nil ? "" : "<image>\n") + (record[Field.prompt]?.text ?? "")
    writer.key("conversations")
    writer.array { writer in
      for (speaker, text) in [("human", question), ("gpt", record[Field.answer]?.text ?? "")] {
        writer.object { writer in
          writer.key("from")
          writer.string(speaker)
          writer.key("value")
          writer.string(text)
        }
      }
    }
  }

  private static func write(_ field: String, of record: Record, _ writer: inout JSONWriter) {
    switch field {
    case "key": writer.string(record.key)
    case "shard": writer.string(record.shard)
    case "index": writer.integer(record.index)
    case "prompt": record[Field.prompt].map { writer.string($0.text) } ?? writer.null()
    case "width", "height", "sha256": writeImageFact(field, of: record, &writer)
    case "facts", "facts_right", "facts_by_kind": writeFacts(field, of: record, &writer)
    case _ where field.hasPrefix("json."): writeMember(String(field.dropFirst(5)), of: record, &writer)
    default: writeAnswer(field, of: record, &writer)
    }
  }

  private static func writeImageFact(_ field: String, of record: Record, _ writer: inout JSONWriter) {
    guard let facts = record[Field.imageFacts] else { return writer.null() }
    switch field {
    case "width": writer.integer(facts.width)
    case "height": writer.integer(facts.height)
    default: writer.string(SHA256.hexDigest(of: record.bytes(of: facts.field) ?? []))
    }
  }

  /// Facts that a text told, and how many are right: {"colour":{"said":3,"right":2},…}.
  private static func writeFacts(_ field: String, of record: Record, _ writer: inout JSONWriter) {
    guard let facts = record[Field.facts] else { return writer.null() }
    switch field {
    case "facts": writer.integer(facts.said)
    case "facts_right": writer.integer(facts.right)
    default:
      writer.object { writer in
        for kind in FactKind.allCases {
          guard let tally = facts.byKind[kind] else { continue }
          writer.key(kind.rawValue)
          writer.object { writer in
            for (name, count) in [("said", tally.said), ("right", tally.right)] {
              writer.key(name)
              writer.integer(count)
            }
          }
        }
      }
    }
  }

  private static func writeAnswer(_ field: String, of record: Record, _ writer: inout JSONWriter) {
    guard let finished = record[Field.answer] else { return writer.null() }
    let answer = finished.answer
    switch field {
    case "text": writer.string(finished.text)
    case "distribution": writeDistribution(answer.likeliest, &writer)
    case "token_ids": writer.array { writer in for id in answer.tokens { writer.integer(Int(id)) } }
    case "finish_reason": answer.tokens.isEmpty ? writer.null() : writer.string(finished.isWhole ? "stop" : "length")
    case "sample": writer.integer(finished.sample)
    case "temperature": writer.number(finished.temperature)
    case "seed": writer.integer(finished.seed)
    case "tokens": writer.integer(answer.tokens.count)
    case "rounds": writer.integer(answer.rounds)
    case "drafted": writer.integer(answer.drafted)
    case "accepted": writer.integer(answer.accepted)
    case "mal": writeRatio(answer.accepted, answer.rounds, &writer)
    case "mal_with_bonus": writeRatio(answer.accepted + answer.rounds, answer.rounds, &writer)
    case "seconds": writer.number(finished.seconds, decimals: 3)
    default: writer.null()
    }
  }

  /// Ids and probabilities of the likeliest tokens at each place of the answer.
  private static func writeDistribution(_ places: [LikeliestTokens], _ writer: inout JSONWriter) {
    writer.object { writer in
      writer.key("ids")
      writer.array { writer in
        for place in places { writer.array { writer in for id in place.ids { writer.integer(Int(id)) } } }
      }
      writer.key("p")
      writer.array { writer in
        for place in places {
          writer.array { writer in for p in place.probabilities { writer.number(Double(p), decimals: 7) } }
        }
      }
    }
  }

  /// A mean over target calls; null where there were none.
  static func writeRatio(_ sum: Int, _ count: Int, _ writer: inout JSONWriter) {
    if count == 0 { writer.null() } else { writer.number(Double(sum) / Double(count), decimals: 3) }
  }

  private static func writeMember(_ name: String, of record: Record, _ writer: inout JSONWriter) {
    guard let bytes = record.bytes(of: "json"), let value = (try? JSONValue(parsing: bytes))?[name] else {
      return writer.null()
    }
    writer.value(value)
  }

  // MARK: Tar

  /// The record's own members and one more for each new field: `text.txt`, `token_ids.json`.
  private func members(of record: Record) -> [SampleMember] {
    var members = record[Field.members] ?? []
    func add(_ field: String, _ bytes: [UInt8]) {
      members.removeAll { $0.field == field }
      members.append(SampleMember(field: field, bytes: bytes))
    }
    if record.failure != nil {
      add(Self.ofFailures, line(of: record))
      return members
    }
    // What an earlier run wrote of its own failure, or of another answer, is none of this one's.
    members.removeAll { member in
      member.field == Self.ofFailures && (try? JSONValue(parsing: member.bytes)).flatMap(Self.failure) != nil
    }
    if record[Field.answer] != nil,
      fields.contains(where: ["text", "token_ids", "distribution", "finish_reason"].contains)
    {
      members.removeAll { Self.ofAnswers.contains($0.field) }
    }
    for field in fields where field != "key" {
      if field == "text" || field == "prompt" {
        let text = field == "text" ? record[Field.answer]?.text : record[Field.prompt]?.text
        if let text { add(field + ".txt", Array(text.utf8)) }
      } else {
        var writer = JSONWriter()
        Self.write(field, of: record, &writer)
        add(field + ".json", writer.bytes)
      }
    }
    return members
  }
}
