import ArgumentParser
import Foundation
import Models
import Tensors

/// `massv-pipe inspect MODEL_DIR`: loads a model as a run would and says what it is.
struct Inspect: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Family, sizes, formats and defaults of a model folder.")

  @Argument(help: "A model folder as Hugging Face lays it out.") var model: String

  func run() throws {
    do {
      for (name, value) in try facts() {
        print(name.padding(toLength: 20, withPad: " ", startingAt: 0) + value)
      }
    } catch let error as any CustomStringConvertible & Error {
      FileHandle.standardError.write(Data("massv-pipe: \(error)\n".utf8))
      throw ExitCode(66)
    }
  }

  private func facts() throws -> [(String, String)] {
    let config = try ConfigReader(path: model + "/config.json")
    let defaults = try GenerationDefaults(folder: model, config: config)
    let type = try config.text("model_type") ?? ""
    var facts = [("family", type)]
    switch type {
    case "qwen2_5_vl":
      let target = try Qwen25VL(folder: model, config: config, format: nil)
      facts += language(target.language.configuration)
      let vision = target.configuration.vision
      facts.append(("vision tower", "\(vision.depth) blocks of \(vision.hidden), patches of \(vision.patchSize)"))
    case "qwen2":
      facts += language(try Qwen2.load(folder: model, config: config, format: nil).configuration)
    default:
      throw ModelError(
        "\(model)/config.json: \"model_type\": expected qwen2_5_vl or qwen2, found \"\(type)\"")
    }
    let store = try WeightStore(folder: model)
    let formats = store.formats.map { "\($0.key.rawValue) \($0.value)" }.sorted().joined(separator: ", ")
    facts.append(("weights", "\(store.byteCount) bytes; parameters by format: \(formats)"))
    facts.append(("end of sequence", defaults.endOfSequence.sorted().map(String.init).joined(separator: " ")))
    facts.append(
      (
        "generation",
        "temperature \(defaults.temperature), top-k \(defaults.topK), top-p \(defaults.topP), repetition penalty \(defaults.repetitionPenalty)"
      ))
    return facts
  }

  private func language(_ sizes: DecoderConfiguration) -> [(String, String)] {
    [
      ("language model", "\(sizes.layers) layers of \(sizes.hidden), feed-forward \(sizes.intermediate)"),
      ("heads", "\(sizes.heads) of \(sizes.headWidth), \(sizes.keyValueHeads) for keys and values"),
      ("vocabulary", "\(sizes.vocabulary) rows"),
      ("cache", "\(sizes.cacheBytesPerToken) bytes a token"),
    ]
  }
}
