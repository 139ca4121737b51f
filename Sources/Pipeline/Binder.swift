import PipeLanguage

/// What the command line sets: `NAME=VALUE` for parameters, `--set STAGE.ARG=VALUE` for arguments of one call.
package struct Overrides: Sendable {
  package var parameters: [String]
  package var settings: [String]

  package init(parameters: [String] = [], settings: [String] = []) {
    self.parameters = parameters
    self.settings = settings
  }
}

/// A call with its definition and checked arguments.
package struct BoundCall: Sendable {
  package let definition: StageDefinition
  package let call: Call
  package let arguments: Arguments
  /// Whether nothing is wrong with the arguments: else that has been reported, and they are not to be asked.
  let isComplete: Bool
  package let branch: [BoundCall]?
}

/// A `let` with its definition and checked arguments.
package struct BoundResource: Sendable {
  package let name: String
  package let definition: ResourceDefinition
  package let arguments: Arguments
}

/// A pipe whose every name, value and wire has been checked; nothing is loaded yet.
package struct BoundPipe: Sendable {
  package let source: SourceText
  package let resources: [BoundResource]
  package let chains: [[BoundCall]]

  /// Parses, binds and wires a pipe. All its errors are thrown together.
  package init(_ source: SourceText, catalog: Catalog, overrides: Overrides = Overrides()) throws(PipeErrors) {
    let (file, syntaxErrors) = PipeFile.parse(source)
    var binder = Binder(catalog: catalog, file: file, hasSyntaxErrors: !syntaxErrors.isEmpty)
    binder.read(overrides)
    self.source = source
    resources = binder.resources()
    chains = file.chains.map { chain in chain.calls.compactMap { binder.bind($0) } }
    binder.checkLabels()
    binder.checkOverridesUsed()
    var diagnostics = syntaxErrors + binder.diagnostics
    // Wires of a pipe with holes would be reported for the holes' sake.
    if syntaxErrors.isEmpty, !binder.leavesOut { diagnostics += wiringErrors(chains, catalog: catalog) }
    if !diagnostics.isEmpty { throw PipeErrors(diagnostics) }
  }
}

/// Resolves names and values. Goes on after an error, so that one run reports all.
private struct Binder {
  let catalog: Catalog
  let file: PipeFile
  let hasSyntaxErrors: Bool
  private(set) var diagnostics: [Diagnostic] = []
  /// Whether a stage or its branch is not known for what it is.
  private(set) var leavesOut = false
  private var parameters: [String: Value] = [:]
  private var settings: [(target: String, argument: String, value: Value, used: Bool)] = []
  private var letKinds: [String: String] = [:]

  init(catalog: Catalog, file: PipeFile, hasSyntaxErrors: Bool) {
    self.catalog = catalog
    self.file = file
    self.hasSyntaxErrors = hasSyntaxErrors
    for definition in file.parameters {
      if parameters.updateValue(definition.value, forKey: definition.name.text) != nil {
        report("parameter \"\(definition.name.text)\" is declared twice", definition.name.origin)
      }
      if case .parameter = definition.value.kind {
        report("a default is a plain value, not another parameter", definition.value.origin)
      }
    }
  }

  mutating func report(_ message: String, _ origin: Origin, hint: String? = nil) {
    diagnostics.append(Diagnostic(message, at: origin, hint: hint))
  }

  /// The known name that may be meant.
  private func nearest(to name: String, among known: @autoclosure () -> [String]) -> String? {
    // No more errors are shown than so many, and to look among many names takes its time.
    diagnostics.count < PipeErrors.shown ? suggestion(for: name, among: known()) : nil
  }

  // MARK: The command line

  mutating func read(_ overrides: Overrides) {
    for text in overrides.parameters {
      let origin = Origin.commandLine(text)
      guard let equals = text.firstIndex(of: "="), equals != text.startIndex else {
        report("expected NAME=VALUE", origin)
        continue
      }
      let name = String(text[..<equals])
      guard parameters[name] != nil else {
        // A parameter whose line could not be parsed is not missing.
        if !hasSyntaxErrors {
          report(
            "the pipe has no parameter \"\(name)\"", origin,
            hint: nearest(to: name, among: file.parameters.map(\.name.text)))
        }
        continue
      }
      parameters[name] = Value(.raw(String(text[text.index(after: equals)...])), origin)
    }
    for text in overrides.settings { readSetting(text) }
  }

  private mutating func readSetting(_ text: String) {
    let origin = Origin.commandLine("--set " + text)
    guard let equals = text.firstIndex(of: "="), let dot = text[..<equals].firstIndex(of: "."),
      dot != text.startIndex, text.index(after: dot) != equals
    else { return report("expected STAGE.ARG=VALUE", origin) }
    let value = Value(.raw(String(text[text.index(after: equals)...])), origin)
    settings.append((String(text[..<dot]), String(text[text.index(after: dot)..<equals]), value, false))
  }

  /// Values that the command line sets for a call, by its label or, where it has none, by its name.
  private mutating func settings(for call: Call) -> [CallArgument] {
    let name = call.label?.text ?? call.name.text
    return settings.indices.filter { settings[$0].target == name }.map { index in
      if call.label == nil, settings[index].used {
        report(
          "more than one stage is called \"\(name)\"", settings[index].value.origin,
          hint: "give the one that is meant a label: \(name)@LABEL")
      }
      settings[index].used = true
      return CallArgument(
        name: Name(settings[index].argument, settings[index].value.origin), value: settings[index].value)
    }
  }

  mutating func checkOverridesUsed() {
    guard !hasSyntaxErrors else { return }
    let names = file.chains.flatMap(\.calls).flatMap(allCalls).map { $0.label?.text ?? $0.name.text }
    for setting in settings where !setting.used {
      if file.lets.contains(where: { $0.name.text == setting.target }) {
        report("\"\(setting.target)\" is a let: --set is for arguments of stages", setting.value.origin)
        continue
      }
      report(
        "the pipe has no stage \"\(setting.target)\"", setting.value.origin,
        hint: nearest(to: setting.target, among: names))
    }
  }

  mutating func checkLabels() {
    var labels: Set<String> = []
    for label in file.chains.flatMap(\.calls).flatMap(allCalls).compactMap(\.label)
    where !labels.insert(label.text).inserted {
      report("label \"\(label.text)\" is given twice", label.origin)
    }
  }

  private func allCalls(_ call: Call) -> [Call] { [call] + call.branches.flatMap(\.calls).flatMap(allCalls) }

  // MARK: Lets and calls

  mutating func resources() -> [BoundResource] {
    var bound: [BoundResource] = []
    for definition in file.lets {
      let name = definition.name.text
      if letKinds[name] != nil { report("\"\(name)\" is defined twice", definition.name.origin) }
      let call = definition.call
      guard let resource = catalog.resources.first(where: { $0.name == call.name.text }) else {
        report(
          "unknown kind \"\(call.name.text)\"", call.name.origin,
          hint: nearest(to: call.name.text, among: catalog.resources.map(\.name)))
        letKinds[name] = ""
        continue
      }
      if let label = call.label { report("a let takes no label", label.origin) }
      if !call.branches.isEmpty { report("\"\(resource.name)\" takes no branch", call.name.origin) }
      let arguments = arguments(of: call, declared: resource.parameters, extra: [])
      letKinds[name] = resource.name
      bound.append(BoundResource(name: name, definition: resource, arguments: arguments))
    }
    return bound
  }

  mutating func bind(_ call: Call) -> BoundCall? {
    guard let definition = catalog.stages.first(where: { $0.declaration.name == call.name.text }) else {
      report(
        "unknown stage \"\(call.name.text)\"", call.name.origin,
        hint: nearest(to: call.name.text, among: catalog.stages.map(\.declaration.name)))
      leavesOut = true
      return nil
    }
    let declaration = definition.declaration
    let extra = settings(for: call)
    let reported = diagnostics.count
    let arguments = arguments(of: call, declared: declaration.parameters, extra: extra)
    let isComplete = diagnostics.count == reported
    var branch: [BoundCall]?
    let fault: String? =
      switch (declaration.branch, call.branches.count) {
      case (.none, 0), (.links, 1), (.source, 0...1): nil
      case (.none, _): "takes no branch"
      case (.links, _): "takes one branch in parentheses"
      case (.source, _): "takes at most one branch in parentheses"
      }
    if let fault {
      report("\"\(declaration.name)\" \(fault)", call.name.origin)
      leavesOut = true
    } else if let chain = call.branches.first {
      branch = chain.calls.compactMap { bind($0) }
    }
    return BoundCall(
      definition: definition, call: call, arguments: arguments, isComplete: isComplete, branch: branch)
  }

  private mutating func arguments(
    of call: Call, declared: [ParameterDeclaration], extra: [CallArgument]
  ) -> Arguments {
    var bound = Arguments()
    var written: Set<String> = []
    for argument in call.arguments where !written.insert(argument.name.text).inserted {
      report("\"\(argument.name.text)\" is given twice", argument.name.origin)
    }
    for argument in call.arguments + extra {
      guard let parameter = declared.first(where: { $0.name == argument.name.text }) else {
        report(
          "\"\(call.name.text)\" has no parameter \"\(argument.name.text)\"", argument.name.origin,
          hint: nearest(to: argument.name.text, among: declared.map(\.name)))
        continue
      }
      if let value = checked(argument.value, parameter) { bound.set(parameter.name, value) }
      written.insert(parameter.name)
    }
    for parameter in declared where !written.contains(parameter.name) {
      if let text = parameter.defaultText {
        if let value = checked(Value(.raw(text), .catalog), parameter) { bound.set(parameter.name, value) }
      } else if !parameter.isOptional {
        report(
          "\"\(call.name.text)\" needs \"\(parameter.name)\": \(parameter.type.expectation)", call.name.origin)
      }
    }
    return bound
  }

  /// The value of a parameter; nil, and reported, where it has none.
  private mutating func checked(_ value: Value, _ parameter: ParameterDeclaration) -> ArgumentValue? {
    guard let resolved = resolve(value) else { return nil }
    do throws(PipeErrors) {
      let result = try parameter.type.read(resolved, of: parameter.name)
      if case .reference(let name) = result, case .reference(let kind) = parameter.type {
        checkReference(name, kind, at: resolved.origin)
      }
      return result
    } catch {
      diagnostics += error.diagnostics
      return nil
    }
  }

  /// Puts the parameters' values in the places of their names.
  private mutating func resolve(_ value: Value) -> Value? {
    switch value.kind {
    case .parameter(let name):
      if parameters[name] == nil, !hasSyntaxErrors {
        report(
          "the pipe has no parameter \"\(name)\"", value.origin,
          hint: nearest(to: name, among: file.parameters.map(\.name.text)))
      }
      return parameters[name]
    case .list(let values):
      let resolved = values.map { resolve($0) }
      return resolved.contains { $0 == nil } ? nil : Value(.list(resolved.compactMap { $0 }), value.origin)
    default: return value
    }
  }

  private mutating func checkReference(_ name: String, _ kind: String, at origin: Origin) {
    if let found = letKinds[name] {
      if found != kind, !found.isEmpty { report("expected a \(kind), \"\(name)\" is a \(found)", origin) }
    } else if !hasSyntaxErrors {
      report(
        "nothing is called \"\(name)\"", origin,
        hint: nearest(to: name, among: letKinds.filter { $0.value == kind }.map(\.key).sorted())
          ?? "define it above: let \(name) = \(kind) …")
    }
  }
}
