import Models
import Pipeline
import Tensors

/// `patch`: pixels into the patches that a vision tower reads, for training the tower itself: `encode` is for one that
/// stays as it is.
enum Patch {
  static let definition = StageDefinition(
    StageDeclaration(
      "patch", .link, "the picture's patches, for a model that is trained together with its tower",
      reads: [Field.image.name], writes: [Field.patches.name],
      parameters: [ParameterDeclaration("model", .reference("model"), "the model in training")])
  ) { inputs, context throws(RunFailure) in
    let resource: ModelResource = inputs.arguments.resource("model")
    let vision = try resource.sight(for: "patch")
    return Transform("patch", upstream: inputs.upstream, meter: context.meter) { record throws(StageFailure) in
      guard let picture = record[Field.image] else { return }
      do { record[Field.patches] = try vision.patches(of: picture) } catch {
        throw StageFailure(stage: "patch", message: "\(error)")
      }
      record[Field.image] = nil
    }
  }
}
