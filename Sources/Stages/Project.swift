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
      guard let visual = record[Field.features], let projector = drafter.model?.projector,
        let vision = drafter.target.target.vision
      else { return }
      guard visual.features.columns == projector.inputs else {
        throw StageFailure(stage: "project", message: "expected features of the drafter's target")
      }
      let projected = try record.oncePerPicture(work) {
        projector([(visual.features, vision.visualGrid(visual.grid))], drafter.target.engine)
      }
      record[Field.projected] = projected
    }
  }
}
