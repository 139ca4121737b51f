import Foundation
import Models

/// Bytes a second that one thread turns into ids.
func benchmarkTokenizer() throws {
  let environment = ProcessInfo.processInfo.environment
  guard let path = environment["TOKENIZER"], let textPath = environment["TEXT"] else {
    return print("tokenizer: set TOKENIZER and TEXT to measure")
  }
  let text = try String(contentsOfFile: textPath, encoding: .utf8)
  var load = 0.0
  var tokenizer: Tokenizer?
  load = try timed { tokenizer = try Tokenizer(path: path) }
  guard let tokenizer else { return }
  var count = 0
  let seconds = try interleaved(9, [{ timed { count = tokenizer.encode(text).count } }])[0]
  print(
    "tokenizer: \(formatted(Double(text.utf8.count) / seconds / 1e6)) MB/s on one thread, \(text.utf8.count) bytes, "
      + "\(count) tokens; loaded in \(formatted(load)) s")
}
