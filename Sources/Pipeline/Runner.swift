import Messages

/// Loads what a bound pipe names, builds its chains and pulls them to their ends.
package struct Runner {
  private let pipe: BoundPipe
  private let context: RunContext

  package init(_ pipe: BoundPipe, context: RunContext) {
    self.pipe = pipe
    self.context = context
  }

  /// Runs every chain of the pipe, one after the other.
  package func run() throws(RunFailure) {
    // What can be seen now is not found out after the minutes that a model takes. What later chains need may be made by
    // those before them.
    if let first = pipe.chains.first { try foresee(first) }
    let resources = try load()
    context.begin()
    for chain in pipe.chains {
      let last = try context.aside { () throws(RunFailure) in
        try build(chain, upTo: chain.count, on: EndOfStream(), resources, context)
      }
      var failure: RunFailure?
      do throws(RunFailure) { while let record = try last.next() { count(record) } } catch { failure = error }
      try context.endChain(after: failure)
    }
  }

  private func count(_ record: Record) {
    guard record.isOfInput else { return }
    context.meter.count("records")
    guard let failure = record.failure else { return }
    context.meter.count("failed")
    if !record.isFailureSaid { complain("\(record.key): \(failure)") }
  }

  /// Loads the `let`s that a stage or another `let` uses, in the order of the pipe.
  private func load() throws(RunFailure) -> [String: any Sendable] {
    var resources: [String: any Sendable] = [:]
    let used = usedNames
    for resource in pipe.resources where used.contains(resource.name) {
      var arguments = resource.arguments
      arguments.resources = resources
      for parameter in resource.definition.parameters {
        if case .path = parameter.type, let path = arguments.optionalText(parameter.name) {
          try context.files.readModel(path)
        }
      }
      resources[resource.name] = try resource.definition.load(arguments, context)
    }
    return resources
  }

  private var usedNames: Set<String> {
    func calls(_ chain: [BoundCall]) -> [BoundCall] { chain.flatMap { [$0] + calls($0.branch ?? []) } }
    let all = pipe.chains.flatMap(calls).map(\.arguments) + pipe.resources.map(\.arguments)
    return Set(all.flatMap { $0.values.values.compactMap { if case .reference(let name) = $0 { name } else { nil } } })
  }

  private func foresee(_ chain: [BoundCall]) throws(RunFailure) {
    for (index, bound) in chain.enumerated() {
      try bound.definition.foresee(bound, Self.times(chain[(index + 1)...]))
      if let branch = bound.branch { try foresee(branch) }
    }
  }

  /// How many times these calls have the links before them built, nil where one of them does not know.
  private static func times(_ calls: ArraySlice<BoundCall>) -> Int? {
    calls.reduce(1) { (product: Int?, bound) in
      guard case .upstream(let times) = bound.definition.declaration.rebuilds else { return product }
      guard let product, let count = times(bound.arguments) else { return nil }
      let (result, isTooLarge) = product.multipliedReportingOverflow(by: count)
      return isTooLarge ? nil : result
    }
  }

  /// Builds the first links of a chain.
  private func build(
    _ chain: [BoundCall], upTo count: Int, on source: any Stage, _ resources: [String: any Sendable],
    _ context: RunContext
  ) throws(RunFailure) -> any Stage {
    var link = source
    for (index, bound) in chain.prefix(count).enumerated() {
      var arguments = bound.arguments
      arguments.resources = resources
      var branch: BranchBuilder?
      if let calls = bound.branch {
        let standsIn = bound.definition.declaration.branch == .source
        branch = { (source: any Stage, context: RunContext) throws(RunFailure) -> any Stage in
          if standsIn { return try build(calls, upTo: calls.count, on: source, resources, context) }
          return try context.aside { () throws(RunFailure) in
            try build(calls, upTo: calls.count, on: source, resources, context)
          }
        }
      }
      let inputs = StageInputs(
        arguments: arguments, upstream: link, times: Self.times(chain[(index + 1)...]), branch: branch,
        rebuildUpstream: { () throws(RunFailure) in
          try build(chain, upTo: index, on: EndOfStream(), resources, context.repeating)
        })
      link = try bound.definition.make(inputs, context)
    }
    return link
  }
}

/// What lies upstream of a source: nothing.
package final class EndOfStream: Stage {
  package init() {}

  package func next() throws(RunFailure) -> Record? { nil }
}
