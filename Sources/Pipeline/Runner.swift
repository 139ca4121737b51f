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
    let resources = try load()
    for chain in pipe.chains {
      let last = try build(chain[...], on: EndOfStream(), resources)
      while let record = try last.next() {
        context.meter.count("records")
        if record.failure != nil { context.meter.count("failed") }
      }
    }
  }

  /// Loads the `let`s that a stage or another `let` uses, in the order of the pipe.
  private func load() throws(RunFailure) -> [String: any Sendable] {
    var resources: [String: any Sendable] = [:]
    let used = usedNames
    for resource in pipe.resources where used.contains(resource.name) {
      var arguments = resource.arguments
      arguments.resources = resources
      resources[resource.name] = try resource.definition.load(arguments, context)
    }
    return resources
  }

  private var usedNames: Set<String> {
    func calls(_ chain: [BoundCall]) -> [BoundCall] { chain.flatMap { [$0] + calls($0.branch ?? []) } }
    let all = pipe.chains.flatMap(calls).map(\.arguments) + pipe.resources.map(\.arguments)
    return Set(all.flatMap { $0.values.values.compactMap { if case .reference(let name) = $0 { name } else { nil } } })
  }

  private func build(
    _ chain: ArraySlice<BoundCall>, on source: any Stage, _ resources: [String: any Sendable]
  ) throws(RunFailure) -> any Stage {
    var link = source
    for bound in chain {
      var arguments = bound.arguments
      arguments.resources = resources
      var branch: BranchBuilder?
      if let calls = bound.branch {
        branch = { (source: any Stage) throws(RunFailure) -> any Stage in
          try build(calls[...], on: source, resources)
        }
      }
      let inputs = StageInputs(arguments: arguments, upstream: link, branch: branch)
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
