import Models
import Tensors

/// What is trained: a language model and what it sees with.
package struct Student: Sendable {
  /// What the model sees with.
  package enum Sight: Sendable {
    /// Nothing: it learns from text alone.
    case none
    /// A drafter's projector of the target's features.
    case projector(Projector)
    /// A vision tower and projector of its own, trained with it.
    case tower(any TrainableVision)
  }

  /// Parts that can be trained.
  package enum Part: String, Sendable, CaseIterable {
    case vision, projector, language
  }

  package let language: any LanguageModel
  package let sight: Sight
  /// The weights that are saved as the model: with a tower, those of all parts.
  package let modelParameters: ParameterSet
  package let projectorParameters: ParameterSet

  package init(
    language: any LanguageModel, sight: Sight, modelParameters: ParameterSet,
    projectorParameters: ParameterSet = ParameterSet()
  ) {
    self.language = language
    self.sight = sight
    self.modelParameters = modelParameters
    self.projectorParameters = projectorParameters
  }

  package var projector: Projector? { if case .projector(let projector) = sight { projector } else { nil } }

  package var tower: (any TrainableVision)? { if case .tower(let tower) = sight { tower } else { nil } }

  /// What training changes.
  package var trained: [Parameter] { (projectorParameters.all + modelParameters.all).filter(\.isTrained) }

  /// Whether training changes what is saved as the model.
  package var changesModel: Bool { modelParameters.all.contains(where: \.isTrained) }

  /// Says which parts training changes.
  package func train(_ parts: Set<Part>) {
    for parameter in projectorParameters.all { parameter.isTrained = parts.contains(.projector) }
    for parameter in modelParameters.all { parameter.isTrained = parts.contains(Self.part(of: parameter.name)) }
  }

  /// The part that a published name belongs to.
  private static func part(of name: String) -> Part {
    if name.contains("merger.") || name.contains("multi_modal_projector.") { return .projector }
    return name.contains("visual.") || name.contains("vision_tower.") ? .vision : .language
  }

  /// Whether this is a matrix in a layer of the language model: where most weights are.
  static func isLayerMatrix(_ parameter: Parameter) -> Bool {
    part(of: parameter.name) == .language && parameter.name.contains("layers.") && parameter.shape.count == 2
  }

  /// What a batch has been read as.
  struct Reading {
    /// The last hidden states [rows, hidden], example behind example; nil where they were not asked for.
    var hidden: Tensor?
    /// What the tower made of the pictures [visual tokens, feature width], picture behind picture.
    var features: Tensor?
  }

  /// Reads examples side by side, each a sequence of its own, without padding.
  ///
  /// - Parameter onlyLooks: leaves the language model out.
  func read(_ batch: [TrainingExample], onlyLooks: Bool = false, _ engine: Engine) -> Reading {
    var reading = Reading()
    var visual: Tensor?
    switch sight {
    case .none: break
    case .projector(let projector):
      let pictures = batch.compactMap(\.features)
      if !pictures.isEmpty { visual = projector(pictures.map { (features: $0.values, grid: $0.grid) }, engine) }
    case .tower(let tower):
      let pictures = batch.compactMap(\.patches)
      if pictures.isEmpty { break }
      let features = tower.features(Tensor.stacking(pictures.map(\.values)), grids: pictures.map(\.grid), engine)
      reading.features = features
      if !onlyLooks { visual = tower.project(features, engine) }
    }
    if !onlyLooks { reading.hidden = hiddenStates(of: batch, visual, engine) }
    return reading
  }

  private func hiddenStates(of batch: [TrainingExample], _ visual: Tensor?, _ engine: Engine) -> Tensor {
    var tokens: [Int32] = []
    var places: [Int] = []
    var spans: [DecoderSpan] = []
    for example in batch {
      if let visual = example.visual { places += visual.map { tokens.count + $0 } }
      tokens += example.prompt + example.answer.dropLast()
      let bidirectional = tower?.isBidirectional == true ? example.visual : nil
      spans.append(DecoderSpan(cache: nil, positions: example.positions, bidirectional: bidirectional))
    }
    var x = language.embed(tokens, engine)
    if let visual { x = replacing(places, of: x, by: visual, engine) }
    return language.hiddenStates(x, spans: spans, engine)
  }
}
