import Tensors

/// Where the parts of a vision-language model's weights stand in a file of LLaVA's or Gemma 3's kind.
///
/// Published: `language_model.model.*`, `language_model.lm_head.*`, `vision_tower.vision_model.*`, projector at the top.
/// In memory of transformers 5: `model.language_model.*`, `lm_head.*`, `model.vision_tower.*`, with or without
/// `.vision_model`, projector under `model.`.
struct NestedNames: Sendable {
  private let isNested: Bool
  private let hasVisionModel: Bool
  private let vision: String
  private let projector: String

  init(_ store: WeightStore, vision: String, projector: String) {
    self.vision = vision
    self.projector = projector
    isNested = store.names.contains { $0.hasPrefix("model.language_model.") }
    // Weights that are made up have no names yet: they get the published ones.
    hasVisionModel = store.names.isEmpty || store.names.contains { $0.contains(vision + "vision_model.") }
  }

  /// The file's name for a name as the families' code writes it: `model.*`, `lm_head.*`, and published ones otherwise.
  func published(_ name: String) -> String {
    var name = name
    if name.hasPrefix(vision), !hasVisionModel { name = name.replacing("vision_model.", with: "") }
    if name.hasPrefix("model.") {
      return isNested ? "model.language_model." + name.dropFirst("model.".count) : "language_model." + name
    }
    if name.hasPrefix("lm_head.") { return isNested ? name : "language_model." + name }
    return isNested && (name.hasPrefix(vision) || name.hasPrefix(projector)) ? "model." + name : name
  }
}
