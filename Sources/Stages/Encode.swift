import Images
import Models
import Pipeline
import Tensors

/// `encode`: pixels through the target's frozen vision encoder.
enum Encode {
  static let definition = StageDefinition(
    StageDeclaration(
      "encode", .link, "the picture through the target's frozen vision encoder",
      reads: [Field.image.name], uses: [Field.sampling.name], writes: [Field.features.name],
      parameters: [ParameterDeclaration("model", .reference("model"), "the target")])
  ) { inputs, context throws(RunFailure) in
    let resource: ModelResource = inputs.arguments.resource("model")
    let vision = try resource.sight(for: "encode")
    let work = SharedWork()
    return Transform("encode", upstream: inputs.upstream, meter: context.meter) { record throws(StageFailure) in
      guard let picture = record[Field.image] else { return }
      let found = try record.oncePerPicture(work) { () throws(StageFailure) -> VisualFeatures in
        context.meter.count("encoded")
        let patches: PicturePatches
        do { patches = try vision.patches(of: picture) } catch {
          throw StageFailure(stage: "encode", message: "\(error)")
        }
        let features = vision.features(patches.values, grid: patches.grid, resource.engine)
        return VisualFeatures(features: features, grid: patches.grid)
      }
      record[Field.features] = found
      record[Field.image] = nil
      record.footprint += found.byteCount - picture.rgb.count
    }
  }
}

/// A picture cut up as a vision tower reads it.
struct PicturePatches: Sendable {
  /// [patches, layout.width].
  let values: Tensor
  let grid: PatchGrid
}

extension VisionModel {
  /// The picture resized, normalised and cut into patches, as the model's processor does it.
  func patches(of picture: Picture) throws(ModelError) -> PicturePatches {
    let plan = imagePlan
    let target = try plan.target(height: picture.height, width: picture.width)
    let used = picture.resized(
      width: target.width, height: target.height, Resampling(rawValue: Int32(plan.resample)) ?? .bicubic
    ).cropped(top: target.top, left: target.left, height: target.usedHeight, width: target.usedWidth)
    let layout = plan.layout
    let scale = PixelScale(rescale: plan.rescale, mean: plan.mean, deviation: plan.deviation)
    let values = used.mergedPatches(size: layout.size, merge: layout.merge, frames: layout.frames, scale: scale)
    let grid = PatchGrid(height: used.height / layout.size, width: used.width / layout.size)
    return PicturePatches(values: Tensor(rows: grid.patches, columns: layout.width, values: values), grid: grid)
  }
}
