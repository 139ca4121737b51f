import ArgumentParser
import Messages
import PipeLanguage
import Pipeline
import Stages

/// `massv-pipe stages [NAME]`: the stage catalogue.
struct StagesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stages", abstract: "Lists the stages, or says what one reads, writes and takes.")

  @Argument(help: "A stage, or a kind of let.") var name: String?

  func run() throws {
    let catalog = Catalog.standard
    guard let name else { return try say(list(catalog)) }
    if let stage = catalog.stages.first(where: { $0.declaration.name == name })?.declaration {
      return try say(describe(stage))
    }
    if let resource = catalog.resources.first(where: { $0.name == name }) {
      return try say("let NAME = \(resource.name): \(resource.summary)\n" + parameters(resource.parameters))
    }
    let known = catalog.stages.map(\.declaration.name) + catalog.resources.map(\.name)
    let hint = suggestion(for: name, among: known) ?? "known: " + known.joined(separator: " ")
    complain("unknown stage \"\(name)\"; \(hint)")
    throw ExitCode(64)
  }

  private func list(_ catalog: Catalog) -> String {
    let stages = catalog.stages.map { ($0.declaration.name, $0.declaration.summary) }
    let lets = catalog.resources.map { ("let … = " + $0.name, $0.summary) }
    return table(stages) + "\n" + table(lets)
  }

  private func describe(_ stage: StageDeclaration) -> String {
    var text = "\(stage.name): \(stage.summary)\n"
    for (label, fields) in [("reads", stage.reads), ("uses", stage.uses), ("writes", stage.writes)]
    where !fields.isEmpty {
      text += "  \(label) \(fields.joined(separator: " "))\n"
    }
    switch stage.branch {
    case .none: break
    case .links: text += "  takes a branch: \(stage.name) ( STAGE | … )\n"
    case .source: text += "  may take a branch with a source of its own: \(stage.name) ( SOURCE | … )\n"
    }
    return text + parameters(stage.parameters)
  }

  private func parameters(_ parameters: [ParameterDeclaration]) -> String {
    table(
      parameters.map { parameter in
        let fallback = parameter.defaultText.map { " (default \($0))" } ?? (parameter.isOptional ? " (optional)" : "")
        return ("  \(parameter.name)=", "\(parameter.summary): \(parameter.type.expectation)\(fallback)")
      })
  }

  private func table(_ rows: [(String, String)]) -> String {
    let width = (rows.map(\.0.count).max() ?? 0) + 2
    return rows.map { $0.0 + String(repeating: " ", count: width - $0.0.count) + $0.1 + "\n" }.joined()
  }
}
