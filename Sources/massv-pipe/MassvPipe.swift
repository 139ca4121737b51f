import ArgumentParser

/// The command. Exit status: 0 done, 64 bad usage, 66 an input or model could not be read.
@main
struct MassvPipe: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "massv-pipe", abstract: "Runs vision-language models over image datasets.",
    subcommands: [Inspect.self])
}
