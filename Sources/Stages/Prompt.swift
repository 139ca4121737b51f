import Foundation
import JSON
import Messages
import Models
import Pipeline

/// `prompt`: what the target is asked, in its own chat template, as token ids.
enum PromptStage {
  static let definition = StageDefinition(
    StageDeclaration(
      "prompt", .link, "the question in the target's chat template, as token ids",
      reads: [Field.members.name], uses: [Field.features.name, Field.patches.name, Field.question.name],
      writes: [Field.prompt.name],
      parameters: [
        ParameterDeclaration("model", .reference("model"), "the target"),
        ParameterDeclaration("text", .text, default: "", "what to ask of every record that has a picture"),
        ParameterDeclaration(
          "field", .text, optional: true,
          "ask what this member says: txt, json.NAME, or the first human turn of json.conversations"),
        ParameterDeclaration(
          "own", .flag, default: "false", "ask what a record's prompt.txt or \"prompt\" in .json says, where it has one"
        ),
        ParameterDeclaration("system", .text, optional: true, "replaces the template's own system line"),
        ParameterDeclaration("raw", .flag, default: "false", "take the text as it is, without a template"),
      ])
  ) { inputs, context throws(RunFailure) in
    let resource: ModelResource = inputs.arguments.resource("model")
    let writer = PromptWriter(resource.target, inputs.arguments)
    if !context.isRepeating, !inputs.arguments.flag("raw"), let template = resource.target.unusedTemplate {
      complain("prompt: \(template.file): its chat template is not applied: \(template.instead)")
    }
    return Transform("prompt", upstream: inputs.upstream, meter: context.meter) { record throws(StageFailure) in
      record[Field.prompt] = try writer.prompt(for: record)
    }
  }
}

/// Makes prompts of records.
private struct PromptWriter {
  private let target: TargetModel
  private let text: String
  private let field: String?
  private let system: String?
  private let isRaw: Bool
  private let asksOwn: Bool

  init(_ target: TargetModel, _ arguments: Arguments) {
    self.target = target
    text = arguments.text("text")
    field = arguments.optionalText("field")
    system = arguments.optionalText("system")
    isRaw = arguments.flag("raw")
    asksOwn = arguments.flag("own")
  }

  private func failure(_ message: String) -> StageFailure { StageFailure(stage: "prompt", message: message) }

  func prompt(for record: Record) throws(StageFailure) -> Prompt {
    if record[Field.image] != nil, record.patchGrid == nil {
      throw failure("the picture was decoded but not encoded: put \"encode\" before \"prompt\"")
    }
    let grid = record.patchGrid
    let text = try question(record, hasImage: grid != nil)
    let turn = ChatTurn(text: text, system: system, hasImage: grid != nil)
    let rendered = isRaw ? text : target.family.render(turn)
    guard let vision = target.vision else {
      return Prompt(text: text, tokens: target.tokenizer.encodePrompt(rendered), visual: nil)
    }
    // By code points: a mark behind the placeholder would make one character with its end.
    let places = rendered.unicodeScalars.ranges(of: vision.placeholder.unicodeScalars)
    guard places.count == (grid == nil ? 0 : 1) else {
      throw failure(
        "expected \(grid == nil ? "no" : "one") \(vision.placeholder) in the prompt, found \(places.count)")
    }
    let count = grid.map { vision.visualTokens($0) } ?? 0
    let expanded = places.first.map {
      rendered[..<$0.lowerBound] + vision.expansion(visualTokens: count) + rendered[$0.upperBound...]
    }
    let tokens = target.tokenizer.encodePrompt(expanded.map { String($0) } ?? rendered)
    return Prompt(text: text, tokens: tokens, visual: try place(of: vision, count, in: tokens))
  }

  /// Where the visual tokens stand: one run of exactly `count`.
  private func place(of vision: any VisionModel, _ count: Int, in tokens: [Int32]) throws(StageFailure) -> Range<Int>? {
    let found = tokens.filter { $0 == vision.imageToken }.count
    let first = tokens.firstIndex(of: vision.imageToken)
    guard found == count, let first else {
      if found == 0, count == 0 { return nil }
      throw failure("expected \(count) visual tokens in the prompt, found \(found)")
    }
    guard tokens[first..<first + count].allSatisfy({ $0 == vision.imageToken }) else {
      throw failure("the prompt's visual tokens do not stand side by side")
    }
    return first..<first + count
  }

  /// What `ask` says, else the pipe's text for pictures. A record without one asks for itself: its `.txt`, or `prompt`
  /// in its `.json`.
  private func question(_ record: Record, hasImage: Bool) throws(StageFailure) -> String {
    if let question = record[Field.question] { return question }
    if let field { return try value(of: field, record) }
    if asksOwn, record.bytes(of: "prompt.txt") != nil { return try value(of: "prompt.txt", record) }
    if asksOwn, try saysPrompt(record) { return try value(of: "json.prompt", record) }
    if hasImage { return text }
    if record.bytes(of: "txt") != nil { return try value(of: "txt", record) }
    if try saysPrompt(record) { return try value(of: "json.prompt", record) }
    // The pipe's text is about a picture wherever the target sees: without one, an answer would be made up.
    guard !text.isEmpty, target.vision == nil else {
      throw failure("expected a picture, a .txt or a \"prompt\" in .json, found none")
    }
    return text
  }

  /// Whether the record's `.json` says a prompt, in whatever form: one that is no text is an error when it is read.
  private func saysPrompt(_ record: Record) throws(StageFailure) -> Bool {
    guard let bytes = record.bytes(of: "json") else { return false }
    do { return try JSONValue(parsing: bytes)["prompt"].map { !$0.isNull } ?? false } catch {
      throw failure("\(record.originalKey).json: \(error)")
    }
  }

  private func value(of field: String, _ record: Record) throws(StageFailure) -> String {
    try QuestionField(field, stage: "prompt", isRaw: isRaw).first(of: record)
  }
}
