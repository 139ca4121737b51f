import PipeLanguage

/// What is wrong with the order of stages: a chain without its source, a field that no earlier stage writes, an input that
/// was read before.
func wiringErrors(_ chains: [[BoundCall]], catalog: Catalog) -> [Diagnostic] {
  let readers = chains.compactMap(\.first).filter { call in
    call.branch == nil && call.isComplete && call.definition.declaration.readsStandardInput(call.arguments)
  }
  let late = readers.dropFirst().map { call in
    Diagnostic(
      "\"\(call.call.name.text)\" reads standard input, which an earlier chain has read to its end",
      at: call.call.name.origin, hint: "name the files: \(call.call.name.text) shards=FILE")
  }
  return chains.flatMap { wiringErrors($0, available: nil, catalog: catalog) } + late
}

/// - Parameter available: fields that the stream carries where a branch begins, nil for a chain of its own.
private func wiringErrors(
  _ chain: [BoundCall], available: Set<String>?, catalog: Catalog
) -> [Diagnostic] {
  var errors: [Diagnostic] = []
  var fields = available ?? []
  for (index, bound) in chain.enumerated() {
    let declaration = bound.definition.declaration
    let mayBegin = index == 0 && available == nil
    if mayBegin, declaration.place == .link {
      errors.append(misplacedLink(bound, catalog: catalog))
      return errors
    }
    if !mayBegin, declaration.place == .source {
      errors.append(
        Diagnostic("\"\(declaration.name)\" makes records: it stands first in a chain", at: bound.call.name.origin))
    }
    for field in declaration.reads where !fields.contains(field) {
      errors.append(unwritten(field, of: declaration.name, at: bound.call.name.origin, catalog: catalog))
    }
    let named = bound.isComplete ? declaration.readsNamed(bound.arguments) : []
    for word in named where !fields.contains(word.text) {
      let origin = if case .catalog = word.origin { bound.call.name.origin } else { word.origin }
      errors.append(unwritten(word.text, of: declaration.name, at: origin, catalog: catalog))
    }
    if let branch = bound.branch {
      errors += wiringErrors(branch, available: declaration.branch == .source ? nil : fields, catalog: catalog)
    }
    errors += rebuildingErrors(bound, before: chain[..<index], isInBranch: available != nil)
    if bound.isComplete { errors += declaration.faults(bound) }
    fields.formUnion(declaration.writes)
  }
  return errors
}

/// What cannot be built anew: an input in a branch, which is not the branch's own, and files that are being written.
private func rebuildingErrors(_ bound: BoundCall, before: ArraySlice<BoundCall>, isInBranch: Bool) -> [Diagnostic] {
  func filesKept(_ calls: some Sequence<BoundCall>) -> [BoundCall] {
    calls.flatMap { ($0.definition.declaration.keepsFile ? [$0] : []) + filesKept($0.branch ?? []) }
  }
  let name = bound.definition.declaration.name
  switch bound.definition.declaration.rebuilds {
  case .nothing: return []
  case .upstream:
    if isInBranch {
      return [Diagnostic("\"\(name)\" runs the input again: it cannot stand in a branch", at: bound.call.name.origin)]
    }
    return filesKept(before).map {
      Diagnostic(
        "\"\($0.definition.declaration.name)\" writes a file, which \"\(name)\" behind it would begin again",
        at: $0.call.name.origin, hint: "put \"\(name)\" before it")
    }
  case .branch:
    return filesKept(bound.branch ?? []).map {
      Diagnostic(
        "\"\($0.definition.declaration.name)\" writes a file: it cannot stand in the branch of \"\(name)\"",
        at: $0.call.name.origin)
    }
  }
}

private func misplacedLink(_ bound: BoundCall, catalog: Catalog) -> Diagnostic {
  let sources = catalog.stages.filter { $0.declaration.place == .source }.map(\.declaration.name)
  return Diagnostic(
    "\"\(bound.call.name.text)\" stands first in a chain, but it needs records from a stage before it",
    at: bound.call.name.origin,
    hint:
      "a chain begins with \(sources.joined(separator: " or ")); is a '|' missing before \"\(bound.call.name.text)\"?")
}

private func unwritten(_ field: String, of stage: String, at origin: Origin, catalog: Catalog) -> Diagnostic {
  let writers = catalog.stages.filter { $0.declaration.writes.contains(field) }.map { "\"\($0.declaration.name)\"" }
  return Diagnostic(
    "\"\(stage)\" reads \"\(field)\", which no earlier stage writes", at: origin,
    hint: writers.isEmpty ? nil : "written by " + writers.joined(separator: " or "))
}
