import ArgumentParser
import Foundation
import Messages
import PipeLanguage

/// The command. Exit status: 0 every record succeeded, 1 some failed, 64 bad usage or a bad pipe, 66 an input or a
/// model could not be read, 70 internal error.
@main
struct MassvPipe: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "massv-pipe", abstract: "Runs vision-language models over image datasets, as a stream.",
    subcommands: [Run.self, Check.self, Graph.self, StagesCommand.self, Inspect.self, Bench.self])

  static func main() {
    // A closed pipe and a file that may not grow are errors of the write, not the end of the process.
    signal(SIGPIPE, SIG_IGN)
    signal(SIGXFSZ, SIG_IGN)
    occupyStandardDescriptors()
    main(nil)
  }

  /// A parent may have closed some: the first files to be opened would be taken for them, and messages written into data.
  private static func occupyStandardDescriptors() {
    for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
      // The lowest free number is this one. Reading what was closed, and writing to it, stay errors.
      _ = open("/dev/null", descriptor == STDOUT_FILENO ? O_RDONLY : O_WRONLY)
    }
  }
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
  // A pipe is written by hand: anything longer was meant for another argument, and is not read to its end.
  let limit = 1 << 20
  let handle = path == "-" ? FileHandle.standardInput : FileHandle(forReadingAtPath: path)
  guard let handle, let data = try? handle.read(upToCount: limit + 1) ?? Data() else {
    var isFolder: ObjCBool = false
    let cause =
      FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
      ? ": it is a folder" : access(path, R_OK) == 0 ? "" : ": " + String(cString: strerror(errno))
    complain("\(path): cannot be read\(cause)")
    throw ExitCode(66)
  }
  guard data.count <= limit else {
    complain("\(path): expected a pipe, found more than \(limit) bytes")
    throw ExitCode(64)
  }
  return SourceText(name: path, bytes: Array(data))
}

/// Reports the errors of a pipe.
func report(_ errors: PipeErrors) {
  tell("\(errors)\n")
}
