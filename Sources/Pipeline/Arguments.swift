import PipeLanguage

/// One word of a list argument and where it was written.
package struct ArgumentWord: Sendable {
  package let text: String
  package let origin: Origin

  package init(text: String, origin: Origin) {
    self.text = text
    self.origin = origin
  }
}

/// A checked value of one parameter.
package enum ArgumentValue: Sendable {
  case text(String)
  case integer(Int)
  case number(Double)
  case flag(Bool)
  case words([ArgumentWord])
  case texts([String])
  case numbers([Double])
  /// The word `auto`.
  case auto
  /// The word `none`, or an optional parameter that was left out.
  case none
  /// A `let` by name.
  case reference(String)
}

/// The checked arguments of one call, with defaults filled in.
///
/// Every accessor answers for a parameter that the declaration names with that type; the binder has checked values
/// before, so asking for a parameter that was never declared is a programming error and ends the program.
package struct Arguments: Sendable {
  package private(set) var values: [String: ArgumentValue] = [:]
  /// What the references among the arguments stand for, once it is loaded.
  package var resources: [String: any Sendable] = [:]

  package init() {}

  /// Sets the checked value of a parameter.
  package mutating func set(_ name: String, _ value: ArgumentValue) { values[name] = value }

  private func undeclared(_ name: String, _ type: String) -> Never {
    preconditionFailure("the declaration has no parameter \"\(name)\" of type \(type)")
  }

  package func text(_ name: String) -> String {
    guard case .text(let value)? = values[name] else { undeclared(name, "text") }
    return value
  }

  /// nil where the parameter was left out or is `none`.
  package func optionalText(_ name: String) -> String? {
    switch values[name] {
    case .text(let value): value
    case nil, .some(.none): nil
    default: undeclared(name, "text")
    }
  }

  /// A whole number or a count of bytes.
  package func integer(_ name: String) -> Int {
    guard case .integer(let value)? = values[name] else { undeclared(name, "integer") }
    return value
  }

  /// nil for `auto`, or where the parameter was left out.
  package func optionalInteger(_ name: String) -> Int? {
    switch values[name] {
    case .integer(let value): value
    case nil, .some(.auto), .some(.none): nil
    default: undeclared(name, "integer")
    }
  }

  package func number(_ name: String) -> Double {
    guard case .number(let value)? = values[name] else { undeclared(name, "number") }
    return value
  }

  /// nil for `auto`, or where the parameter was left out.
  package func optionalNumber(_ name: String) -> Double? {
    switch values[name] {
    case .number(let value): value
    case nil, .some(.auto), .some(.none): nil
    default: undeclared(name, "number")
    }
  }

  package func flag(_ name: String) -> Bool {
    guard case .flag(let value)? = values[name] else { undeclared(name, "flag") }
    return value
  }

  package func words(_ name: String) -> [ArgumentWord] {
    switch values[name] {
    case .words(let value): value
    case nil, .some(.none): []
    default: undeclared(name, "words")
    }
  }

  /// Free texts; empty where the parameter was left out or is `none`.
  package func texts(_ name: String) -> [String] {
    switch values[name] {
    case .texts(let value): value
    case nil, .some(.none): []
    default: undeclared(name, "texts")
    }
  }

  /// Numbers; empty where the parameter was left out or is `none`.
  package func numbers(_ name: String) -> [Double] {
    switch values[name] {
    case .numbers(let value): value
    case nil, .some(.none): []
    default: undeclared(name, "numbers")
    }
  }

  /// What the `let` that this parameter names has loaded.
  package func resource<Resource>(_ name: String, as type: Resource.Type = Resource.self) -> Resource {
    guard case .reference(let letName)? = values[name], let resource = resources[letName] as? Resource else {
      undeclared(name, "reference to \(type)")
    }
    return resource
  }

  /// What the `let` that this parameter names has loaded; nil where the parameter was left out.
  package func optionalResource<Resource>(_ name: String, as type: Resource.Type = Resource.self) -> Resource? {
    values[name] == nil ? nil : resource(name, as: type)
  }
}
