import Tensors

/// Gemma 3: a SigLIP tower, average pooling, and Gemma 3's language model.
package struct Gemma3: TrainableVision {
  /// The family as the list of families has it.
  package static let family = ModelFamily(
    modelType: "gemma3",
    load: { files in
      let model = try Gemma3(files)
      return ModelParts(language: model.language, vision: model)
    },
    render: { Gemma3Text.render($0, picture: $0.hasImage ? "<start_of_image>" : "") },
    endOfTurn: "<end_of_turn>", templateMarks: ["<start_of_turn>", "<end_of_turn>"])

  // MARK: Configuration

  /// Everything that `config.json` says.
  package struct Configuration: Sendable, Equatable {
    package var language: Gemma3Text.Configuration
    package var vision: VisionTransformerConfiguration
    /// Visual tokens a side.
    package var tokensPerSide: Int
    package var imageToken: Int32
    package var imageStart: Int32
    package var imageEnd: Int32

    /// Patches a side that are averaged into one visual token.
    package var pool: Int { vision.side / tokensPerSide }
  }

  /// Reads `config.json`. Defaults are those of transformers' Gemma3Config and SiglipVisionConfig.
  package static func configuration(_ config: ConfigReader) throws(ModelError) -> Configuration {
    guard let section = config.object("vision_config") else {
      throw config.invalid("vision_config", expected: "an object")
    }
    let name = try section.text("hidden_act") ?? "gelu_pytorch_tanh"
    guard let activation = Activation(rawValue: name), [.geluTanh, .gelu].contains(activation) else {
      throw section.invalid("hidden_act", expected: "\"gelu_pytorch_tanh\" or \"gelu\"")
    }
    let vision = try VisionTransformerConfiguration(
      section, hidden: 768, intermediate: 3072, layers: 12, heads: 12, imageSize: 224, patchSize: 16, epsilon: 1e-6,
      activation: activation)
    let tokens = try config.count("mm_tokens_per_image", default: 256)
    let side = Int(Double(tokens).squareRoot())
    guard side * side == tokens, vision.side % side == 0 else {
      throw config.invalid("mm_tokens_per_image", expected: "a square that divides the \(vision.side)² patches evenly")
    }
    func token(_ old: String, _ new: String, _ fallback: Int) throws(ModelError) -> Int32 {
      let id = try config.count(new, default: fallback, atMost: 1 << 24)
      return Int32(try config.count(old, default: id, atMost: 1 << 24))
    }
    var language = try Gemma3Text.configuration(config)
    // The reference caps the logits of the text model alone, never those of this one.
    language.logitCap = nil
    return Configuration(
      language: language, vision: vision, tokensPerSide: side,
      imageToken: try token("image_token_index", "image_token_id", 262_144),
      imageStart: try token("boi_token_index", "boi_token_id", 255_999),
      imageEnd: try token("eoi_token_index", "eoi_token_id", 256_000))
  }

  // MARK: Image plan

  private static func plan(
    _ settings: ConfigReader, _ vision: VisionTransformerConfiguration
  ) throws(ModelError) -> ImagePlan {
    let size = settings.object("size")
    let height = try size?.count("height", default: vision.imageSize) ?? vision.imageSize
    let width = try size?.count("width", default: vision.imageSize) ?? vision.imageSize
    guard height == vision.imageSize, width == vision.imageSize else {
      throw settings.invalid("size", expected: "the tower's image size, \(vision.imageSize)")
    }
    if try settings.flag("do_pan_and_scan", default: false) {
      throw settings.invalid("do_pan_and_scan", expected: "false: pan and scan is not supported")
    }
    let half = [0.5, 0.5, 0.5]
    return try ImagePlan(
      settings, sizing: .fixed(height: height, width: width), layout: PatchLayout(size: vision.patchSize), resample: 2,
      colours: (half, half))
  }

  // MARK: Vision and projector

  package let configuration: Configuration
  package let imagePlan: ImagePlan
  package let language: Gemma3Text
  private let embedding: PatchEmbedding
  private let tower: VisionTransformer
  private let postNorm: LayerNorm
  private let softNorm: RMSNorm
  private let projection: Linear

  package var featureWidth: Int { configuration.vision.hidden }
  package var towerWidths: (hidden: Int, inner: Int) {
    (configuration.vision.hidden, configuration.vision.intermediate)
  }
  package var summary: String {
    let sizes = configuration.vision
    return "SigLIP, \(sizes.layers) blocks of \(sizes.hidden), \(sizes.side)² patches pooled by \(configuration.pool)²"
  }

  package func visualGrid(_ grid: PatchGrid) -> VisualGrid {
    VisualGrid(height: configuration.tokensPerSide, width: configuration.tokensPerSide)
  }

  package var linears: [Linear] { [embedding.patch] + tower.linears + [projection] }

  /// The tower's output, averaged over squares of patches: [visual tokens, hidden].
  package func features(_ patches: Tensor, grid: PatchGrid, _ engine: Engine) -> Tensor {
    features(patches, grids: [grid], engine)
  }

  /// Every picture has the same grid.
  package func features(_ patches: Tensor, grids: [PatchGrid], _ engine: Engine) -> Tensor {
    let sizes = configuration.vision
    let states = tower(embedding(patches, engine), depth: sizes.layers, pictures: grids.count, engine)
    return averagePool(
      postNorm(states, engine), height: sizes.side, width: sizes.side, outHeight: configuration.tokensPerSide,
      outWidth: configuration.tokensPerSide, engine)
  }

  package func project(_ features: Tensor, _ engine: Engine) -> Tensor {
    projection(softNorm(features, engine), engine)
  }

  // MARK: Prompt

  package let placeholder = "<start_of_image>"
  package var imageToken: Int32 { configuration.imageToken }
  package var imageMarkers: Set<Int32> {
    [configuration.imageToken, configuration.imageStart, configuration.imageEnd]
  }
  package let isBidirectional = true

  package func expansion(visualTokens: Int) -> String {
    "\n\n<start_of_image>" + String(repeating: "<image_soft_token>", count: visualTokens) + "<end_of_image>\n\n"
  }

  // MARK: Weight names

  /// Loads a folder's weights by their published names, or with the prefixes that transformers 5 uses in memory.
  package init(_ files: ModelFiles) throws {
    configuration = try Self.configuration(files.config)
    imagePlan = try Self.plan(files.imageSettings(), configuration.vision)
    let store = try files.weights()
    let names = NestedNames(store, vision: "vision_tower.", projector: "multi_modal_projector.")
    let loader = files.loader(store) {
      names.published($0)
    }
    let seeing = loader.loading(.vision)
    let vision = configuration.vision
    let prefix = "vision_tower.vision_model."
    embedding = try PatchEmbedding(vision, weights: seeing, prefix: prefix + "embeddings.", leading: 0, bias: true)
    tower = try VisionTransformer(vision, weights: seeing, prefix: prefix + "encoder.")
    postNorm = try loader.layerNorm(prefix + "post_layernorm", vision.hidden, epsilon: vision.epsilon)
    softNorm = try loader.offsetNorm("multi_modal_projector.mm_soft_emb_norm", vision.hidden, epsilon: vision.epsilon)
    let projector = try seeing.transposedMatrix(
      "multi_modal_projector.mm_input_projection_weight", inputs: vision.hidden,
      outputs: configuration.language.sizes.hidden)
    projection = Linear(weight: projector, bias: nil)
    language = try Gemma3Text(configuration.language, loader)
    try loader.finish()
  }
}
