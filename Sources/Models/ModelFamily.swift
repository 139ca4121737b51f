import Foundation
import Tensors

/// A user's turn as a chat template sees it.
package struct ChatTurn: Sendable {
  package var text: String
  /// Replaces the template's own system line; nil keeps it.
  package var system: String?
  package var hasImage: Bool

  package init(text: String, system: String? = nil, hasImage: Bool) {
    self.text = text
    self.system = system
    self.hasImage = hasImage
  }
}

/// The half of a target that sees: from patches to the language model's embeddings.
package protocol VisionModel: Sendable {
  /// How large pictures become and how pixels become numbers.
  var imagePlan: ImagePlan { get }
  /// Width of what `features` makes and a drafter's projector reads.
  var featureWidth: Int { get }
  /// The tower in a line, for people.
  var summary: String { get }
  /// The token in a prompt that stands for one visual token.
  var imageToken: Int32 { get }
  /// Every product of the tower and the projector.
  var linears: [Linear] { get }
  /// How wide a patch's row is in the tower, and what a feed-forward network makes of it in between.
  var towerWidths: (hidden: Int, inner: Int) { get }
  /// What stands for the picture in a rendered prompt.
  var placeholder: String { get }
  /// Every token that has to do with pictures: what a text-only drafter does not see.
  var imageMarkers: Set<Int32> { get }
  /// Whether the picture's tokens see each other in both directions.
  var isBidirectional: Bool { get }
  /// The visual tokens that a picture becomes, as they lie on it; a single row where they lie otherwise.
  func visualGrid(_ grid: PatchGrid) -> VisualGrid
  /// What the tokenizer reads in the placeholder's place.
  func expansion(visualTokens: Int) -> String
  /// The frozen encoder: patches [patches, layout.width] → features [visual tokens, featureWidth].
  func features(_ patches: Tensor, grid: PatchGrid, _ engine: Engine) -> Tensor
  /// The target's own projector: features → [visual tokens, language width].
  func project(_ features: Tensor, _ engine: Engine) -> Tensor
  /// Positions of a prompt with at most one picture, and where generated text goes on.
  func positions(_ tokens: [Int32], grid: PatchGrid?) -> (positions: [Position], next: Int)
}

/// A vision tower with gradients: it can be trained.
package protocol TrainableVision: VisionModel {
  /// Patches of several pictures, one behind the other → their features, each picture on its own.
  func features(_ patches: Tensor, grids: [PatchGrid], _ engine: Engine) -> Tensor
}

extension VisionModel {
  package var isBidirectional: Bool { false }

  /// How many visual tokens a picture becomes.
  package func visualTokens(_ grid: PatchGrid) -> Int { visualGrid(grid).count }

  /// Bytes that the encoder takes for a picture of so many patches, beside its weights.
  package func passBytes(patches: Int) -> Int {
    let (hidden, inner) = towerWidths
    // The patches, as pixels and as rows; a row, its query, key and value, the latter two as attention reads them as well,
    // what attention makes of them, and the row behind it.
    return 4 * (patches * (2 * imagePlan.layout.width + 8 * hidden) + min(patches, bandRows) * inner)
  }

  /// One token after the other.
  package func positions(_ tokens: [Int32], grid: PatchGrid?) -> (positions: [Position], next: Int) {
    (tokens.indices.map { Position($0) }, tokens.count)
  }
}

/// What a family makes of a model folder.
package struct ModelParts: Sendable {
  package let language: any LanguageModel
  /// nil for a plain language model.
  package let vision: (any VisionModel)?

  package init(language: any LanguageModel, vision: (any VisionModel)?) {
    self.language = language
    self.vision = vision
  }
}

/// One architecture: the `model_type` that names it, how it is loaded and how it is spoken to.
///
/// To add one: a file under `Families/` with the sections of the others in their order, and a line in `all`.
package struct ModelFamily: Sendable {
  /// `model_type` of `config.json`.
  package let modelType: String
  package let load: @Sendable (ModelFiles) throws -> ModelParts
  /// The prompt that the family's published template makes of a turn.
  package let render: @Sendable (ChatTurn) -> String
  /// The token that ends an answer in it.
  package let endOfTurn: String
  /// What a template has in it that writes such prompts; nothing where models of the architecture have all kinds.
  package let templateMarks: [String]

  /// Every family.
  package static let all: [ModelFamily] = [
    Qwen25VL.family, Qwen2.family, Gemma3.family, Gemma3Text.family, Llava.family, Llama.family,
  ]

  /// The family of this name.
  package static func named(_ modelType: String, in config: ConfigReader) throws(ModelError) -> ModelFamily {
    if let family = all.first(where: { $0.modelType == modelType }) { return family }
    let known = all.map(\.modelType).joined(separator: ", ")
    throw ModelError(
      "\(config.place): \"model_type\": expected one of \(known); found \"\(modelType)\", to which "
        + "\"\(nearest(to: modelType).modelType)\" is nearest")
  }

  /// The width of its embeddings, as a configuration has it.
  package func width(_ config: ConfigReader) throws(ModelError) -> Int {
    try (config.object("text_config") ?? config).count("hidden_size")
  }

  /// The family whose name begins most like this one.
  package static func nearest(to modelType: String) -> ModelFamily {
    all.max { $0.modelType.commonPrefix(with: modelType).count < $1.modelType.commonPrefix(with: modelType).count }
      ?? Qwen2.family
  }
}

/// A target with everything that its folder says about using it.
package struct TargetModel: Sendable {
  package let folder: String
  package let family: ModelFamily
  package let language: any LanguageModel
  package let vision: (any VisionModel)?
  package let tokenizer: Tokenizer
  package let defaults: GenerationDefaults

  /// Loads a model: configuration, weights, tokenizer, generation defaults.
  package init(_ files: ModelFiles) throws {
    folder = files.path
    family = try files.family
    defaults = try files.generationDefaults()
    tokenizer = try files.tokenizer()
    let parts = try family.load(files)
    language = parts.language
    vision = parts.vision
    try tokenizer.check(rows: language.configuration.vocabulary, of: files.path)
    // Found out now, and not by every record.
    if let vision, !tokenizer.encode(vision.expansion(visualTokens: 1)).contains(vision.imageToken) {
      throw ModelError(
        "\(files.path): expected the tokenizer to read \(vision.imageToken) in \(vision.expansion(visualTokens: 1))")
    }
  }

  /// What is to be said where the folder's chat template is another than the family's, which is applied: the file, and
  /// what prompts are instead.
  package var unusedTemplate: (file: String, instead: String)? {
    guard let (file, template) = ChatTemplate.find(folder) else { return nil }
    let marks = family.templateMarks
    if marks.isEmpty { return (file, "prompts of a plain Llama model are taken as they are") }
    return marks.allSatisfy(template.contains)
      ? nil : (file, "prompts have the form that is usual with \(family.modelType)")
  }
}
