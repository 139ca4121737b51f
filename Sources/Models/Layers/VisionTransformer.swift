import Tensors

/// Sizes of a plain vision transformer over a fixed square grid: SigLIP and CLIP.
package struct VisionTransformerConfiguration: Sendable, Equatable {
  package var hidden: Int
  package var intermediate: Int
  package var layers: Int
  package var heads: Int
  package var imageSize: Int
  package var patchSize: Int
  package var epsilon: Float
  package var activation: Activation

  /// Reads a section of a configuration; the arguments are the class's defaults.
  init(
    _ section: ConfigReader, hidden: Int, intermediate: Int, layers: Int, heads: Int, imageSize: Int, patchSize: Int,
    epsilon: Double, activation: Activation
  ) throws(ModelError) {
    self.hidden = try section.count("hidden_size", default: hidden)
    self.intermediate = try section.count("intermediate_size", default: intermediate)
    self.layers = try section.count("num_hidden_layers", default: layers)
    self.heads = try section.count("num_attention_heads", default: heads)
    self.imageSize = try section.count("image_size", default: imageSize)
    self.patchSize = try section.count("patch_size", default: patchSize, atMost: 1 << 10)
    self.epsilon = Float(try section.number("layer_norm_eps", default: epsilon))
    self.activation = activation
    guard self.hidden % self.heads == 0 else {
      throw section.invalid("num_attention_heads", expected: "a divisor of the hidden size, \(self.hidden)")
    }
    guard self.patchSize <= self.imageSize, self.imageSize <= 1 << 14 else {
      throw section.invalid("image_size", expected: "at least the patch size, \(self.patchSize), and at most 16384")
    }
    guard try section.count("num_channels", default: 3) == 3 else {
      throw section.invalid("num_channels", expected: "3")
    }
  }

  /// Patches a side.
  package var side: Int { imageSize / patchSize }
}

/// A picture's patches as rows of the tower's width, with a learnt position for each.
struct PatchEmbedding: Sendable {
  let patch: Linear
  /// [rows before the patches + patches, hidden].
  let positions: Weight

  /// - Parameter leading: rows that stand before the patches, such as a class token.
  init(
    _ sizes: VisionTransformerConfiguration, weights: WeightLoader, prefix: String, leading: Int, bias: Bool
  ) throws(WeightError) {
    let name = prefix + "patch_embedding"
    patch = Linear(
      weight: try weights.matrix(name + ".weight", [sizes.hidden, 3, sizes.patchSize, sizes.patchSize]),
      bias: bias ? try weights.bias(name + ".bias", sizes.hidden) : nil)
    let rows = sizes.side * sizes.side + leading
    positions = try weights.lookup(prefix + "position_embedding.weight", [rows, sizes.hidden])
  }

  /// patches [patches, 3 · patchSize²] of one picture, behind the leading rows → [rows, hidden].
  func callAsFunction(_ patches: Tensor, behind leading: [Tensor], _ engine: Engine) -> Tensor {
    adding(
      Tensor.stacking(leading + [patch(patches, engine)]), positions.rows(Array(0..<positions.rows), engine), engine)
  }

  /// The patches of pictures, one behind the other → [patches, hidden].
  func callAsFunction(_ patches: Tensor, _ engine: Engine) -> Tensor {
    let places = (0..<patches.rows).map { $0 % positions.rows }
    return adding(patch(patches, engine), positions.rows(places, engine), engine)
  }
}

/// The blocks of a pre-norm vision transformer with full attention, biases and layer norms.
struct VisionTransformer: Sendable {
  struct Block: Sendable {
    let attentionNorm: LayerNorm
    let query: Linear
    let key: Linear
    let value: Linear
    let output: Linear
    let feedForwardNorm: LayerNorm
    let inner: Linear
    let outer: Linear
  }

  let configuration: VisionTransformerConfiguration
  private let blocks: [Block]

  /// Loads `PREFIXlayers.N.…` by the names that SigLIP and CLIP share.
  init(
    _ configuration: VisionTransformerConfiguration, weights: WeightLoader, prefix: String
  ) throws(WeightError) {
    self.configuration = configuration
    let sizes = configuration
    var blocks: [Block] = []
    for index in 0..<sizes.layers {
      let name = "\(prefix)layers.\(index)."
      blocks.append(
        Block(
          attentionNorm: try weights.layerNorm(name + "layer_norm1", sizes.hidden, epsilon: sizes.epsilon),
          query: try weights.linear(name + "self_attn.q_proj", sizes.hidden, sizes.hidden, bias: true),
          key: try weights.linear(name + "self_attn.k_proj", sizes.hidden, sizes.hidden, bias: true),
          value: try weights.linear(name + "self_attn.v_proj", sizes.hidden, sizes.hidden, bias: true),
          output: try weights.linear(name + "self_attn.out_proj", sizes.hidden, sizes.hidden, bias: true),
          feedForwardNorm: try weights.layerNorm(name + "layer_norm2", sizes.hidden, epsilon: sizes.epsilon),
          inner: try weights.linear(name + "mlp.fc1", sizes.intermediate, sizes.hidden, bias: true),
          outer: try weights.linear(name + "mlp.fc2", sizes.hidden, sizes.intermediate, bias: true)))
    }
    self.blocks = blocks
  }

  var linears: [Linear] {
    blocks.flatMap { [$0.query, $0.key, $0.value, $0.output, $0.inner, $0.outer] }
  }

  /// Runs the first `depth` blocks: [rows, hidden] → [rows, hidden].
  ///
  /// - Parameter pictures: how many lie one behind the other, each on its own.
  func callAsFunction(_ x: Tensor, depth: Int, pictures: Int = 1, _ engine: Engine) -> Tensor {
    let rows = x.rows / pictures
    let spans = (0..<pictures).map { $0 * rows..<($0 + 1) * rows }
    var x = x
    for block in blocks.prefix(depth) {
      let parts = products(of: block.attentionNorm(x, engine), with: [block.query, block.key, block.value], engine)
      let mixed = attendWithin(
        spans, AttentionInput(query: (parts[0], 0), key: (parts[1], 0), value: (parts[2], 0)),
        AttentionHeads(count: configuration.heads, width: configuration.hidden / configuration.heads), engine)
      x = adding(x, block.output(mixed, engine), engine)
      let changed = inBands(x, engine) { band in
        let inner = block.inner(block.feedForwardNorm(band, engine), engine)
        configuration.activation.apply(to: inner, engine)
        return block.outer(inner, engine)
      }
      x = adding(x, changed, engine)
    }
    return x
  }
}
