import Tensors

/// LLaVA 1.5: a CLIP tower, a two-layer projector and a Llama decoder.
package struct Llava: VisionModel {
  /// The family as the list of families has it.
  package static let family = ModelFamily(
    modelType: "llava",
    load: { files in
      let model = try Llava(files)
      return ModelParts(language: model.language, vision: model)
    },
    render: { turn in
      let system = turn.system.map { $0 + " " } ?? ""
      return "\(system)USER: \(turn.hasImage ? "<image>\n" : "")\(turn.text) ASSISTANT:"
    },
    endOfTurn: "</s>", templateMarks: ["<image>", ".upper()", "ASSISTANT:"])

  // MARK: Configuration

  /// Everything that `config.json` and the processor's file say.
  package struct Configuration: Sendable, Equatable {
    package var language: Llama.Configuration
    package var vision: VisionTransformerConfiguration
    /// Blocks whose output is read: the tower's states are numbered from 0, its embeddings, and −1 is the last.
    package var depth: Int
    /// Whether the class token is left out: the strategy "default".
    package var dropsClassToken: Bool
    package var projectorActivation: Activation
    package var imageToken: Int32
  }

  /// Reads `config.json`. Defaults are those of transformers' LlavaConfig and CLIPVisionConfig.
  package static func configuration(_ config: ConfigReader) throws(ModelError) -> Configuration {
    guard let section = config.object("vision_config") else {
      throw config.invalid("vision_config", expected: "an object")
    }
    try checkHalves(config)
    let vision = try visionConfiguration(section)
    let layers = try config.integers("vision_feature_layer") ?? [-2]
    guard layers.count == 1 else { throw config.invalid("vision_feature_layer", expected: "one layer") }
    let depth = layers[0] < 0 ? vision.layers + 1 + layers[0] : layers[0]
    guard (0...vision.layers).contains(depth) else {
      throw config.invalid("vision_feature_layer", expected: "a state of the tower's \(vision.layers) layers")
    }
    let strategy = try config.text("vision_feature_select_strategy") ?? "default"
    guard ["default", "full"].contains(strategy) else {
      throw config.invalid("vision_feature_select_strategy", expected: "\"default\" or \"full\"")
    }
    let activation = try config.text("projector_hidden_act") ?? "gelu"
    guard let projectorActivation = Activation(rawValue: activation), projectorActivation != .silu else {
      throw config.invalid("projector_hidden_act", expected: "\"gelu\"")
    }
    let fallback = try config.count("image_token_id", default: 32000, atMost: 1 << 24)
    return Configuration(
      language: try language(config), vision: vision, depth: depth,
      dropsClassToken: strategy == "default", projectorActivation: projectorActivation,
      imageToken: Int32(try config.count("image_token_index", default: fallback, atMost: 1 << 24)))
  }

  /// Throws where a half is of another architecture, whose weights may well have the same names.
  private static func checkHalves(_ config: ConfigReader) throws(ModelError) {
    for (half, known) in [("vision_config", ["clip_vision_model"]), ("text_config", ["llama", "mistral"])] {
      guard let section = config.object(half), let type = try section.text("model_type"), !known.contains(type) else {
        continue
      }
      throw section.invalid("model_type", expected: known.map { "\"\($0)\"" }.joined(separator: " or "))
    }
  }

  /// The half that speaks. Mistral is Llama with a window: within it, it is the same.
  private static func language(_ config: ConfigReader) throws(ModelError) -> Llama.Configuration {
    var language = try Llama.configuration(config)
    if let text = config.object("text_config"), try text.text("model_type") == "mistral" {
      let window = try text.count("sliding_window", default: language.sizes.maximumPositions, atMost: 1 << 30)
      language.sizes.maximumPositions = min(language.sizes.maximumPositions, window)
    }
    return language
  }

  private static func visionConfiguration(_ section: ConfigReader) throws(ModelError) -> VisionTransformerConfiguration
  {
    let name = try section.text("hidden_act") ?? "quick_gelu"
    guard let activation = Activation(rawValue: name), activation != .silu else {
      throw section.invalid("hidden_act", expected: "\"quick_gelu\" or \"gelu\"")
    }
    return try VisionTransformerConfiguration(
      section, hidden: 768, intermediate: 3072, layers: 12, heads: 12, imageSize: 224, patchSize: 32, epsilon: 1e-5,
      activation: activation)
  }

  // MARK: Image plan

  private static func plan(
    _ settings: ConfigReader, _ vision: VisionTransformerConfiguration
  ) throws(ModelError) -> ImagePlan {
    guard try !settings.flag("do_pad", default: false) else { throw settings.invalid("do_pad", expected: "false") }
    let side = vision.imageSize
    let layout = PatchLayout(size: vision.patchSize)
    // The tower's side stands in where nothing is said: its files go with it.
    if let size = settings.object("size"), size.json["shortest_edge"] == nil, size.json["height"] != nil {
      for key in ["height", "width"] where try size.count(key) != side {
        throw size.invalid(key, expected: "the tower's image size, \(side)")
      }
      return try ImagePlan(settings, sizing: .fixed(height: side, width: side), layout: layout)
    }
    return try ImagePlan(settings, sizing: try shortestEdge(settings, side), layout: layout)
  }

  /// The shorter side as long as the file says, and the tower's square of the middle.
  private static func shortestEdge(_ settings: ConfigReader, _ side: Int) throws(ModelError) -> ImagePlan.Sizing {
    // An object, or in older files one number.
    func length(_ key: String, of part: String) throws(ModelError) -> Int {
      if let object = settings.object(part) { return try object.count(key, default: side) }
      return try settings.count(part, default: side)
    }
    if let longest = settings.object("size")?.json["longest_edge"], !longest.isNull {
      throw settings.invalid("size", expected: "a shortest edge alone")
    }
    let edge = try length("shortest_edge", of: "size")
    for key in ["height", "width"] where try length(key, of: "crop_size") != side {
      throw settings.invalid("crop_size", expected: "the tower's image size, \(side)")
    }
    guard edge >= side else { throw settings.invalid("size", expected: "at least the tower's image size, \(side)") }
    let isCropped = try settings.flag("do_center_crop", default: true)
    guard isCropped || edge == side else {
      throw settings.invalid("do_center_crop", expected: "true")
    }
    return .shortestEdge(edge, cropHeight: side, cropWidth: side)
  }

  // MARK: Vision and projector

  package let configuration: Configuration
  package let imagePlan: ImagePlan
  package let language: Decoder
  private let embedding: PatchEmbedding
  private let classToken: Tensor
  private let preNorm: LayerNorm
  private let tower: VisionTransformer
  private let projectorIn: Linear
  private let projectorOut: Linear

  package var featureWidth: Int { configuration.vision.hidden }
  package var towerWidths: (hidden: Int, inner: Int) {
    (configuration.vision.hidden, configuration.vision.intermediate)
  }
  package var summary: String {
    let sizes = configuration.vision
    return "CLIP, \(sizes.layers) blocks of \(sizes.hidden), the state behind block \(configuration.depth)"
  }

  package func visualGrid(_ grid: PatchGrid) -> VisualGrid {
    // The class token has no place on the picture: with it, the tokens are a row.
    configuration.dropsClassToken
      ? VisualGrid(height: grid.height, width: grid.width) : VisualGrid(height: 1, width: grid.patches + 1)
  }

  package var linears: [Linear] { [embedding.patch] + tower.linears + [projectorIn, projectorOut] }

  /// The chosen state of the tower: [visual tokens, hidden].
  package func features(_ patches: Tensor, grid: PatchGrid, _ engine: Engine) -> Tensor {
    let rows = embedding(patches, behind: [classToken], engine)
    let states = tower(preNorm(rows, engine), depth: configuration.depth, engine)
    return configuration.dropsClassToken ? states.rows(1..<states.rows) : states
  }

  package func project(_ features: Tensor, _ engine: Engine) -> Tensor {
    let inner = projectorIn(features, engine)
    configuration.projectorActivation.apply(to: inner, engine)
    return projectorOut(inner, engine)
  }

  // MARK: Prompt

  package let placeholder = "<image>"
  package var imageToken: Int32 { configuration.imageToken }
  package var imageMarkers: Set<Int32> { [configuration.imageToken] }

  package func expansion(visualTokens: Int) -> String { String(repeating: placeholder, count: visualTokens) }

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
    embedding = try PatchEmbedding(vision, weights: seeing, prefix: prefix + "embeddings.", leading: 1, bias: false)
    classToken = Tensor(
      rows: 1, columns: vision.hidden, values: try loader.vector(prefix + "embeddings.class_embedding", vision.hidden))
    preNorm = try loader.layerNorm(prefix + "pre_layrnorm", vision.hidden, epsilon: vision.epsilon)
    tower = try VisionTransformer(vision, weights: seeing, prefix: prefix + "encoder.")
    // No state before the tower's end is normed; the pooled output alone is, and nothing reads it.
    loader.ignore(prefix + "post_layernorm.weight")
    loader.ignore(prefix + "post_layernorm.bias")
    loader.ignore(prefix + "embeddings.position_ids")
    let hidden = configuration.language.sizes.hidden
    projectorIn = try seeing.linear("multi_modal_projector.linear_1", hidden, vision.hidden, bias: true)
    projectorOut = try seeing.linear("multi_modal_projector.linear_2", hidden, hidden, bias: true)
    language = try Llama.decoder(configuration.language, loader)
    try loader.finish()
  }
}
