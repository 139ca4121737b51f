import Models
import Pipeline
import Tensors
import Training

/// `let NAME = student path=… target=…`: what is trained, with its weights in 32-bit floats.
struct StudentResource: Sendable {
  let student: Student
  /// The folder that it came from.
  let folder: String
  let target: ModelResource

  static let definition = ResourceDefinition(
    "student",
    "what is trained: a language model that gets a projector, a MASSV folder, or with path=none the target itself",
    parameters: [
      ParameterDeclaration(
        "path", .path(optional: true), "the folder of the language model, or of the drafter; none for the target itself"
      ),
      ParameterDeclaration("target", .reference("model"), "the model that it shall draft for"),
      ParameterDeclaration(
        "projector", .choice(["auto", "none"] + ProjectorSettings.Kind.allCases.map(\.rawValue)), default: "auto",
        "auto is the folder's own, else a new mlp; a kind is a new one; none learns from text alone"),
      ParameterDeclaration(
        "hidden", .integerOrAuto(1...(1 << 16)), default: "auto", "width within a new projector; auto is the drafter's"),
      ParameterDeclaration("layers", .integer(1...16), default: "2", "linear layers of a new mlp"),
      ParameterDeclaration(
        "pool", .integer(1...64), default: "1", "squares of so many visual tokens a side become one"),
      ParameterDeclaration("queries", .integer(1...4096), default: "16", "visual tokens that a new resampler makes"),
      ParameterDeclaration("output-norm", .flag, default: "true", "a norm at the end of a new projector"),
      ParameterDeclaration(
        "seed", .integer(0...Int.max), default: "0", "what a new projector's weights are drawn from"),
    ]
  ) { arguments, _ throws(RunFailure) in
    let target: ModelResource = arguments.resource("target")
    return try loading { try load(arguments, target) }
  }

  private static func load(_ arguments: Arguments, _ target: ModelResource) throws -> StudentResource {
    guard let path = arguments.optionalText("path") else { return try itself(target) }
    guard !path.hasSuffix(".gguf") else {
      throw ModelError("\(path): a drafter is trained from a folder as Hugging Face lays it out, not from a GGUF file")
    }
    let (words, visual) = (ParameterSet(), ParameterSet())
    let seed = UInt64(arguments.integer("seed"))
    let files = try ModelFiles(path: path, engine: target.engine, parameters: words, seed: seed)
    let source = try projectorSource(arguments, files, target.target, visual)
    let model = try DraftModel(files, for: target.target, projector: source)
    return StudentResource(
      student: Student(
        language: model.language, sight: model.projector.map { .projector($0) } ?? .none, modelParameters: words,
        projectorParameters: visual),
      folder: path, target: target)
  }

  /// The target in training, with the tower that it sees with.
  private static func itself(_ target: ModelResource) throws -> StudentResource {
    guard let parameters = target.parameters else {
      throw ModelError("\(target.target.folder): to train the target itself, say \"trained=true\" where it is loaded")
    }
    var sight = Student.Sight.none
    if let vision = target.target.vision {
      guard let tower = vision as? any TrainableVision else {
        throw ModelError(
          "\(target.target.folder): the tower of \(target.target.family.modelType) cannot be trained; those of qwen2_5_vl and gemma3 can"
        )
      }
      sight = .tower(tower)
    }
    return StudentResource(
      student: Student(language: target.target.language, sight: sight, modelParameters: parameters),
      folder: target.target.folder, target: target)
  }

  private static func projectorSource(
    _ arguments: Arguments, _ files: ModelFiles, _ target: TargetModel, _ parameters: ParameterSet
  ) throws -> ProjectorSource {
    let asked = arguments.text("projector")
    if asked == "none" { return .none }
    if asked == "auto", try ConfigReader.optional(path: files.path + "/massv.json") != nil {
      return .folder(parameters)
    }
    guard let vision = target.vision else {
      throw ModelError("\(target.folder): does not see: a student of it has projector=none")
    }
    let width = try files.family.width(files.config)
    var settings = ProjectorSettings(
      inputs: vision.featureWidth, outputs: width, hidden: arguments.optionalInteger("hidden") ?? width)
    settings.kind = ProjectorSettings.Kind(rawValue: asked) ?? .mlp
    settings.layers = settings.kind == .linear ? 1 : arguments.integer("layers")
    settings.pool = arguments.integer("pool")
    settings.queries = arguments.integer("queries")
    settings.hasOutputNorm = arguments.flag("output-norm")
    return .fresh(settings, seed: UInt64(arguments.integer("seed")), parameters)
  }
}
