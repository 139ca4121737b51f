/// A typed name under which a stage leaves a value in a record and later stages find it.
///
/// The name is the one that stage declarations use in `reads`, `uses` and `writes`; the type says what lies there.
public struct Slot<Value: Sendable>: Sendable {
  /// The field's name in declarations, graphs and messages.
  public let name: String

  public init(_ name: String) {
    self.name = name
  }
}

/// One member file of a WebDataset record: `a/b.seg.png` is field `seg.png` of the record `a/b`.
public struct Member: Sendable {
  /// The field name: what follows the first dot after the last slash, in lower case.
  public let field: String
  /// The member's bytes.
  public let bytes: [UInt8]

  public init(field: String, bytes: [UInt8]) {
    self.field = field
    self.bytes = bytes
  }
}

/// What one stage could not do to one record. It costs that record only.
public struct StageFailure: Error, Sendable, CustomStringConvertible {
  /// The name of the stage that failed, as in the catalogue.
  public let stage: String
  /// What was expected and what was found.
  public let message: String

  public init(stage: String, message: String) {
    self.stage = stage
    self.message = message
  }

  public var description: String { "\(stage): \(message)" }
}

/// What ends a run: an input, a model or an output that cannot be used any more.
public struct RunFailure: Error, Sendable, CustomStringConvertible {
  /// Which exit status the command ends with.
  public enum Kind: Sendable {
    /// Bad usage or a bad pipe: status 64.
    case usage
    /// An input or a model could not be read, or an output written: status 66.
    case unreadable
    /// A state that the program should not have reached: status 70.
    case `internal`
    /// A reader closed the pipe: the run ends quietly with status 0.
    case closedPipe
  }
  public let kind: Kind
  /// What was expected and what was found, with file and place.
  public let message: String

  public init(_ kind: Kind, _ message: String) {
    self.kind = kind
    self.message = message
  }

  public var description: String { message }
}

/// What flows through a pipe: a sample's identity, its files, and what the stages have made of it so far.
///
/// A record that failed keeps flowing with `failure` set, so that the output has one line for every record that
/// came in, in the order it came in; stages pass such a record on untouched.
public struct Record: Sendable {
  /// The members' common path up to the first dot after the last slash.
  public var key: String
  /// The shard that the record came from: a path, or `-` for standard input.
  public var shard: String
  /// The record's place in the whole input, from 0.
  public var index: Int
  /// The record's files in the order of the archive.
  public var members: [Member]
  /// The first thing that went wrong with this record.
  public var failure: StageFailure?

  private var values: [String: any Sendable] = [:]

  public init(key: String, shard: String, index: Int, members: [Member], failure: StageFailure? = nil) {
    self.key = key
    self.shard = shard
    self.index = index
    self.members = members
    self.failure = failure
  }

  /// The bytes of the member with this field name.
  public func bytes(of field: String) -> [UInt8]? {
    members.first { $0.field == field }?.bytes
  }

  /// The value that a stage left under this slot.
  public subscript<Value>(_ slot: Slot<Value>) -> Value? {
    get { values[slot.name] as? Value }
    set { values[slot.name] = newValue }
  }
}
