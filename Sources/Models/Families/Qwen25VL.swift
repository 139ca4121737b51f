import Tensors

/// Qwen2.5-VL: a windowed vision tower, a patch merger and a Qwen2 decoder with M-RoPE.
package struct Qwen25VL: TrainableVision {
  /// The family as the list of families has it.
  package static let family = ModelFamily(
    modelType: "qwen2_5_vl",
    load: { files in
      let model = try Qwen25VL(files)
      return ModelParts(language: model.language, vision: model)
    },
    render: { render($0) },
    endOfTurn: "<|im_end|>", templateMarks: ["<|im_start|>", "<|vision_start|>", "You are a helpful assistant."])

  /// Its language half alone, as a GGUF file without its mmproj file has it: a plain language model with this template.
  static let languageAlone = ModelFamily(
    modelType: "qwen2", load: Qwen2.family.load,
    render: { render(ChatTurn(text: $0.text, system: $0.system, hasImage: false)) }, endOfTurn: "<|im_end|>",
    templateMarks: family.templateMarks)

  // MARK: Configuration

  /// Everything that `config.json` and the processor's file say.
  package struct Configuration: Sendable {
    package var language: Qwen2.Configuration
    package var vision: PatchTowerConfiguration
    package var imagePlan: ImagePlan
    package var imageToken: Int32
    package var visionStart: Int32
    package var visionEnd: Int32
  }

  /// Reads a model folder's configuration files, in the Hub's layout or that of transformers 5.
  package static func configuration(_ files: ModelFiles) throws(ModelError) -> Configuration {
    let config = files.config
    guard let section = config.object("vision_config") else {
      throw config.invalid("vision_config", expected: "an object")
    }
    let language = try Qwen2.configuration(config, defaults: (base: 1_000_000, epsilon: 1e-5))
    let vision = try visionConfiguration(section)
    let outputs = try section.count("out_hidden_size", default: 3584)
    guard outputs == language.sizes.hidden else {
      throw section.invalid("out_hidden_size", expected: "the language model's hidden size, \(language.sizes.hidden)")
    }
    return Configuration(
      language: language, vision: vision,
      imagePlan: try .own(files.imageSettings(), layout: vision.layout, atMost: files.maximumPixels),
      imageToken: Int32(try config.count("image_token_id", default: 151655, atMost: 1 << 24)),
      visionStart: Int32(try config.count("vision_start_token_id", default: 151652, atMost: 1 << 24)),
      visionEnd: Int32(try config.count("vision_end_token_id", default: 151653, atMost: 1 << 24)))
  }

  /// Defaults are those of transformers' Qwen2_5_VLVisionConfig.
  private static func visionConfiguration(_ section: ConfigReader) throws(ModelError) -> PatchTowerConfiguration {
    let hidden = try section.count("hidden_size", default: 1280)
    let heads = try section.count("num_heads", default: 16)
    guard hidden % heads == 0, hidden / heads % 4 == 0 else {
      throw section.invalid("num_heads", expected: "heads whose width is a multiple of 4 (hidden size \(hidden))")
    }
    if let activation = try section.text("hidden_act"), activation != "silu" {
      throw section.invalid("hidden_act", expected: "\"silu\"")
    }
    var channels = 3
    if let count = try section.integers("in_channels")?.first { channels = count }
    if let count = try section.integers("in_chans")?.first { channels = count }
    guard channels == 3 else { throw section.invalid("in_channels", expected: "3") }
    return PatchTowerConfiguration(
      depth: try section.count("depth", default: 32), hidden: hidden,
      intermediate: try section.count("intermediate_size", default: 3420), heads: heads,
      patchSize: try section.count("patch_size", default: 14, atMost: 1 << 10),
      temporalPatchSize: try section.count("temporal_patch_size", default: 2, atMost: 1 << 10), channels: channels,
      mergeSize: try section.count("spatial_merge_size", default: 2, atMost: 1 << 10),
      windowSize: try section.count("window_size", default: 112),
      fullAttentionBlocks: Set(try section.integers("fullatt_block_indexes") ?? [7, 15, 23, 31]))
  }

  // MARK: Vision and projector

  package let configuration: Configuration
  package let tower: PatchTower
  package var imagePlan: ImagePlan { configuration.imagePlan }
  package var featureWidth: Int { configuration.vision.featureWidth }
  package var towerWidths: (hidden: Int, inner: Int) {
    (configuration.vision.hidden, 2 * configuration.vision.intermediate)
  }
  package var summary: String {
    let sizes = configuration.vision
    return
      "\(sizes.depth) blocks of \(sizes.hidden), patches of \(sizes.patchSize), windows of \(sizes.windowSize) pixels"
  }

  /// merge² patches become one visual token.
  package func visualGrid(_ grid: PatchGrid) -> VisualGrid {
    let size = configuration.vision.mergeSize
    return VisualGrid(height: grid.height / size, width: grid.width / size)
  }

  package let language: Decoder
  private let mergerNorm: RMSNorm
  private let mergerIn: Linear
  private let mergerOut: Linear

  package var linears: [Linear] { tower.linears + [mergerIn, mergerOut] }

  /// Encodes one picture's patches: the frozen encoder's features, one row a visual token.
  package func features(_ patches: Tensor, grid: PatchGrid, _ engine: Engine) -> Tensor {
    features(patches, grids: [grid], engine)
  }

  /// Encodes pictures, each on its own.
  ///
  /// - Returns: [visual tokens, featureWidth]: the tower's output, merge² patches side by side, before the merger.
  package func features(_ patches: Tensor, grids: [PatchGrid], _ engine: Engine) -> Tensor {
    let encoded = tower(patches, grids: grids, engine)
    let width = configuration.vision.featureWidth
    return encoded.reshaped(rows: encoded.count / width, columns: width)
  }

  /// The target's own projector (patch merger): features → [visual tokens, language width].
  package func project(_ features: Tensor, _ engine: Engine) -> Tensor {
    let hidden = configuration.vision.hidden
    let patches = features.reshaped(rows: features.count / hidden, columns: hidden)
    let normed = mergerNorm(patches, engine).reshaped(rows: features.rows, columns: features.columns)
    let inner = mergerIn(normed, engine)
    Activation.gelu.apply(to: inner, engine)
    return mergerOut(inner, engine)
  }

  // MARK: Prompt

  package let placeholder = "<|image_pad|>"

  package func expansion(visualTokens: Int) -> String { String(repeating: placeholder, count: visualTokens) }

  package var imageToken: Int32 { configuration.imageToken }
  package var imageMarkers: Set<Int32> {
    [configuration.imageToken, configuration.visionStart, configuration.visionEnd]
  }

  /// The rendered chat of one user turn, as the family's published template writes it.
  package static func render(_ turn: ChatTurn) -> String {
    let picture = turn.hasImage ? "<|vision_start|><|image_pad|><|vision_end|>" : ""
    return Qwen2.render(picture + turn.text, system: turn.system ?? "You are a helpful assistant.")
  }

  /// Positions of a prompt with at most one picture, and the position at which generated text goes on.
  ///
  /// Text counts on; a visual token stands at (start, start + row, start + column); text resumes behind the larger side.
  package func positions(_ tokens: [Int32], grid: PatchGrid?) -> (positions: [Position], next: Int) {
    let merge = configuration.vision.mergeSize
    var positions: [Position] = []
    positions.reserveCapacity(tokens.count)
    var next = 0
    var visual = 0
    for token in tokens {
      guard token == configuration.imageToken, let grid else {
        positions.append(Position(next))
        next += 1
        continue
      }
      let columns = grid.width / merge
      let start = Int32(next)
      positions.append(
        Position(time: start, height: start + Int32(visual / columns), width: start + Int32(visual % columns)))
      visual += 1
      if visual == grid.patches / (merge * merge) { next += max(grid.height, grid.width) / merge }
    }
    return (positions, next)
  }

  // MARK: Weight names

  /// Loads a folder's weights; names as published, or with the prefixes that transformers 5 uses in memory.
  package init(_ files: ModelFiles) throws {
    configuration = try Self.configuration(files)
    let store = try files.weights()
    let nested = store.contains("model.language_model.embed_tokens.weight")
    let loader = files.loader(store) { nested ? Self.nestedName($0) : $0 }
    let seeing = loader.loading(.vision)
    tower = try PatchTower(configuration.vision, weights: seeing, prefix: "visual.")
    language = try Qwen2.decoder(configuration.language, loader)
    let sizes = configuration.vision
    let width = sizes.featureWidth
    mergerNorm = try loader.norm("visual.merger.ln_q", sizes.hidden, epsilon: PatchTower.epsilon)
    mergerIn = try seeing.linear("visual.merger.mlp.0", width, width, bias: true)
    mergerOut = try seeing.linear("visual.merger.mlp.2", configuration.language.sizes.hidden, width, bias: true)
    try loader.finish()
  }

  private static func nestedName(_ name: String) -> String {
    if name.hasPrefix("visual.") { return "model." + name }
    if name.hasPrefix("model.") { return "model.language_model." + name.dropFirst("model.".count) }
    return name
  }
}
