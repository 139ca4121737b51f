import PipeLanguage

/// What a parameter accepts. One declaration feeds parsing, defaults, checks, `stages` and the documentation.
package enum ParameterType: Sendable, Equatable {
  /// Any text.
  case text
  /// A file or folder; `none` is accepted where `optional`.
  case path(optional: Bool)
  /// Any text, or the word `none` for no text at all.
  case optionalText
  /// A whole number within bounds.
  case integer(ClosedRange<Int>)
  /// A whole number within bounds, or the word `auto`.
  case integerOrAuto(ClosedRange<Int>)
  /// A number within bounds.
  case number(ClosedRange<Double>)
  /// A number within bounds, or the word `auto`.
  case numberOrAuto(ClosedRange<Double>)
  /// A count of bytes: `512M`, `2G`, or a plain number.
  case bytes
  /// `true` or `false`.
  case flag
  /// One of these words.
  case choice([String])
  /// A list of words, each one of these or starting with one of these prefixes (`json.` for `json.NAME`).
  case words([String], prefixes: [String])
  /// A list of these words, one at least, each as often as it shall weigh; read as `words`.
  case mixture([String])
  /// A list of free texts, one text alone, or the word `none` for no text at all.
  case texts
  /// A list of numbers within bounds, one number alone, or the word `none` for no number at all.
  case numbers(ClosedRange<Double>)
  /// A `let` of this kind, by name.
  case reference(String)
}

/// One parameter of a stage or of a `let`.
package struct ParameterDeclaration: Sendable {
  package let name: String
  package let type: ParameterType
  /// The default as it would be written on the command line, or nil where the parameter must be given.
  package let defaultText: String?
  /// Whether the parameter may be left out without having a default.
  package let isOptional: Bool
  /// One line that says what it is for.
  package let summary: String

  /// A parameter with a default, or one that must be given.
  package init(
    _ name: String, _ type: ParameterType, default defaultText: String? = nil, optional: Bool = false, _ summary: String
  ) {
    self.name = name
    self.type = type
    self.defaultText = defaultText
    self.isOptional = optional
    self.summary = summary
  }
}

/// What a stage is: its name, what it reads and writes, and what it takes.
package struct StageDeclaration: Sendable {
  /// Where a stage may stand in a chain.
  package enum Place: Sendable {
    /// The first link, and nowhere else.
    case source
    /// Behind a source.
    case link
  }
  /// What a stage builds anew while records flow.
  package enum Rebuilding: Sendable {
    case nothing
    /// All links before it, so that they run this many times in all: nil where that is not known.
    case upstream(times: @Sendable (Arguments) -> Int?)
    /// Its branch, for every record.
    case branch
  }
  /// What a call takes in parentheses.
  package enum Branch: Sendable {
    case none
    /// One chain of links that the stage feeds: `tee ( … )`.
    case links
    /// At most one chain with a source of its own, which may run in the stage's place: `read ( … )`.
    case source
  }
  package let name: String
  package let place: Place
  /// One line for the catalogue.
  package let summary: String
  /// Fields without which the stage cannot work: an earlier stage must write them.
  package let reads: [String]
  /// Fields that the stage uses where they are there.
  package let uses: [String]
  /// Fields that the stage adds.
  package let writes: [String]
  package let parameters: [ParameterDeclaration]
  package let branch: Branch
  /// What the stage builds anew while records flow.
  package let rebuilds: Rebuilding
  /// Whether the stage keeps a file open that it writes: it is built once, never behind what rebuilds it.
  package let keepsFile: Bool
  /// Whether a call reads standard input to its end.
  package let readsStandardInput: @Sendable (Arguments) -> Bool
  /// Fields that a call reads because of its arguments, by the words that name them: `emit fields=[text]`.
  package let readsNamed: @Sendable (Arguments) -> [ArgumentWord]
  /// What else is wrong with a call, known from the pipe alone.
  package let faults: @Sendable (BoundCall) -> [Diagnostic]

  package init(
    _ name: String, _ place: Place, _ summary: String, reads: [String] = [], uses: [String] = [],
    writes: [String] = [], parameters: [ParameterDeclaration] = [], branch: Branch = .none,
    rebuilds: Rebuilding = .nothing, keepsFile: Bool = false,
    readsStandardInput: @escaping @Sendable (Arguments) -> Bool = { _ in false },
    readsNamed: @escaping @Sendable (Arguments) -> [ArgumentWord] = { _ in [] },
    faults: @escaping @Sendable (BoundCall) -> [Diagnostic] = { _ in [] }
  ) {
    self.name = name
    self.place = place
    self.summary = summary
    self.reads = reads
    self.uses = uses
    self.writes = writes
    self.parameters = parameters
    self.branch = branch
    self.rebuilds = rebuilds
    self.keepsFile = keepsFile
    self.readsStandardInput = readsStandardInput
    self.readsNamed = readsNamed
    self.faults = faults
  }
}

/// A stage of the catalogue: its declaration and how to make a link of it.
package struct StageDefinition: Sendable {
  package let declaration: StageDeclaration
  /// Looks at what the link will need of the world, before anything is loaded.
  ///
  /// Its arguments are the call, and how many times the link will be built: nil where that is not known.
  package let foresee: @Sendable (BoundCall, _ times: Int?) throws(RunFailure) -> Void
  /// Makes the link.
  package let make: @Sendable (StageInputs, RunContext) throws(RunFailure) -> any Stage

  package init(
    _ declaration: StageDeclaration,
    foresee: @escaping @Sendable (BoundCall, _ times: Int?) throws(RunFailure) -> Void = { _, _ in },
    make: @escaping @Sendable (StageInputs, RunContext) throws(RunFailure) -> any Stage
  ) {
    self.declaration = declaration
    self.foresee = foresee
    self.make = make
  }
}

/// What a link is made of.
package struct StageInputs {
  /// The call's checked arguments.
  package let arguments: Arguments
  /// The link before it; for a source, an end of stream.
  package let upstream: any Stage
  /// How many times the links behind it have it built in all, nil where that is not known.
  package let times: Int?
  /// Builds the branch in parentheses, nil where the call has none.
  package let branch: BranchBuilder?
  /// Builds all links before it anew, for a stage that declares so; the run's `repeating` context is theirs.
  package let rebuildUpstream: (() throws(RunFailure) -> any Stage)?

  package init(
    arguments: Arguments, upstream: any Stage, times: Int? = 1, branch: BranchBuilder? = nil,
    rebuildUpstream: (() throws(RunFailure) -> any Stage)? = nil
  ) {
    self.arguments = arguments
    self.upstream = upstream
    self.times = times
    self.branch = branch
    self.rebuildUpstream = rebuildUpstream
  }
}

/// Builds the chain of a branch on top of the source that the branching stage provides, with that stage's context, or
/// its `repeating` one where the branch has been built before.
package typealias BranchBuilder = (any Stage, RunContext) throws(RunFailure) -> any Stage

/// What a `let` can name: its declaration and how to load it.
package struct ResourceDefinition: Sendable {
  /// The name of the call behind `let x =`: `model`, `drafter`.
  package let name: String
  package let summary: String
  package let parameters: [ParameterDeclaration]
  /// Loads the resource. References among its arguments have been loaded before it.
  package let load: @Sendable (Arguments, RunContext) throws(RunFailure) -> any Sendable

  package init(
    _ name: String, _ summary: String, parameters: [ParameterDeclaration],
    load: @escaping @Sendable (Arguments, RunContext) throws(RunFailure) -> any Sendable
  ) {
    self.name = name
    self.summary = summary
    self.parameters = parameters
    self.load = load
  }
}

/// Every stage and every kind of `let` that a pipe may name.
package struct Catalog: Sendable {
  package let stages: [StageDefinition]
  package let resources: [ResourceDefinition]

  package init(stages: [StageDefinition], resources: [ResourceDefinition]) {
    self.stages = stages
    self.resources = resources
  }
}
