import Foundation
import Tensors

/// How pictures are cut into what a vision tower reads.
package struct PatchLayout: Sendable, Equatable {
  /// A patch's side in pixels.
  package var size: Int
  /// Patches a side that are read one behind the other and become one visual token.
  package var merge: Int
  /// How often a patch is repeated along time.
  package var frames: Int

  package init(size: Int, merge: Int = 1, frames: Int = 1) {
    self.size = size
    self.merge = merge
    self.frames = frames
  }

  /// Numbers of one patch.
  package var width: Int { 3 * frames * size * size }
}

/// What a model's processor files say about pictures: how large they become and how pixels become numbers.
package struct ImagePlan: Sendable, Equatable {
  /// How a picture's size is chosen.
  package enum Sizing: Sendable, Equatable {
    /// Near its own size: sides are multiples of `factor`, the area is within limits (transformers' `smart_resize`).
    case own(factor: Int, minimumPixels: Int, maximumPixels: Int)
    /// Always this size, whatever that does to its shape.
    case fixed(height: Int, width: Int)
    /// The shorter side becomes this long; then the middle of this size is cut out.
    case shortestEdge(Int, cropHeight: Int, cropWidth: Int)
  }
  package var sizing: Sizing
  package var layout: PatchLayout
  package var mean: [Float]
  package var deviation: [Float]
  package var rescale: Double
  /// Pillow's number of the resize filter: 2 bilinear, 3 bicubic, 1 Lanczos.
  package var resample: Int

  /// What a picture is brought to: resized, and a part of that cut out.
  package struct Target: Sendable, Equatable {
    package var height: Int
    package var width: Int
    /// The part that is used, within the resized picture.
    package var top: Int
    package var left: Int
    package var usedHeight: Int
    package var usedWidth: Int
  }

  /// The settings that a folder's processor files hold.
  package static func settings(folder: String) throws(ModelError) -> ConfigReader {
    // The newer file, as transformers 5 has it where both are there.
    let processor = try ConfigReader.optional(path: folder + "/processor_config.json")
    if let settings = processor?.object("image_processor") { return settings }
    let older = try ConfigReader.optional(path: folder + "/preprocessor_config.json")
    guard let settings = older ?? processor else {
      throw ModelError("\(folder): expected preprocessor_config.json or processor_config.json, found neither")
    }
    return settings
  }

  /// CLIP's own colour statistics.
  package static let clipColours = (
    mean: [0.48145466, 0.4578275, 0.40821073], deviation: [0.26862954, 0.26130258, 0.27577711]
  )

  /// Reads what all families have: colours and filter.
  package init(
    _ settings: ConfigReader, sizing: Sizing, layout: PatchLayout, resample fallback: Int = 3,
    colours: (mean: [Double], deviation: [Double]) = clipColours
  ) throws(ModelError) {
    self.sizing = sizing
    self.layout = layout
    let isNormalised = try settings.flag("do_normalize", default: true)
    let (means, deviations) = (
      try settings.numbers("image_mean", count: 3, default: colours.mean),
      try settings.numbers("image_std", count: 3, default: colours.deviation)
    )
    mean = isNormalised ? means.map { Float($0) } : [0, 0, 0]
    deviation = isNormalised ? deviations.map { Float($0) } : [1, 1, 1]
    let factor = try settings.number("rescale_factor", default: 1 / 255)
    rescale = try settings.flag("do_rescale", default: true) ? factor : 1
    guard try settings.flag("do_resize", default: true) else { throw settings.invalid("do_resize", expected: "true") }
    guard deviation.allSatisfy({ $0 > 0 }) else { throw settings.invalid("image_std", expected: "numbers above 0") }
    let filter = try settings.integers("resample") ?? [fallback]
    guard filter.count == 1, (1...3).contains(filter[0]) else {
      throw settings.invalid("resample", expected: "1, 2 or 3")
    }
    resample = filter[0]
  }

  /// A plan of Qwen2-VL's kind; defaults are those of Qwen2VLImageProcessor.
  ///
  /// - Parameter limit: pixels beyond which pictures are made smaller though the settings allow more, nil for none.
  package static func own(
    _ settings: ConfigReader, layout: PatchLayout, atMost limit: Int? = nil
  ) throws(ModelError) -> ImagePlan {
    for (key, value) in [
      ("patch_size", layout.size), ("merge_size", layout.merge), ("temporal_patch_size", layout.frames),
    ]
    where try settings.count(key, default: value) != value {
      throw settings.invalid(key, expected: "\(value), as in config.json")
    }
    let size = settings.object("size")
    let smallest = try size?.count("shortest_edge", default: 3136, atMost: 1 << 30) ?? 3136
    let largest = try size?.count("longest_edge", default: 1_003_520, atMost: 1 << 30) ?? 1_003_520
    let minimum = try settings.count("min_pixels", default: smallest, atMost: 1 << 30)
    let maximum = try settings.count("max_pixels", default: largest, atMost: 1 << 30)
    guard minimum <= maximum else {
      throw settings.invalid("max_pixels", expected: "at least min_pixels, \(minimum)")
    }
    guard minimum <= Self.largestArea / 2 else {
      throw settings.invalid("min_pixels", expected: "at most \(Self.largestArea / 2)")
    }
    if let limit, limit < minimum {
      throw ModelError("max-pixels: expected at least \(minimum), as \(settings.place) has it, found \(limit)")
    }
    let most = min(maximum, limit ?? maximum)
    return try ImagePlan(
      settings, sizing: .own(factor: layout.size * layout.merge, minimumPixels: minimum, maximumPixels: most),
      layout: layout)
  }

  /// Pixels that any picture may become: beyond, its patches alone would take more than a gigabyte.
  private static let largestArea = 1 << 25

  /// What a picture is brought to.
  ///
  /// - Throws: where a plan of the `own` kind meets a side more than 200 times the other, and for pictures too large.
  package func target(height: Int, width: Int) throws(ModelError) -> Target {
    let target = try unboundedTarget(height: height, width: width)
    guard target.height * target.width <= Self.largestArea else {
      throw ModelError(
        "expected at most \(Self.largestArea) pixels once resized, found \(target.width)×\(target.height)")
    }
    return target
  }

  /// The patches of the largest picture that becomes at most so many visual tokens, where the plan leaves a choice.
  package func mostPatches(visualTokens: Int = .max) -> Int {
    switch sizing {
    case .own(let factor, _, let most):
      min(max(1, min(most, Self.largestArea) / factor / factor), visualTokens) * layout.merge * layout.merge
    case .fixed(let height, let width), .shortestEdge(_, let height, let width):
      height / layout.size * (width / layout.size)
    }
  }

  private func unboundedTarget(height: Int, width: Int) throws(ModelError) -> Target {
    switch sizing {
    case .own(let factor, let minimum, let maximum):
      let size = try Self.smartResize(
        height: height, width: width, factor: factor, minimumPixels: minimum, maximumPixels: maximum)
      return Target(
        height: size.height, width: size.width, top: 0, left: 0, usedHeight: size.height, usedWidth: size.width)
    case .fixed(let fixedHeight, let fixedWidth):
      return Target(
        height: fixedHeight, width: fixedWidth, top: 0, left: 0, usedHeight: fixedHeight, usedWidth: fixedWidth)
    case .shortestEdge(let edge, let cropHeight, let cropWidth):
      let (short, long) = (min(height, width), max(height, width))
      // In whole numbers, as the reference's int(size * long / short).
      let longer = Int(Double(edge * long) / Double(short))
      guard longer <= 1 << 16 else {
        throw ModelError(
          "expected a longer side of at most \(1 << 16) once resized, found \(longer) of \(width)×\(height)")
      }
      let (newHeight, newWidth) = height <= width ? (edge, longer) : (longer, edge)
      return Target(
        height: newHeight, width: newWidth, top: (newHeight - cropHeight) / 2, left: (newWidth - cropWidth) / 2,
        usedHeight: cropHeight, usedWidth: cropWidth)
    }
  }

  /// The size a picture is brought to: transformers' `smart_resize`, with Python's rounding of halves to even.
  ///
  /// - Throws: where one side is more than 200 times the other.
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
