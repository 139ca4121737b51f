/// A typed name under which a stage leaves a value in a record and later stages find it.
///
/// The name is the one that stage declarations use in `reads`, `uses` and `writes`; the type says what lies there.
package struct Slot<Value: Sendable>: Sendable {
  /// The field's name in declarations, graphs and messages.
  package let name: String

  package init(_ name: String) {
    self.name = name
  }
}

/// What one stage could not do to one record. It costs that record only.
package struct StageFailure: Error, Sendable, CustomStringConvertible {
  /// The name of the stage that failed, as in the catalogue.
  package let stage: String
  /// What was expected and what was found.
  package let message: String

  package init(stage: String, message: String) {
    self.stage = stage
    self.message = message
  }

  package var description: String { "\(stage): \(message)" }
}

/// What ends a run: an input, a model or an output that cannot be used any more.
package struct RunFailure: Error, Sendable, CustomStringConvertible {
  /// Which exit status the command ends with.
  package enum Kind: Sendable {
    /// Bad usage or a bad pipe: status 64.
    case usage
    /// An input or a model could not be read, or an output written: status 66.
    case unreadable
    /// A state that the program should not have reached: status 70.
    case `internal`
    /// A record failed and the pipe says to stop there: status 1.
    case stopped
    /// A reader closed the pipe: the run ends quietly with status 0.
    case closedPipe
  }
  package let kind: Kind
  /// What was expected and what was found, with file and place.
  package let message: String

  package init(_ kind: Kind, _ message: String) {
    self.kind = kind
    self.message = message
  }

  package var description: String { message }
}

/// What flows through a pipe: a sample's identity and what the stages have made of it so far.
///
/// A record that failed keeps flowing with `failure` set, so that the output has one line for every record that
/// came in, in the order it came in; stages pass such a record on untouched.
package struct Record: Sendable {
  /// The members' common path up to the first dot after the last slash.
  package var key: String
  /// The shard that the record came from: a path, or `-` for standard input.
  package var shard: String
  /// The record's place in the whole input, from 0.
  package var index: Int
  /// Which pass over the input it is of, from 1 where something counts them.
  package var epoch = 0
  /// The first thing that went wrong with this record.
  package var failure: StageFailure?

  /// Whether the user has been told of the failure.
  package var isFailureSaid = false
  /// Whether it stands for a record of the input: only those are counted.
  package var isOfInput = true

  /// About how many bytes the record holds: what read-ahead is bounded by.
  package var footprint = 0

  private var values: [String: any Sendable] = [:]

  package init(key: String, shard: String, index: Int, failure: StageFailure? = nil) {
    self.key = key
    self.shard = shard
    self.index = index
    self.failure = failure
  }

  /// The value that a stage left under this slot.
  package subscript<Value>(_ slot: Slot<Value>) -> Value? {
    get { values[slot.name] as? Value }
    set { values[slot.name] = newValue }
  }
}
