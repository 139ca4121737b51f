import ArgumentParser
import Foundation
import PipeLanguage
import Pipeline

/// The command. Exit status: 0 every record succeeded, 1 some failed, 64 bad usage or a bad pipe, 66 an input or a
/// model could not be read, 70 internal error.
@main
struct MassvPipe: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "massv-pipe", abstract: "Runs vision-language models over image datasets, as a stream.",
    subcommands: [Run.self, Check.self, Graph.self, StagesCommand.self, Inspect.self])
}

/// Prints to standard error, under the tool's name.
func complain(_ message: String) {
  FileHandle.standardError.write(Data("massv-pipe: \(message)\n".utf8))
}

/// Prints to standard output; a reader that went away ends the command quietly.
func say(_ text: String) throws(ExitCode) {
  var bytes = Array(text.utf8)[...]
  while !bytes.isEmpty {
    let count = bytes.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
    if count < 0, errno == EINTR { continue }
    if count < 0, errno == EPIPE { throw ExitCode(0) }
    if count < 0 {
      complain("standard output: \(String(cString: strerror(errno)))")
      throw ExitCode(66)
    }
    bytes = bytes.dropFirst(count)
  }
}

/// Reads a pipe's file, `-` for standard input.
func readSource(_ path: String) throws(ExitCode) -> SourceText {
  let data =
    path == "-" ? try? FileHandle.standardInput.readToEnd() ?? Data() : FileManager.default.contents(atPath: path)
  guard let data else {
    complain("\(path): cannot be read")
    throw ExitCode(66)
  }
  // A pipe is written by hand: anything longer was meant for another argument.
  guard data.count <= 1 << 20 else {
    complain("\(path): expected a pipe, found \(data.count) bytes")
    throw ExitCode(64)
  }
  return SourceText(name: path, bytes: Array(data))
}

/// Reports the errors of a pipe.
func report(_ errors: PipeErrors) {
  FileHandle.standardError.write(Data("\(errors)\n".utf8))
}
