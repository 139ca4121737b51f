extension PipeFile {
  /// Parses a whole pipe.
  ///
  /// - Returns: what could be read, and every error of the text; the first is whole where there is none.
  package static func parse(_ source: SourceText) -> (file: PipeFile, diagnostics: [Diagnostic]) {
    var lexer = Lexer(source)
    var parser = Parser(source: source, tokens: lexer.tokens())
    let file = parser.file()
    return (file, lexer.diagnostics + parser.diagnostics)
  }
}

extension Value {
  /// The value that a text stands for in a pipe, nil where it is not one.
  package init?(parsing text: String) {
    let source = SourceText(name: "", text: text)
    var lexer = Lexer(source)
    var parser = Parser(source: source, tokens: lexer.tokens())
    guard let value = try? parser.value(), parser.token.kind == .end, lexer.diagnostics.isEmpty else { return nil }
    self = value
  }
}

/// Recursive descent over the tokens. An error skips to the next `|` or statement, and parsing goes on there.
private struct Parser {
  let source: SourceText
  let tokens: [Token]
  var at = 0
  var depth = 0
  var diagnostics: [Diagnostic] = []

  /// Stages that one chain may have: each is a call within the one before.
  static let maximumStages = 256
  /// Branches and lists may be nested this deep.
  static let maximumDepth = 32

  init(source: SourceText, tokens: [Token]) {
    self.source = source
    self.tokens = tokens
  }

  var token: Token { tokens[at] }
  var following: Token.Kind { tokens[min(at + 1, tokens.count - 1)].kind }
  var origin: Origin { .source(source, token.range) }

  mutating func advance() { at = min(at + 1, tokens.count - 1) }

  func fail(_ message: String, hint: String? = nil) -> Diagnostic {
    Diagnostic(message, at: origin, hint: hint)
  }

  mutating func take(_ sign: Character) -> Bool {
    guard token.kind == .sign(sign) else { return false }
    advance()
    return true
  }

  mutating func expect(_ sign: Character, _ purpose: String) throws(Diagnostic) {
    if !take(sign) { throw fail("expected '\(sign)' \(purpose), found \(token.text)") }
  }

  mutating func name(_ what: String) throws(Diagnostic) -> Name {
    guard case .name(let text) = token.kind else { throw fail("expected \(what), found \(token.text)") }
    let name = Name(text, origin)
    advance()
    return name
  }

  // MARK: Statements

  mutating func file() -> PipeFile {
    var file = PipeFile(source: source)
    while token.kind != .end {
      do throws(Diagnostic) {
        try statement(&file)
      } catch {
        diagnostics.append(error)
        recover()
      }
    }
    if file.chains.isEmpty, diagnostics.isEmpty {
      diagnostics.append(fail("expected a chain of stages, such as read | decode | emit"))
    }
    return file
  }

  /// Skips to where a statement or a call can begin.
  mutating func recover() {
    let start = at
    while token.kind != .end {
      if at > start, startsDefinition { return }
      if take("|") { return }
      advance()
    }
  }

  var startsDefinition: Bool {
    guard case .name(let word) = token.kind, word == "param" || word == "let", case .name = following else {
      return false
    }
    return true
  }

  mutating func statement(_ file: inout PipeFile) throws(Diagnostic) {
    guard case .name(let word) = token.kind else { return file.chains.append(try chain()) }
    switch word {
    case "param": file.parameters.append(try parameterDefinition())
    case "let": file.lets.append(try letDefinition())
    default: file.chains.append(try chain())
    }
  }

  mutating func parameterDefinition() throws(Diagnostic) -> ParameterDefinition {
    advance()
    let name = try name("the parameter's name")
    try expect("=", "and the default of \"\(name.text)\"")
    let value = try value()
    var summary: String?
    if case .string(let text) = token.kind {
      summary = text
      advance()
    }
    return ParameterDefinition(name: name, value: value, summary: summary)
  }

  mutating func letDefinition() throws(Diagnostic) -> LetDefinition {
    advance()
    let name = try name("the name of what \"let\" defines")
    try expect("=", "and what \"\(name.text)\" is")
    return LetDefinition(name: name, call: try call())
  }

  // MARK: Chains

  mutating func chain() throws(Diagnostic) -> Chain {
    var calls = [try call()]
    while take("|") {
      if calls.count >= Self.maximumStages { throw fail("a chain of more than \(Self.maximumStages) stages") }
      do throws(Diagnostic) {
        calls.append(try call())
      } catch {
        diagnostics.append(error)
        skipCall()
      }
    }
    return Chain(calls: calls)
  }

  /// Skips the rest of a broken call, up to what can follow it.
  mutating func skipCall() {
    while token.kind != .end, token.kind != .sign("|"), token.kind != .sign(")"), !startsDefinition { advance() }
  }

  mutating func call() throws(Diagnostic) -> Call {
    if startsDefinition { throw fail("expected a stage, found the next statement") }
    let name = try name("a stage")
    var label: Name?
    if take("@") { label = try self.name("a label behind '@'") }
    var arguments: [CallArgument] = []
    var branches: [Chain] = []
    while true {
      if case .name = token.kind, following == .sign("=") {
        let argumentName = try self.name("an argument")
        advance()
        arguments.append(CallArgument(name: argumentName, value: try value()))
      } else if token.kind == .sign("(") {
        branches.append(try branch())
      } else {
        return Call(name: name, label: label, arguments: arguments, branches: branches)
      }
    }
  }

  mutating func branch() throws(Diagnostic) -> Chain {
    try deepen()
    defer { depth -= 1 }
    advance()
    let chain = try chain()
    try expect(")", "to end the branch")
    return chain
  }

  mutating func deepen() throws(Diagnostic) {
    if depth >= Self.maximumDepth { throw fail("nested deeper than \(Self.maximumDepth) levels") }
    depth += 1
  }

  // MARK: Values

  mutating func value() throws(Diagnostic) -> Value {
    let start = token.range.lowerBound
    switch token.kind {
    case .string(let text): return finish(.string(text))
    case .number(let text): return finish(.number(text))
    case .name(let text): return finish(.name(text))
    case .parameter(let text): return finish(.parameter(text))
    case .sign("["):
      let values = try list()
      return Value(.list(values), .source(source, start..<tokens[at - 1].range.upperBound))
    case .sign, .end: throw fail("expected a value, found \(token.text)")
    }
  }

  private mutating func finish(_ kind: Value.Kind) -> Value {
    let value = Value(kind, origin)
    advance()
    return value
  }

  private mutating func list() throws(Diagnostic) -> [Value] {
    try deepen()
    defer { depth -= 1 }
    advance()
    if take("]") { return [] }
    var values: [Value] = []
    repeat { values.append(try value()) } while take(",")
    try expect("]", "or ',' in the list")
    return values
  }
}
