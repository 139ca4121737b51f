import ArgumentParser
import PipeLanguage
import Pipeline
import Stages

/// `massv-pipe check PIPE…`: parses, binds and wires; loads nothing.
struct Check: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Checks pipes, and ```pipe blocks in Markdown, without loading anything.")

  @Argument(help: "Pipe files; of files that end in .md, the pipe blocks.") var pipes: [String]

  func run() throws {
    var failed = false
    var unreadable: ExitCode?
    for path in pipes {
      let source: SourceText
      do throws(ExitCode) { source = try readSource(path) } catch {
        unreadable = error
        continue
      }
      let blocks = path.hasSuffix(".md") ? SourceText.pipeBlocks(ofMarkdown: source) : [source]
      for block in blocks {
        do throws(PipeErrors) {
          _ = try BoundPipe(block, catalog: .standard)
        } catch {
          report(error)
          failed = true
        }
      }
    }
    if let unreadable { throw unreadable }
    if failed { throw ExitCode(64) }
  }
}
