/// A name and where it was written.
package struct Name: Sendable {
  package let text: String
  package let origin: Origin

  package init(_ text: String, _ origin: Origin) {
    self.text = text
    self.origin = origin
  }
}

/// A value and where it was written.
package struct Value: Sendable {
  package indirect enum Kind: Sendable {
    case string(String)
    /// A number as it was written, perhaps with a size suffix.
    case number(String)
    case name(String)
    /// `$NAME`.
    case parameter(String)
    case list([Value])
    /// Text of the command line, to be read as whatever its parameter takes.
    case raw(String)
  }
  package let kind: Kind
  package let origin: Origin

  package init(_ kind: Kind, _ origin: Origin) {
    self.kind = kind
    self.origin = origin
  }
}

/// `NAME=value` in a call.
package struct CallArgument: Sendable {
  package let name: Name
  package let value: Value

  package init(name: Name, value: Value) {
    self.name = name
    self.value = value
  }
}

/// `NAME@LABEL name=value … ( chain )`: one stage, or what a `let` names.
package struct Call: Sendable {
  package let name: Name
  /// Tells two calls of one stage apart on the command line.
  package let label: Name?
  package let arguments: [CallArgument]
  package let branches: [Chain]
}

/// Calls joined by `|`. Never empty.
package struct Chain: Sendable {
  package let calls: [Call]
}

/// `param NAME = value "summary"`: what the command line may set.
package struct ParameterDefinition: Sendable {
  package let name: Name
  package let value: Value
  package let summary: String?
}

/// `let NAME = call`.
package struct LetDefinition: Sendable {
  package let name: Name
  package let call: Call
}

/// A parsed pipe.
package struct PipeFile: Sendable {
  package let source: SourceText
  package var parameters: [ParameterDefinition] = []
  package var lets: [LetDefinition] = []
  package var chains: [Chain] = []
}
