import JSON
import Tensors

/// A picture's visual tokens as they lie on it.
package struct VisualGrid: Sendable, Equatable {
  package var height: Int
  package var width: Int

  package init(height: Int, width: Int) {
    self.height = height
    self.width = width
  }

  package var count: Int { height * width }

  /// What is left of it once squares of `size`² have become one each; a side shorter than that becomes 1.
  func pooled(by size: Int) -> VisualGrid {
    VisualGrid(height: max(1, height / size), width: max(1, width / size))
  }
}

/// What a projector is, as `massv.json` says it.
package struct ProjectorSettings: Sendable, Equatable {
  package enum Kind: String, Sendable, CaseIterable {
    /// Linear layers with exact GELU between them.
    case mlp
    case linear
    /// A few learned queries that attend to all visual tokens: `Resampler`.
    case resampler
  }

  package var kind = Kind.mlp
  /// Width of the target's features.
  package var inputs: Int
  /// Width of the drafter's embeddings.
  package var outputs: Int
  package var hidden: Int
  /// Linear layers of an MLP.
  package var layers = 2
  /// Squares of so many visual tokens a side are averaged first.
  package var pool = 1
  /// Visual tokens that a resampler makes of any picture.
  package var queries = 16
  /// A root-mean-square norm at the end, which keeps visual tokens at the scale of word embeddings.
  package var hasOutputNorm = true
  package var epsilon: Float = 1e-6

  package init(inputs: Int, outputs: Int, hidden: Int) {
    self.inputs = inputs
    self.outputs = outputs
    self.hidden = hidden
  }

  /// Reads `massv.json`.
  package init(_ massv: ConfigReader, outputs: Int) throws(ModelError) {
    inputs = try massv.count("vision_width")
    self.outputs = outputs
    guard let settings = massv.object("projector") else {
      throw massv.invalid("projector", expected: "an object")
    }
    guard try massv.count("format") == 1 else { throw massv.invalid("format", expected: "1") }
    guard let kind = Kind(rawValue: try settings.text("kind") ?? "mlp") else {
      throw settings.invalid("kind", expected: Kind.allCases.map(\.rawValue).joined(separator: ", "))
    }
    self.kind = kind
    guard try settings.text("activation") ?? "gelu" == "gelu" else {
      throw settings.invalid("activation", expected: "\"gelu\"")
    }
    hidden = try settings.count("hidden", default: outputs)
    layers = try settings.count("layers", default: kind == .linear ? 1 : 2, atMost: 16)
    pool = try settings.count("pool", default: 1, atMost: 64)
    queries = try settings.count("queries", default: 16, atMost: 4096)
    hasOutputNorm = try settings.flag("output_norm", default: false)
    epsilon = Float(try settings.number("norm_eps", default: 1e-6))
  }

  /// The members of `massv.json`'s `projector`.
  package func write(to writer: inout JSONWriter) {
    writer.key("kind")
    writer.string(kind.rawValue)
    // What the kind does not have is not said.
    let sizes = [
      ("hidden", kind == .linear ? nil : hidden), ("layers", kind == .mlp ? layers : nil), ("pool", pool),
      ("queries", kind == .resampler ? queries : nil),
    ]
    for case (let name, let value?) in sizes {
      writer.key(name)
      writer.integer(value)
    }
    writer.key("activation")
    writer.string("gelu")
    writer.key("output_norm")
    writer.bool(hasOutputNorm)
    writer.key("norm_eps")
    writer.number(Double(epsilon), decimals: 12)
  }

  /// How many visual tokens the drafter sees of a picture.
  package func visualTokens(_ grid: VisualGrid) -> Int {
    kind == .resampler ? queries : grid.pooled(by: pool).count
  }
}

/// A picture as the target's frozen encoder sees it.
package struct VisualFeatures: Sendable {
  /// [visual tokens, feature width].
  package let features: Tensor
  package let grid: PatchGrid

  package init(features: Tensor, grid: PatchGrid) {
    self.features = features
    self.grid = grid
  }

  /// Bytes that the features take.
  package var byteCount: Int { features.count * MemoryLayout<Float>.size }
}

/// The trainable half of a MASSV drafter: the target's vision features → the drafter's embedding width.
package struct Projector: Sendable {
  package let settings: ProjectorSettings
  private let layers: [Linear]
  private let resampler: Resampler?
  private let norm: RMSNorm?

  /// The weights `linear_1` … `linear_n`, a resampler's own, and `norm`.
  package init(_ settings: ProjectorSettings, _ loader: WeightLoader) throws(WeightError) {
    self.settings = settings
    let count = settings.kind == .linear ? 1 : settings.kind == .resampler ? 2 : settings.layers
    var layers: [Linear] = []
    for index in 1...count {
      let inputs = index == 1 ? settings.inputs : settings.hidden
      let outputs = index == count ? settings.outputs : settings.hidden
      layers.append(try loader.linear("linear_\(index)", outputs, inputs, bias: true))
    }
    self.layers = layers
    resampler = settings.kind == .resampler ? try Resampler(settings, loader) : nil
    norm = settings.hasOutputNorm ? try loader.norm("norm", settings.outputs, epsilon: settings.epsilon) : nil
    try loader.finish()
  }

  /// Width of the features that it reads.
  package var inputs: Int { settings.inputs }

  /// The features of one or several pictures → their visual tokens, one picture behind the other: [tokens, outputs].
  package func callAsFunction(_ pictures: [(features: Tensor, grid: VisualGrid)], _ engine: Engine) -> Tensor {
    let seen = pictures.map { picture in
      settings.pool == 1
        ? picture.features
        : averagePool(picture.features, picture.grid, to: picture.grid.pooled(by: settings.pool), engine)
    }
    var x = layers[0](Tensor.stacking(seen), engine)
    if let resampler { x = resampler(x, sizes: seen.map(\.rows), engine) }
    for layer in layers.dropFirst() {
      Activation.gelu.apply(to: x, engine)
      x = layer(x, engine)
    }
    return norm?(x, engine) ?? x
  }
}

private func averagePool(
  _ features: Tensor, _ grid: VisualGrid, to pooled: VisualGrid, _ engine: Engine
) -> Tensor {
  Tensors.averagePool(
    features, height: grid.height, width: grid.width, outHeight: pooled.height, outWidth: pooled.width, engine)
}
