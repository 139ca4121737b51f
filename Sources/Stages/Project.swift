import Models
import Pipeline
import Tensors

/// `project`: the encoder's features through the drafter's own projector. A drafter without one leaves records as they
/// are; the target's projector is part of the target and runs where its prompt is read.
enum Project {
  static let definition = StageDefinition(
    StageDeclaration(
      "project", .link, "the encoder's features through the drafter's projector",
      reads: [Field.features.name], uses: [Field.sampling.name], writes: [Field.projected.name],
      parameters: [ParameterDeclaration("model", .reference("drafter"), "the drafter")])
  ) { inputs, context throws(RunFailure) in
    let drafter: DrafterResource = inputs.arguments.resource("model")
    let work = SharedWork()
    return Transform("project", upstream: inputs.upstream, meter: context.meter) { record throws(StageFailure) in
      guard let visual = record[Field.features], drafter.model?.projector != nil else { return }
      record[Field.projected] = try record.oncePerPicture(work) { () throws(StageFailure) in
        try drafter.projected(visual, stage: "project")
      }
    }
  }
}

extension DrafterResource {
  /// The encoder's features at the drafter's width; nil where it has no projector.
  ///
  /// - Parameter stage: who asks, for messages.
  func projected(_ visual: VisualFeatures, stage: String) throws(StageFailure) -> Tensor? {
    guard let projector = model?.projector, let vision = target.target.vision else { return nil }
    guard visual.features.columns == projector.inputs else {
      throw StageFailure(stage: stage, message: "expected features of the drafter's target")
    }
    return projector([(visual.features, vision.visualGrid(visual.grid))], target.engine)
  }
}
