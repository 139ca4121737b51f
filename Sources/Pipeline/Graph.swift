import PipeLanguage

/// How `graph` draws a pipe.
package enum GraphFormat: String, CaseIterable, Sendable {
  case text, dot, mermaid
}

/// A picture of a bound pipe: stages in order, what flows between them, and the models they use.
package struct PipeGraph {
  private struct Node {
    let id: String
    let title: String
    let depth: Int
  }
  private var nodes: [Node] = []
  private var edges: [(from: String, to: String, label: String)] = []
  private var models: [Node] = []
  private var uses: [(from: String, to: String)] = []
  private let resourceNames: Set<String>

  package init(_ pipe: BoundPipe) {
    resourceNames = Set(pipe.resources.map(\.name))
    for resource in pipe.resources {
      let path = resource.arguments.values["path"].map { " " + Self.shown($0) } ?? ""
      models.append(
        Node(
          id: "let_\(Self.identifier(resource.name))", title: "\(resource.name): \(resource.definition.name)\(path)",
          depth: 0))
    }
    for chain in pipe.chains { _ = add(chain, after: nil, fields: [], depth: 0) }
  }

  private static func identifier(_ name: String) -> String {
    String(name.map { $0.isLetter || $0.isNumber ? $0 : "_" })
  }

  private mutating func add(_ chain: [BoundCall], after previous: String?, fields: [String], depth: Int) -> String? {
    var previous = previous
    var written = fields
    for bound in chain {
      let declaration = bound.definition.declaration
      let id = "s\(nodes.count)"
      let label = bound.call.label.map { "@" + $0.text } ?? ""
      nodes.append(Node(id: id, title: declaration.name + label, depth: depth))
      if let previous { edges.append((previous, id, written.joined(separator: " "))) }
      for (_, value) in bound.arguments.values.sorted(by: { $0.key < $1.key }) {
        if case .reference(let name) = value { uses.append(("let_\(Self.identifier(name))", id)) }
      }
      if let branch = bound.branch, declaration.branch == .source {
        if let last = add(branch, after: nil, fields: [], depth: depth + 1) {
          edges.append((last, id, "without input"))
        }
      } else if let branch = bound.branch {
        _ = add(branch, after: id, fields: written, depth: depth + 1)
      }
      for field in declaration.writes where !written.contains(field) { written.append(field) }
      previous = id
    }
    return previous
  }

  private static func shown(_ value: ArgumentValue) -> String {
    switch value {
    case .text(let text): text
    case .none: "none"
    default: ""
    }
  }

  /// The picture as text that ends in a line break.
  package func rendered(as format: GraphFormat) -> String {
    switch format {
    case .text: text
    case .dot: dot
    case .mermaid: mermaid
    }
  }

  private var text: String {
    var lines = models.map { "let \($0.title)" }
    for node in nodes {
      let incoming = edges.first { $0.to == node.id }
      let used = uses.filter { $0.to == node.id }.compactMap { use in models.first { $0.id == use.from } }
      var line = String(repeating: "  ", count: node.depth) + (incoming == nil ? "" : "| ") + node.title
      if !used.isEmpty { line += "  <- " + used.map { String($0.title.prefix { $0 != ":" }) }.joined(separator: ", ") }
      if let label = incoming?.label, !label.isEmpty { line += "  [\(label)]" }
      lines.append(line)
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private func quoted(_ text: String) -> String {
    "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
  }

  private var dot: String {
    var lines = ["digraph pipe {", "  rankdir=LR;", "  node [shape=box];"]
    lines += models.map { "  \($0.id) [label=\(quoted($0.title)), shape=cylinder];" }
    lines += nodes.map { "  \($0.id) [label=\(quoted($0.title))];" }
    lines += edges.map { "  \($0.from) -> \($0.to) [label=\(quoted($0.label))];" }
    lines += uses.map { "  \($0.from) -> \($0.to) [style=dashed];" }
    return (lines + ["}"]).joined(separator: "\n") + "\n"
  }

  private var mermaid: String {
    func safe(_ text: String) -> String { "\"" + text.replacing("\"", with: "#quot;") + "\"" }
    var lines = ["flowchart LR"]
    lines += models.map { "  \($0.id)[(\(safe($0.title)))]" }
    lines += nodes.map { "  \($0.id)[\(safe($0.title))]" }
    lines += edges.map {
      $0.label.isEmpty ? "  \($0.from) --> \($0.to)" : "  \($0.from) -->|\(safe($0.label))| \($0.to)"
    }
    lines += uses.map { "  \($0.from) -.-> \($0.to)" }
    return lines.joined(separator: "\n") + "\n"
  }
}
