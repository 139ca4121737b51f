import Models
import Pipeline
import Speculation
import Tensors

/// `let NAME = model path=…`: a target, loaded, and the processors it computes on.
struct ModelResource: Sendable {
  let target: TargetModel
  let engine: Engine

  static let weightsParameter = ParameterDeclaration(
    "weights", .choice(["stored"] + WeightFormat.allCases.map(\.rawValue)), default: "stored",
    "what products are computed with; with q4, embeddings, head and vision tower have q8")

  static let definition = ResourceDefinition(
    "model", "a target model: a folder as Hugging Face lays it out",
    parameters: [
      ParameterDeclaration("path", .path(optional: false), "the model's folder, or its .gguf file"),
      ParameterDeclaration(
        "vision", .path(optional: true), default: "none", "the mmproj .gguf file that belongs to a .gguf model"),
      weightsParameter,
    ]
  ) { arguments, context throws(RunFailure) in
    let engine = Engine(threads: context.options.threads)
    let target = try loading {
      try TargetModel(
        ModelFiles(
          path: arguments.text("path"), vision: arguments.optionalText("vision"), format: format(arguments),
          engine: engine))
    }
    return ModelResource(target: target, engine: engine)
  }

  /// nil for as stored.
  static func format(_ arguments: Arguments) -> WeightFormat? { WeightFormat(rawValue: arguments.text("weights")) }
}

/// `let NAME = drafter path=… target=…`: what proposes tokens, or nothing at all.
struct DrafterResource: Sendable {
  /// nil for `path=none`.
  let model: DraftModel?
  let proposer: (any Proposer)?
  let target: ModelResource

  static let definition = ResourceDefinition(
    "drafter", "a drafter for a target: a MASSV folder, a plain language model, or none",
    parameters: [
      ParameterDeclaration("path", .path(optional: true), "the drafter's folder or .gguf file, or none"),
      ParameterDeclaration("target", .reference("model"), "the model it drafts for"),
      ModelResource.weightsParameter,
    ]
  ) { arguments, _ throws(RunFailure) in
    let target: ModelResource = arguments.resource("target")
    guard let path = arguments.optionalText("path") else {
      return DrafterResource(model: nil, proposer: nil, target: target)
    }
    let model = try loading {
      try DraftModel(
        ModelFiles(path: path, format: ModelResource.format(arguments), engine: target.engine), for: target.target)
    }
    return DrafterResource(model: model, proposer: LanguageModelProposer(model.language), target: target)
  }
}

/// Whatever goes wrong with a model's files ends the run before it begins.
private func loading<R>(_ body: () throws -> R) throws(RunFailure) -> R {
  do { return try body() } catch { throw RunFailure(.unreadable, "\(error)") }
}
