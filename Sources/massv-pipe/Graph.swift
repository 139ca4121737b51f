import ArgumentParser
import PipeLanguage
import Pipeline
import Stages

extension GraphFormat: ExpressibleByArgument {}

/// `massv-pipe graph PIPE`: draws what a pipe does.
struct Graph: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Draws a pipe as text, for Graphviz or for Mermaid.")

  @Argument(help: "A pipe file.") var pipe: String
  @Option(help: "text, dot or mermaid.") var format: GraphFormat = .text

  func run() throws {
    let bound: BoundPipe
    do throws(PipeErrors) { bound = try BoundPipe(try source(), catalog: .standard) } catch {
      report(error)
      throw ExitCode(64)
    }
    try say(PipeGraph(bound).rendered(as: format))
  }

  private func source() throws(PipeErrors) -> SourceText {
    do { return try readSource(pipe) } catch { Self.exit(withError: error) }
  }
}
