import Foundation

/// Says something to the user, under the tool's name, on standard error: one line, whatever the names in it hold.
package func complain(_ message: String) { tell("massv-pipe: \(message.visible)\n") }

/// Writes to standard error as it stands. Where nobody reads that, the tool goes on all the same.
package func tell(_ text: String) {
  var bytes = Array(text.utf8)[...]
  while !bytes.isEmpty {
    let count = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    if count < 0, errno == EINTR { continue }
    if count <= 0 { return }
    bytes = bytes.dropFirst(count)
  }
}

extension String {
  /// The text with everything that would move a terminal's cursor or turn its writing round spelt out, such as `\n` and
  /// `\u{1B}`: keys of tar members and texts of a model are anybody's.
  package var visible: String {
    guard unicodeScalars.contains(where: \.actsOnTerminals) else { return self }
    return unicodeScalars.reduce(into: "") { text, scalar in
      text += scalar.actsOnTerminals ? scalar.escaped(asASCII: true) : String(scalar)
    }
  }
}

extension Unicode.Scalar {
  fileprivate var actsOnTerminals: Bool {
    switch properties.generalCategory {
    case .control, .lineSeparator, .paragraphSeparator: true
    case .format: properties.isBidiControl
    default: false
    }
  }
}
