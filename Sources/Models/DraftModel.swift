import Tensors

/// A drafter: a small language model that shares the target's vocabulary and, in a MASSV drafter, its picture.
package struct DraftModel: Sendable {
  package let folder: String
  package let language: any LanguageModel
  /// Brings the target's features to the drafter's width; nil for drafting from text alone.
  package let projector: Projector?

  /// Loads a drafter's folder and checks that it fits its target.
  ///
  /// - Throws: where vocabularies differ, naming the first token that does, or the projector reads other features.
  package init(_ folder: ModelFiles, for target: TargetModel, projector source: ProjectorSource = .folder()) throws {
    self.folder = folder.path
    let tokenizer = try folder.tokenizer()
    if let id = tokenizer.firstDifference(from: target.tokenizer) {
      throw ModelError(
        "\(folder.path): drafter and target must share a vocabulary: token \(id) is \(tokenizer.shown(id)) here and "
          + "\(target.tokenizer.shown(id)) in \(target.folder)")
    }
    let parts = try folder.family.load(folder)
    guard parts.vision == nil else {
      throw folder.config.invalid("model_type", expected: "a plain language model to draft with")
    }
    language = parts.language
    try tokenizer.check(rows: language.configuration.vocabulary, of: folder.path)
    switch source {
    case .none: projector = nil
    case .fresh(let settings, let seed, let parameters):
      projector = try Projector(fresh: settings, seed: seed, wordScale: parts.language.wordScale, parameters)
    case .folder(let parameters):
      projector = try Self.projector(folder, hidden: parts.language.configuration.hidden, target, parameters)
    }
  }

  private static func projector(
    _ folder: ModelFiles, hidden: Int, _ target: TargetModel, _ parameters: ParameterSet?
  ) throws -> Projector? {
    guard let massv = try ConfigReader.optional(path: folder.path + "/massv.json") else { return nil }
    guard let vision = target.vision else {
      throw ModelError("\(massv.place): a multimodal drafter needs a target that sees, \(target.folder) does not")
    }
    if let family = try massv.text("family"), family != target.family.modelType {
      throw massv.invalid("family", expected: "the target's, \"\(target.family.modelType)\"")
    }
    let projector = try Projector(
      ProjectorSettings(massv, outputs: hidden),
      WeightLoader(WeightStore(folder: folder.path, name: "projector"), folder.engine, parameters: parameters))
    guard projector.inputs == vision.featureWidth else {
      throw massv.invalid(
        "vision_width", expected: "the width of the target's features, \(vision.featureWidth)")
    }
    return projector
  }
}
