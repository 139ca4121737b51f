/// How pixels become the numbers a vision tower reads.
package struct PixelScale: Sendable, Equatable {
  /// Multiplies the bytes: 1/255.
  package var rescale: Double
  /// One number a colour, red first.
  package var mean: [Float]
  package var deviation: [Float]

  package init(rescale: Double, mean: [Float], deviation: [Float]) {
    self.rescale = rescale
    self.mean = mean
    self.deviation = deviation
  }

  /// The number for every byte of every colour: [3][256].
  ///
  /// As the reference computes it: the product in double precision, rounded to single, then mean and deviation in
  /// single precision.
  var table: [Float] {
    (0..<3).flatMap { colour in
      (0..<256).map { (Float(Double($0) * rescale) - mean[colour]) / deviation[colour] }
    }
  }
}

extension Picture {
  /// Cuts the picture into patches in the order of Qwen2-VL's processor: `merge`² neighbours one behind the other.
  ///
  /// - Parameters:
  ///   - size: a patch's side. What is left at the right and the bottom of a picture whose sides are no multiples of
  ///     size * merge is not used.
  ///   - merge: patches a side that become one visual token.
  ///   - frames: how often each patch is repeated along time.
  /// - Returns: [patches][colour][frame][row][column], patches * 3 * frames * size² numbers.
  package func mergedPatches(size: Int, merge: Int, frames: Int, scale: PixelScale) -> [Float] {
    let table = scale.table
    let plane = size * size
    let corners = patchCorners(size: size, merge: merge)
    return [Float](unsafeUninitializedCapacity: corners.count * plane * 3 * frames) { out, filled in
      var at = 0
      for (top, left) in corners {
        for colour in 0..<3 {
          for row in 0..<size {
            var source = ((top + row) * width + left) * 3 + colour
            for column in 0..<size {
              out[at + row * size + column] = table[colour * 256 + Int(rgb[source])]
              source += 3
            }
          }
          for frame in 0..<frames where frame > 0 {
            for i in 0..<plane { out[at + frame * plane + i] = out[at + i] }
          }
          at += plane * frames
        }
      }
      filled = at
    }
  }

  /// The patches' upper left corners in merge order.
  private func patchCorners(size: Int, merge: Int) -> [(top: Int, left: Int)] {
    let unit = size * merge
    var corners: [(Int, Int)] = []
    corners.reserveCapacity(width * height / (size * size))
    for unitTop in stride(from: 0, through: height - unit, by: unit) {
      for unitLeft in stride(from: 0, through: width - unit, by: unit) {
        for row in 0..<merge {
          for column in 0..<merge { corners.append((unitTop + row * size, unitLeft + column * size)) }
        }
      }
    }
    return corners
  }
}
