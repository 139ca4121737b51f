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
  package var patchWidth: Int { 3 * patchSize * patchSize }
}

/// A picture's patches as rows of the tower's width, with a learnt position for each.
struct PatchEmbedding: Sendable {
  private let patch: Linear
  /// [rows before the patches + patches, hidden].
  let positions: Tensor

  /// - Parameter leading: rows that stand before the patches, such as a class token.
  init(
    _ sizes: VisionTransformerConfiguration, weights: WeightLoader, prefix: String, leading: Int, bias: Bool
  ) throws(WeightError) {
    let name = prefix + "patch_embedding"
    patch = Linear(
      weight: try weights.matrix(name + ".weight", [sizes.hidden, 3, sizes.patchSize, sizes.patchSize]),
      bias: bias ? try weights.vector(name + ".bias", sizes.hidden) : nil)
    let rows = sizes.side * sizes.side + leading
    positions = Tensor(
      rows: rows, columns: sizes.hidden,
      values: try weights.matrix(prefix + "position_embedding.weight", [rows, sizes.hidden]).values)
  }

  /// patches [patches, patchWidth], behind the leading rows → [rows, hidden].
  func callAsFunction(_ patches: Tensor, behind leading: [Tensor] = [], _ engine: Engine) -> Tensor {
    adding(Tensor.stacking(leading + [patch(patches, .bulk, engine)]), positions)
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

  /// Runs the first `depth` blocks: [rows, hidden] → [rows, hidden].
  func callAsFunction(_ x: Tensor, depth: Int, _ engine: Engine) -> Tensor {
    var x = x
    for block in blocks.prefix(depth) {
      let normed = block.attentionNorm(x)
      let mixed = attention(
        block.query(normed, .bulk, engine), block.key(normed, .bulk, engine), block.value(normed, .bulk, engine), engine
      )
      x = adding(x, block.output(mixed, .bulk, engine))
      let inner = block.inner(block.feedForwardNorm(x), .bulk, engine)
      configuration.activation.apply(to: inner, engine)
      x = adding(x, block.outer(inner, .bulk, engine))
    }
    return x
  }

  private func attention(_ query: Tensor, _ key: Tensor, _ value: Tensor, _ engine: Engine) -> Tensor {
    let width = configuration.hidden / configuration.heads
    let scale = 1 / Float(width).squareRoot()
    let mixed = Tensor(rows: query.rows, columns: query.columns)
    query.withValues { queries in
      key.withValues { keys in
        value.withValues { values in
          mixed.withMutable { out in
            engine.parallel(query.rows * configuration.heads, work: 2 * query.count * key.rows) { task in
              let head = task % configuration.heads * width
              let place = task / configuration.heads * query.columns + head
              attend(
                queries + place, keys: keys + head, keyStride: key.columns, values: values + head,
                valueStride: value.columns, count: key.rows, width: width, scale: scale, out: out + place)
            }
          }
        }
      }
    }
    return mixed
  }
}
