/// What a parameter accepts. One declaration feeds parsing, defaults, checks, `stages` and the documentation.
public enum ParameterType: Sendable, Equatable {
  /// Any text.
  case text
  /// A file or folder; `none` is accepted where `optional`.
  case path(optional: Bool)
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
  /// A `let` of this kind, by name.
  case reference(String)
}

/// One parameter of a stage or of a `let`.
public struct ParameterDeclaration: Sendable {
  public let name: String
  public let type: ParameterType
  /// The default as it would be written in a pipe, or nil where the parameter must be given.
  public let defaultText: String?
  /// Whether the parameter may be left out without having a default.
  public let isOptional: Bool
  /// One line that says what it is for.
  public let summary: String

  /// A parameter with a default, or one that must be given.
  public init(
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
public struct StageDeclaration: Sendable {
  /// Where a stage may stand in a chain.
  public enum Place: Sendable {
    /// The first link, and nowhere else.
    case source
    /// Behind a source.
    case link
  }
  public let name: String
  public let place: Place
  /// One line for the catalogue.
  public let summary: String
  /// Fields without which the stage cannot work: an earlier stage must write them.
  public let reads: [String]
  /// Fields that the stage uses where they are there.
  public let uses: [String]
  /// Fields that the stage adds.
  public let writes: [String]
  public let parameters: [ParameterDeclaration]
  /// Whether the call takes a branch in parentheses: `tee ( … )`.
  public let takesBranch: Bool

  public init(
    _ name: String, _ place: Place, _ summary: String, reads: [String] = [], uses: [String] = [],
    writes: [String] = [], parameters: [ParameterDeclaration] = [], takesBranch: Bool = false
  ) {
    self.name = name
    self.place = place
    self.summary = summary
    self.reads = reads
    self.uses = uses
    self.writes = writes
    self.parameters = parameters
    self.takesBranch = takesBranch
  }
}

/// A stage of the catalogue: its declaration and how to make a link of it.
public struct StageDefinition: Sendable {
  public let declaration: StageDeclaration
  /// Makes the link.
  ///
  /// - Parameters: the call's arguments, the link before it (nil for a source), the branch's chain builder
  ///   (nil where the call has none), and the run it belongs to.
  public let make:
    @Sendable (Arguments, (any Stage)?, BranchBuilder?, RunContext) throws(RunFailure) -> any Stage

  public init(
    _ declaration: StageDeclaration,
    make:
      @escaping @Sendable (Arguments, (any Stage)?, BranchBuilder?, RunContext) throws(RunFailure) -> any Stage
  ) {
    self.declaration = declaration
    self.make = make
  }
}

/// Builds the chain of a branch on top of the source that the branching stage provides.
public typealias BranchBuilder = (any Stage) throws(RunFailure) -> any Stage

/// What a `let` can name: its declaration and how to load it.
public struct ResourceDefinition: Sendable {
  /// The name of the call behind `let x =`: `model`, `drafter`.
  public let name: String
  public let summary: String
  public let parameters: [ParameterDeclaration]
  /// Loads the resource. References among its arguments have been loaded before it.
  public let load: @Sendable (Arguments, RunContext) throws(RunFailure) -> any Sendable

  public init(
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
public struct Catalog: Sendable {
  public let stages: [StageDefinition]
  public let resources: [ResourceDefinition]

  public init(stages: [StageDefinition], resources: [ResourceDefinition]) {
    self.stages = stages
    self.resources = resources
  }
}
