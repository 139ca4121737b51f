import Foundation
import Tensors

/// What a model's processor files say about pictures: how large they may be and how pixels become numbers.
package struct ImagePlan: Sendable, Equatable {
  /// Sides are multiples of this: patch size times merge size.
  package var factor: Int
  package var minimumPixels: Int
  package var maximumPixels: Int
  package var mean: [Float]
  package var deviation: [Float]
  package var rescale: Double
  /// Pillow's number of the resize filter: 2 bilinear, 3 bicubic, 1 Lanczos.
  package var resample: Int

  /// Reads `preprocessor_config.json` or `processor_config.json`; defaults are those of Qwen2VLImageProcessor.
  package init(folder: String, tower: PatchTowerConfiguration) throws(ModelError) {
    var settings = try ConfigReader.optional(path: folder + "/preprocessor_config.json")
    if settings == nil {
      let processor = try ConfigReader.optional(path: folder + "/processor_config.json")
      settings = processor?.object("image_processor") ?? processor
    }
    guard let settings else {
      throw ModelError("\(folder): expected preprocessor_config.json or processor_config.json, found neither")
    }
    for (key, value) in [
      ("patch_size", tower.patchSize), ("merge_size", tower.mergeSize),
      ("temporal_patch_size", tower.temporalPatchSize),
    ] where try settings.count(key, default: value) != value {
      throw settings.invalid(key, expected: "\(value), as in config.json")
    }
    factor = tower.patchSize * tower.mergeSize
    let size = settings.object("size")
    let smallest = try size?.count("shortest_edge", default: 3136) ?? 3136
    let largest = try size?.count("longest_edge", default: 12_845_056) ?? 12_845_056
    minimumPixels = try settings.count("min_pixels", default: smallest)
    maximumPixels = try settings.count("max_pixels", default: largest)
    let clipMean = [0.48145466, 0.4578275, 0.40821073]
    let clipDeviation = [0.26862954, 0.26130258, 0.27577711]
    mean = try settings.numbers("image_mean", count: 3, default: clipMean).map { Float($0) }
    deviation = try settings.numbers("image_std", count: 3, default: clipDeviation).map { Float($0) }
    rescale = try settings.number("rescale_factor", default: 1 / 255)
    resample = try settings.count("resample", default: 3)
    guard deviation.allSatisfy({ $0 > 0 }) else { throw settings.invalid("image_std", expected: "numbers above 0") }
    guard (1...3).contains(resample) else { throw settings.invalid("resample", expected: "1, 2 or 3") }
    guard minimumPixels <= maximumPixels else {
      throw settings.invalid("max_pixels", expected: "at least min_pixels, \(minimumPixels)")
    }
  }

  /// The size a picture is brought to: transformers' `smart_resize`, with Python's rounding of halves to even.
  ///
  /// - Throws: where one side is more than 200 times the other.
  package func targetSize(height: Int, width: Int) throws(ModelError) -> (height: Int, width: Int) {
    try Self.smartResize(
      height: height, width: width, factor: factor, minimumPixels: minimumPixels, maximumPixels: maximumPixels)
  }

  package static func smartResize(
    height: Int, width: Int, factor: Int, minimumPixels: Int, maximumPixels: Int
  ) throws(ModelError) -> (height: Int, width: Int) {
    guard Double(max(height, width)) / Double(min(height, width)) <= 200 else {
      throw ModelError("expected sides within a ratio of 200, found \(width)×\(height)")
    }
    let unit = Double(factor)
    func nearest(_ side: Int) -> Int { Int((Double(side) / unit).rounded(.toNearestOrEven)) * factor }
    var newHeight = nearest(height)
    var newWidth = nearest(width)
    let area = Double(height * width)
    if newHeight * newWidth > maximumPixels {
      let beta = (area / Double(maximumPixels)).squareRoot()
      newHeight = max(factor, Int((Double(height) / beta / unit).rounded(.down)) * factor)
      newWidth = max(factor, Int((Double(width) / beta / unit).rounded(.down)) * factor)
    } else if newHeight * newWidth < minimumPixels {
      let beta = (Double(minimumPixels) / area).squareRoot()
      newHeight = Int((Double(height) * beta / unit).rounded(.up)) * factor
      newWidth = Int((Double(width) * beta / unit).rounded(.up)) * factor
    }
    return (newHeight, newWidth)
  }
}
