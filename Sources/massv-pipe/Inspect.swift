import ArgumentParser
import Foundation
import Messages
import Models
import Tensors

/// `massv-pipe inspect MODEL_DIR`: looks at a model as a run would, all but the values of its weights, and says what it is.
struct Inspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Family, sizes, formats, defaults and memory of a model folder.")

  @Argument(help: "A model folder as Hugging Face lays it out, or a .gguf file.") var model: String
  @Option(help: "The mmproj .gguf file that belongs to a .gguf model.") var vision: String?
  @Option(help: "What products are to be computed with: stored f32 f16 bf16 q8 q4.") var weights = "stored"

  func validate() throws {
    guard weights == "stored" || WeightFormat(rawValue: weights) != nil else {
      let known = WeightFormat.allCases.map(\.rawValue).joined(separator: " ")
      throw ValidationError("--weights: expected stored or one of \(known), found \"\(weights)\"")
    }
  }

  func run() throws {
    do {
      let rows = try facts()
      try say(rows.map { $0.0.padding(toLength: 20, withPad: " ", startingAt: 0) + $0.1 + "\n" }.joined())
    } catch let exit as ExitCode {
      throw exit
    } catch {
      complain("\(error)")
      throw ExitCode(66)
    }
  }

  private func facts() throws -> [(String, String)] {
    let files = try ModelFiles(
      path: model, vision: vision, format: WeightFormat(rawValue: weights), engine: nil)
    do { _ = try files.family } catch { throw ModelError("\(error); \(missing(files).drop { $0 == " " })") }
    let target = try TargetModel(files)
    let store = try files.weights()
    let formats = store.formats.map { "\($0.key) \($0.value)" }.sorted().joined(separator: ", ")
    var facts = [("family", target.family.modelType)]
    facts += language(target.language.configuration)
    if let vision = target.vision { facts += sight(vision) }
    facts.append(("tokenizer", "\(target.tokenizer.count) tokens"))
    if let template = target.unusedTemplate {
      facts.append(("chat template", "not applied: \(template.instead); \(template.file)"))
    }
    facts.append(("weights", "\(megabytes(store.byteCount)); parameters by format: \(formats)"))
    facts += defaults(target)
    facts += try drafter()
    facts += memory(target)
    return facts
  }

  /// What stands in the way of reading an unsupported model as its nearest relative.
  private func missing(_ files: ModelFiles) -> String {
    let nearest = ModelFamily.nearest(to: (try? files.config.text("model_type")) ?? "")
    do {
      _ = try nearest.load(files)
      return
        "  its configuration and tensors would pass for \(nearest.modelType); whether it computes the same is not known"
    } catch {
      return "  read as \(nearest.modelType), the first thing that is missing: \(error)"
    }
  }

  private func language(_ sizes: DecoderConfiguration) -> [(String, String)] {
    [
      ("language model", "\(sizes.layers) layers of \(sizes.hidden), feed-forward \(sizes.intermediate)"),
      ("heads", "\(sizes.heads) of \(sizes.headWidth), \(sizes.keyValueHeads) for keys and values"),
      ("vocabulary", "\(sizes.vocabulary) rows\(sizes.tiedHead ? ", head tied" : "")"),
      ("positions", "\(sizes.maximumPositions)"),
      ("cache", "\(megabytes(sizes.cacheBytes(tokens: 4096))) for 4,096 tokens"),
    ]
  }

  private func sight(_ vision: any VisionModel) -> [(String, String)] {
    let plan = vision.imagePlan
    let pictures: String =
      switch plan.sizing {
      case .own(let factor, let least, let most):
        "\(least) to \(most) pixels, \(least / factor / factor) to \(most / factor / factor) visual tokens; "
          + "\(megabytes(vision.passBytes(patches: plan.mostPatches()))) to encode the largest"
      case .fixed(let height, let width): "resized to \(width)×\(height)"
      case .shortestEdge(let edge, let height, let width):
        "shorter side \(edge), \(width)×\(height) cut from the middle"
      }
    return [("vision tower", vision.summary), ("pictures", pictures)]
  }

  private func defaults(_ target: TargetModel) -> [(String, String)] {
    let defaults = target.defaults
    let ends = defaults.endOfSequence.sorted().map { "\($0) \(target.tokenizer.shown($0))" }
    let unheeded = defaults.unheeded.map { "; not heeded: \($0.keys.joined(separator: ", "))" } ?? ""
    return [
      ("end of sequence", ends.joined(separator: ", ")),
      (
        "generation",
        "temperature \(defaults.temperature), top-k \(defaults.topK), top-p \(defaults.topP), repetition penalty \(defaults.repetitionPenalty)\(unheeded)"
      ),
    ]
  }

  /// What `massv.json` says, where the folder is a multimodal drafter.
  private func drafter() throws -> [(String, String)] {
    guard let massv = try ConfigReader.optional(path: model + "/massv.json") else { return [] }
    let family = try massv.text("family") ?? "?"
    let trained = try massv.text("trained_for").map { ", trained for \($0)" } ?? ""
    return [("MASSV drafter", "for targets of \(family) with features of \(try massv.count("vision_width"))\(trained)")]
  }

  /// Packed weights, caches and prompts of four records of 1,024 prompt tokens and 128 more, and what reading the picture and
  /// the prompt of one of them takes: the memory of the one is kept for the other.
  private func memory(_ target: TargetModel) -> [(String, String)] {
    let sizes = target.language.configuration
    let weights =
      target.language.memoryBytes + (target.vision?.linears.reduce(0) { $0 + $1.weight.byteCount } ?? 0)
      + ((try? FileManager.default.attributesOfItem(atPath: model + "/projector.safetensors"))?[.size] as? Int ?? 0)
    let records = 4 * (sizes.cacheBytes(tokens: 1024 + 128) + 1024 * sizes.hidden * 4)
    let picture = target.vision.map { $0.passBytes(patches: $0.imagePlan.mostPatches(visualTokens: 1024)) } ?? 0
    let pass = picture + target.language.passBytes(tokens: 1024)
    return [
      ("in memory", "\(megabytes(weights)) of weights as \(self.weights)"),
      (
        "a run's peak",
        "about \(megabytes(weights + records + pass + Self.process)) for 4 records in flight of 1,024 prompt tokens;"
          + " a drafter's comes on top"
      ),
    ]
  }

  /// The tool itself with its libraries and the tokenizer, which are here as they are in a run, and a run's buffers.
  private static var process: Int {
    // Not getrusage: what it says of the most memory outlives exec, and would be that of whoever started this.
    let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
    return (line?.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int($0) } ?? 24_000) * 1024 + 16_000_000
  }

  private func megabytes(_ bytes: Int) -> String { String(format: "%.1f MB", Double(bytes) / 1e6) }
}
