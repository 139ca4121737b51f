import Tensors

/// Sizes of Qwen2.5-VL's vision tower.
package struct PatchTowerConfiguration: Sendable, Equatable {
  package var depth: Int
  package var hidden: Int
  package var intermediate: Int
  package var heads: Int
  package var patchSize: Int
  package var temporalPatchSize: Int
  package var channels: Int
  /// Patches a side that become one visual token.
  package var mergeSize: Int
  /// Side of an attention window in pixels.
  package var windowSize: Int
  /// Blocks that attend over the whole picture.
  package var fullAttentionBlocks: Set<Int>

  package var headWidth: Int { hidden / heads }
  package var layout: PatchLayout { PatchLayout(size: patchSize, merge: mergeSize, frames: temporalPatchSize) }
  /// Width of the features that a projector reads: one visual token's patches side by side.
  package var featureWidth: Int { hidden * mergeSize * mergeSize }
}

/// A picture's grid in patches, both multiples of the merge size.
package struct PatchGrid: Sendable, Equatable {
  package var height: Int
  package var width: Int

  package init(height: Int, width: Int) {
    self.height = height
    self.width = width
  }

  package var patches: Int { height * width }
}

/// The vision transformer of Qwen2.5-VL: windows, full attention at listed blocks, 2-D rotary positions.
///
/// Source: transformers' Qwen2_5_VisionTransformerPretrainedModel.
package struct PatchTower: Sendable {
  struct Block: Sendable {
    let attentionNorm: RMSNorm
    let queryKeyValue: Linear
    let output: Linear
    let feedForwardNorm: RMSNorm
    let feedForward: GatedFeedForward
  }

  package let configuration: PatchTowerConfiguration
  private let patchEmbedding: Linear
  private let blocks: [Block]
  private let rotary: RotaryEmbedding
  /// The reference's norms in the tower use this whatever the language model's configuration says.
  static let epsilon: Float = 1e-6

  /// Loads the weights under `prefix` (`visual.`).
  package init(
    _ configuration: PatchTowerConfiguration, weights: WeightLoader, prefix: String
  ) throws(WeightError) {
    self.configuration = configuration
    let sizes = configuration
    let name = prefix + "patch_embed.proj.weight"
    let shape = [sizes.hidden, sizes.channels, sizes.temporalPatchSize, sizes.patchSize, sizes.patchSize]
    patchEmbedding = Linear(weight: try weights.matrix(name, shape), bias: nil)
    var blocks: [Block] = []
    for index in 0..<sizes.depth { blocks.append(try Self.block(sizes, weights, "\(prefix)blocks.\(index).")) }
    self.blocks = blocks
    // Half of the head turns with the row, half with the column.
    rotary = RotaryEmbedding(width: sizes.headWidth / 2, RotarySettings(base: 10000))
  }

  private static func block(
    _ sizes: PatchTowerConfiguration, _ weights: WeightLoader, _ prefix: String
  ) throws(WeightError) -> Block {
    Block(
      attentionNorm: try weights.norm(prefix + "norm1", sizes.hidden, epsilon: epsilon),
      queryKeyValue: try weights.linear(prefix + "attn.qkv", 3 * sizes.hidden, sizes.hidden, bias: true),
      output: try weights.linear(prefix + "attn.proj", sizes.hidden, sizes.hidden, bias: true),
      feedForwardNorm: try weights.norm(prefix + "norm2", sizes.hidden, epsilon: epsilon),
      feedForward: GatedFeedForward(
        gate: try weights.linear(prefix + "mlp.gate_proj", sizes.intermediate, sizes.hidden, bias: true),
        up: try weights.linear(prefix + "mlp.up_proj", sizes.intermediate, sizes.hidden, bias: true),
        down: try weights.linear(prefix + "mlp.down_proj", sizes.hidden, sizes.intermediate, bias: true), .silu))
  }

  var linears: [Linear] {
    [patchEmbedding] + blocks.flatMap { [$0.queryKeyValue, $0.output] + $0.feedForward.linears }
  }

  /// Encodes pictures, each on its own.
  ///
  /// - Parameter patches: [patches, layout.width], picture behind picture, each in merge order: the rows of one visual
  ///   token, merge² of them, stand together.
  /// - Returns: the last block's output [patches, hidden] in the same order.
  package func callAsFunction(_ patches: Tensor, grids: [PatchGrid], _ engine: Engine) -> Tensor {
    let order = WindowOrder(grids: grids, configuration)
    var x = gathering(patchEmbedding(patches, engine), order.patches, engine)
    let angles = angles(order)
    for (index, block) in blocks.enumerated() {
      let spans = configuration.fullAttentionBlocks.contains(index) ? order.pictures : order.windows
      let mixed = attention(block.queryKeyValue(block.attentionNorm(x, engine), engine), angles, spans, engine)
      x = adding(x, block.output(mixed, engine), engine)
      x = adding(x, block.feedForward(x, norm: block.feedForwardNorm, engine), engine)
    }
    return gathering(x, order.inverse, engine)
  }

  /// Row angles, then column angles, for each patch in window order: [patches, headWidth/2].
  private func angles(_ order: WindowOrder) -> RotaryAngles {
    let places = order.places
    let rows = rotary.angles(places.map { Position($0.row) })
    let columns = rotary.angles(places.map { Position($0.column) })
    return (sideBySide(rows.cosine, columns.cosine), sideBySide(rows.sine, columns.sine))
  }

  private func attention(
    _ joined: Tensor, _ angles: (cosine: Tensor, sine: Tensor), _ spans: [Range<Int>], _ engine: Engine
  ) -> Tensor {
    let hidden = configuration.hidden
    // Queries and keys lie side by side, so one call rotates both.
    rotate(joined, heads: 2 * configuration.heads, cosine: angles.cosine, sine: angles.sine, engine)
    return attendWithin(
      spans, AttentionInput(query: (joined, 0), key: (joined, hidden), value: (joined, 2 * hidden)),
      AttentionHeads(count: configuration.heads, width: configuration.headWidth), engine)
  }
}

private func sideBySide(_ a: Tensor, _ b: Tensor) -> Tensor {
  let result = Tensor(rows: a.rows, columns: a.columns + b.columns)
  result.withMutable { out in
    a.withValues { left in
      b.withValues { right in
        for row in 0..<a.rows {
          (out + row * result.columns).update(from: left + row * a.columns, count: a.columns)
          (out + row * result.columns + a.columns).update(from: right + row * b.columns, count: b.columns)
        }
      }
    }
  }
  return result
}

/// Which patch goes where when pictures are cut into attention windows.
struct WindowOrder {
  /// Row of the merge order at each row of the window order.
  let patches: [Int]
  /// Row of the window order at each row of the merge order.
  let inverse: [Int]
  /// Each window's rows in window order.
  let windows: [Range<Int>]
  /// Each picture's rows, in either order.
  let pictures: [Range<Int>]
  /// The patch row and column of each row in window order.
  let places: [(row: Int, column: Int)]

  init(grids: [PatchGrid], _ sizes: PatchTowerConfiguration) {
    var (patches, inverse, windows, pictures) = ([Int](), [Int](), [Range<Int>](), [Range<Int>]())
    var places: [(row: Int, column: Int)] = []
    for grid in grids {
      let first = patches.count
      let one = WindowOrder(grid: grid, sizes)
      patches += one.patches.map { first + $0 }
      inverse += one.inverse.map { first + $0 }
      windows += one.windows.map { first + $0.lowerBound..<first + $0.upperBound }
      pictures.append(first..<patches.count)
      places += one.places
    }
    (self.patches, self.inverse, self.windows, self.pictures) = (patches, inverse, windows, pictures)
    self.places = places
  }

  init(grid: PatchGrid, _ sizes: PatchTowerConfiguration) {
    let merge = sizes.mergeSize
    let rows = grid.height / merge
    let columns = grid.width / merge
    let side = max(1, sizes.windowSize / merge / sizes.patchSize)
    let block = merge * merge
    var order: [Int] = []
    var windows: [Range<Int>] = []
    for top in stride(from: 0, to: rows, by: side) {
      for left in stride(from: 0, to: columns, by: side) {
        let start = order.count
        for row in top..<min(rows, top + side) {
          for column in left..<min(columns, left + side) {
            let token = row * columns + column
            order.append(contentsOf: token * block..<(token + 1) * block)
          }
        }
        windows.append(start..<order.count)
      }
    }
    var inverse = Array(repeating: 0, count: order.count)
    for (place, row) in order.enumerated() { inverse[row] = place }
    patches = order
    self.inverse = inverse
    self.windows = windows
    pictures = [0..<order.count]
    places = order.map { Self.place(ofRow: $0, grid: grid, merge: merge) }
  }

  /// The patch row and column of a row in merge order.
  static func place(ofRow index: Int, grid: PatchGrid, merge: Int) -> (row: Int, column: Int) {
    let block = merge * merge
    let token = index / block
    let within = index % block
    let columns = grid.width / merge
    return (token / columns * merge + within / merge, token % columns * merge + within % merge)
  }
}
