import Messages
import Models
import Pipeline
import Speculation
import Tensors

/// `let NAME = model path=…`: a target, loaded, and the processors it computes on.
struct ModelResource: Sendable {
  let target: TargetModel
  let engine: Engine
  /// The `mmproj` file of a GGUF model, nil where there is none.
  let visionPath: String?
  /// What products are computed with, as the pipe says it.
  let weights: String
  /// Pixels that a picture is brought to at most, nil for what the model's processor says.
  let maximumPixels: Int?
  /// All weights, of a model in training.
  var parameters: ParameterSet?

  static let weightsParameter = ParameterDeclaration(
    "weights", .choice(["stored"] + WeightFormat.allCases.map(\.rawValue)), default: "stored",
    "what products are computed with; with q4, embeddings, head, vision tower and a few more have q8")

  static let cacheParameter = ParameterDeclaration(
    "kv", .choice(["auto", "f32", "f16"]), default: "auto",
    "what keys and values are kept as; auto is f16 beside quantised weights, else f32")

  static let definition = ResourceDefinition(
    "model", "a target model: a folder as Hugging Face lays it out",
    parameters: [
      ParameterDeclaration("path", .path(optional: false), "the model's folder, or its .gguf file"),
      ParameterDeclaration(
        "vision", .path(optional: true), default: "none", "the mmproj .gguf file that belongs to a .gguf model"),
      weightsParameter, cacheParameter,
      ParameterDeclaration(
        "max-pixels", .integerOrAuto(1...(1 << 30)), default: "auto",
        "pixels that a picture is brought to at most, where its own size counts; auto is what the processor's file says"
      ),
      ParameterDeclaration(
        "trained", .flag, default: "false", "it shall be trained itself; a folder without weights gets random ones"),
      ParameterDeclaration("seed", .integer(0...Int.max), default: "0", "what random weights are drawn from"),
      ParameterDeclaration(
        "tower", .path(optional: true), default: "none", "whose vision tower they come with, a model's folder"),
    ]
  ) { arguments, context throws(RunFailure) in
    let engine = Engine(threads: context.options.threads)
    let visionPath = arguments.optionalText("vision")
    let parameters = arguments.flag("trained") ? ParameterSet() : nil
    if parameters == nil, arguments.optionalText("tower") != nil {
      throw RunFailure(.usage, "model: \"tower\" is for trained=true alone")
    }
    if parameters != nil { try checkTrained(arguments) }
    let target = try loading {
      if let parameters {
        let seed = UInt64(arguments.integer("seed"))
        var files = try ModelFiles(
          path: arguments.text("path"), engine: engine, parameters: parameters, seed: seed,
          tower: arguments.optionalText("tower"))
        files.maximumPixels = arguments.optionalInteger("max-pixels")
        return try TargetModel(files)
      }
      var files = try files(arguments, vision: visionPath, engine)
      files.maximumPixels = arguments.optionalInteger("max-pixels")
      return try TargetModel(files)
    }
    if let limit = arguments.optionalInteger("max-pixels") { try check(limit, target) }
    return ModelResource(
      target: target, engine: engine, visionPath: visionPath, weights: arguments.text("weights"),
      maximumPixels: arguments.optionalInteger("max-pixels"), parameters: parameters)
  }

  /// Pictures that all become one size have no largest.
  private static func check(_ maximumPixels: Int, _ target: TargetModel) throws(RunFailure) {
    if case .own? = target.vision?.imagePlan.sizing { return }
    throw RunFailure(
      .usage,
      "model: max-pixels: expected a model that sees pictures at their own size, such as Qwen2.5-VL, found "
        + "\(target.folder) (\(target.family.modelType))")
  }

  /// A model in training computes in f32, and is saved as a folder.
  private static func checkTrained(_ arguments: Arguments) throws(RunFailure) {
    let path = arguments.text("path")
    if path.hasSuffix(".gguf") {
      throw RunFailure(.usage, "model: trained=true: \(path): expected a folder as Hugging Face lays it out")
    }
    let ignored = [
      ("weights", arguments.text("weights") == "stored"), ("kv", arguments.text("kv") == "auto"),
      ("vision", arguments.optionalText("vision") == nil),
    ]
    if let (name, _) = ignored.first(where: { !$0.1 }) {
      throw RunFailure(.usage, "model: \"\(name)\" is not for trained=true: it computes in f32 and has its own tower")
    }
  }

  /// The half of the target that sees.
  ///
  /// - Parameter stage: who needs it.
  func sight(for stage: String) throws(RunFailure) -> any VisionModel {
    if let vision = target.vision { return vision }
    let hint =
      target.folder.hasSuffix(".gguf")
      ? ": vision=FILE names the mmproj file of one that sees"
      : ": expected one that sees; pipelines/generate.pipe is for text"
    throw RunFailure(
      .usage, "\(stage): \(target.folder) is a plain language model (\(target.family.modelType))\(hint)")
  }

  /// The files that a model's or drafter's arguments name.
  static func files(_ arguments: Arguments, vision: String? = nil, _ engine: Engine) throws -> ModelFiles {
    try ModelFiles(
      path: arguments.text("path"), vision: vision, format: WeightFormat(rawValue: arguments.text("weights")),
      cacheType: ElementType(rawValue: arguments.text("kv").uppercased()), engine: engine)
  }
}

/// `let NAME = drafter path=… target=…`: what proposes tokens, or nothing at all.
struct DrafterResource: Sendable {
  /// nil for `path=none` and `path=ngram`.
  let model: DraftModel?
  let proposer: (any Proposer)?
  let target: ModelResource

  static let definition = ResourceDefinition(
    "drafter", "a drafter for a target: a MASSV folder, a plain language model, prompt lookup, or none",
    parameters: [
      ParameterDeclaration(
        "path", .path(optional: true),
        "the drafter's folder or .gguf file; ngram to look up what followed before; or none"),
      ParameterDeclaration("target", .reference("model"), "the model it drafts for"),
      ModelResource.weightsParameter, ModelResource.cacheParameter,
    ]
  ) { arguments, _ throws(RunFailure) in
    let target: ModelResource = arguments.resource("target")
    guard let path = arguments.optionalText("path") else {
      return DrafterResource(model: nil, proposer: nil, target: target)
    }
    if path == "ngram" { return DrafterResource(model: nil, proposer: NGramProposer(), target: target) }
    let model = try loading {
      try DraftModel(ModelResource.files(arguments, target.engine), for: target.target)
    }
    let proposer = LanguageModelProposer(model.language) {
      complain("\(path): the drafter's logits are no numbers: what it proposes is worth nothing")
    }
    return DrafterResource(model: model, proposer: proposer, target: target)
  }
}

/// Whatever goes wrong with a model's files ends the run before it begins.
func loading<R>(_ body: () throws -> R) throws(RunFailure) -> R {
  do { return try body() } catch { throw RunFailure(.unreadable, "\(error)") }
}
