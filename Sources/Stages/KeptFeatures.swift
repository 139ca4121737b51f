import Models
import Tensors

/// A picture's features and size as the cache keeps them: 24 bytes of sizes, and the values bit by bit.
struct KeptFeatures {
  let visual: VisualFeatures
  /// The picture's own size.
  let width: Int
  let height: Int

  /// Grid height and width, rows, columns, picture width and height, four bytes each; nil where one does not fit.
  var head: [UInt8]? {
    let features = visual.features
    let numbers = [visual.grid.height, visual.grid.width, features.rows, features.columns, width, height]
    var head: [UInt8] = []
    for number in numbers {
      guard let word = UInt32(exactly: number) else { return nil }
      head += (0..<4).map { UInt8(truncatingIfNeeded: word >> UInt32(8 * $0)) }
    }
    return head
  }

  /// The values, four bytes each.
  func withBody<R>(_ use: (UnsafeRawBufferPointer) -> R) -> R {
    visual.features.withValues { use(UnsafeRawBufferPointer(start: $0, count: visual.byteCount)) }
  }
}

extension KeptFeatures {
  /// Reads what was kept; nil where this vision tower cannot have made it.
  init?(head: [UInt8], body: [UInt8], of vision: any VisionModel) {
    let numbers = stride(from: 0, to: head.count, by: 4).map { start in
      head[start...].prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
    }
    guard numbers.count == 6 else { return nil }
    let grid = PatchGrid(height: numbers[0], width: numbers[1])
    let (rows, columns, merge) = (numbers[2], numbers[3], vision.imagePlan.layout.merge)
    guard (1...1 << 16).contains(grid.height), (1...1 << 16).contains(grid.width), grid.height % merge == 0,
      grid.width % merge == 0, columns == vision.featureWidth, rows == vision.visualTokens(grid),
      body.count == rows * columns * MemoryLayout<Float>.size
    else { return nil }
    let features = Tensor(rows: rows, columns: columns)
    features.withMutable { UnsafeMutableRawBufferPointer(start: $0, count: body.count).copyBytes(from: body) }
    self.init(visual: VisualFeatures(features: features, grid: grid), width: numbers[4], height: numbers[5])
  }
}
