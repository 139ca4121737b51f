import Foundation
import Messages
import Tensors

/// Where a model's parts are read from: a folder as Hugging Face lays it out, or GGUF files.
package struct ModelFiles: Sendable {
  /// The folder, or the language model's GGUF file.
  package let path: String
  package let config: ConfigReader
  /// What products are computed with, nil for as stored.
  package let format: WeightFormat?
  /// Whose threads pack the weights; nil to look at names and shapes alone, and leave the values where they are.
  package let engine: Engine?
  /// Where the weights are taken up to be trained, in f32; nil to compute with them alone.
  package let parameters: ParameterSet?
  /// What the weights of a model in training are drawn from, where its folder holds none.
  private let seed: UInt64
  /// The folder whose vision tower such a model begins with, nil for a random one.
  private let tower: String?
  /// Pixels that a picture is brought to at most, where its own size counts; nil for what the processor's file says.
  package var maximumPixels: Int?
  private let cacheType: ElementType?
  private let gguf: GGUFParts?
  /// Whether there is a configuration alone, and weights are made up to measure with.
  private let isInvented: Bool

  private struct GGUFParts: Sendable {
    let language: GGUFModel
    let vision: GGUFVision?
    let tokenizer: Tokenizer
  }

  /// Reads the configuration.
  ///
  /// - Parameters:
  ///   - vision: the `mmproj` file that belongs to a GGUF language model.
  ///   - format: what products are computed with, nil for as stored.
  ///   - cacheType: what caches of keys and values hold: f32, f16, or nil for f16 beside quantised weights.
  package init(
    path: String, vision: String? = nil, format: WeightFormat? = nil, cacheType: ElementType? = nil,
    engine: Engine? = Engine(threads: 1), parameters: ParameterSet? = nil, seed: UInt64 = 0, tower: String? = nil
  ) throws {
    self.path = path
    self.seed = seed
    self.tower = tower
    self.parameters = parameters
    self.cacheType = cacheType
    isInvented = false
    self.engine = engine
    self.format = format
    guard path.hasSuffix(".gguf") else {
      if path.hasSuffix(".safetensors") {
        throw ModelError("\(path): expected the folder that it is in, or a .gguf file")
      }
      if let vision { throw ModelError("\(vision): a vision file belongs to a .gguf model, not to \(path)") }
      config = try ConfigReader(path: path + "/config.json")
      gguf = nil
      return
    }
    let language = try GGUFModel(path: path)
    let half = try vision.map { try GGUFVision(path: $0) }
    let extra = half.map { GGUFVision.imageTokens($0.kind).token }
    let tokenizer = try GGUFTokenizer(language.metadata).tokenizer(extra: extra)
    config = try language.configuration(vision: half, tokenizer: tokenizer)
    gguf = GGUFParts(language: language, vision: half, tokenizer: tokenizer)
  }

  /// A model of a shape, with random weights: to measure with, not to talk to.
  package init(shape config: ConfigReader, format: WeightFormat, engine: Engine, parameters: ParameterSet? = nil) {
    path = config.place
    self.config = config
    self.format = format
    self.engine = engine
    cacheType = nil
    gguf = nil
    self.parameters = parameters
    seed = 0
    tower = nil
    isInvented = true
  }

  /// The same model to be measured with this engine: not kept, and with columns that count alike.
  func measuring(with engine: Engine) -> ModelFiles { ModelFiles(self, engine) }

  private init(_ files: ModelFiles, _ engine: Engine) {
    (path, config, gguf, format) = (files.path, files.config, files.gguf, files.format)
    (cacheType, seed, tower) = (files.cacheType, files.seed, files.tower)
    (parameters, isInvented) = (files.parameters, files.isInvented)
    self.engine = engine
  }

  package var family: ModelFamily {
    get throws(ModelError) {
      if let gguf, gguf.language.architecture == "qwen2vl", gguf.vision == nil { return Qwen25VL.languageAlone }
      return try .named(config.text("model_type") ?? "", in: config)
    }
  }

  /// The weights, under the names that are published.
  package func weights() throws -> WeightStore {
    if isInvented { return WeightStore(inventing: path) }
    if let gguf { return try GGUFTensors.store(gguf.language, vision: gguf.vision) }
    if parameters != nil, !holdsWeights {
      let vision = try towerWeights()
      let layers = try (config.object("text_config") ?? config).count("num_hidden_layers", default: 1)
      let isGemma = try family.modelType.hasPrefix("gemma")
      return FreshWeights.store(
        path, seed: seed, layers: layers, isGemma: isGemma, tower: vision)
    }
    if let tower { throw ModelError("\(path) has weights of its own: expected none beside tower=\(tower)") }
    try checkQuantisation()
    return try WeightStore(folder: path)
  }

  /// Throws where the configuration says that weights are stored in a way that is not read.
  private func checkQuantisation() throws(ModelError) {
    guard let quantisation = config.object("quantization_config") else { return }
    guard try quantisation.text("quant_method") == "compressed-tensors" else {
      throw quantisation.invalid("quant_method", expected: "\"compressed-tensors\"")
    }
    let readable = ["int-quantized", "pack-quantized", "naive-quantized", "mixed-precision", "dense"]
    guard let format = try quantisation.text("format"), readable.contains(format) else {
      throw quantisation.invalid("format", expected: "\"int-quantized\" or \"pack-quantized\"")
    }
    if case .object(let groups)? = quantisation.object("transform_config")?.json["config_groups"], !groups.isEmpty {
      throw quantisation.invalid("transform_config", expected: "none")
    }
  }

  /// The weights of the model whose tower this one begins with, which must be of its family.
  private func towerWeights() throws -> WeightStore? {
    guard let tower else { return nil }
    let (own, other) = (try family.modelType, try ConfigReader(path: tower + "/config.json"))
    guard try other.text("model_type") == own else {
      throw other.invalid("model_type", expected: "\"\(own)\", whose tower fits")
    }
    return try WeightStore(folder: tower)
  }

  private var holdsWeights: Bool {
    ["model.safetensors", "model.safetensors.index.json"].contains {
      FileManager.default.fileExists(atPath: path + "/" + $0)
    }
  }

  /// Reads weights for a family that names them `rename` of what is published.
  func loader(_ store: WeightStore, rename: @escaping @Sendable (String) -> String = { $0 }) -> WeightLoader {
    let isQuantised = format?.isQuantised ?? store.isQuantised
    var kept: PackedCache?
    let isMeasured = engine?.gauge != nil
    if let engine, !isMeasured, let format, format.isQuantised, !isInvented, let folder = PackedCache.standardFolder {
      let cache = PackedCache(folder: folder, sources: store.files, format: format, engine)
      kept = cache
      if cache.isEmpty, store.byteCount > 1 << 29 {
        complain("\(path): making \(format.rawValue) weights, which are kept in \(cache.path) for later starts")
      }
    }
    return WeightLoader(
      store, format: format, cacheType: cacheType ?? (isQuantised ? .f16 : .f32), kept: kept,
      importance: format == .q4 && !isMeasured && !isInvented ? ColumnImportance(of: self) : nil, engine,
      parameters: parameters,
      // llama.cpp's converter adds the 1 that Gemma adds to its norms.
      normsHoldOne: gguf != nil, rename: rename)
  }

  package func tokenizer() throws(ModelError) -> Tokenizer {
    if let gguf { return gguf.tokenizer }
    return try Tokenizer(folder: path)
  }

  /// What the processor's files say about pictures.
  package func imageSettings() throws(ModelError) -> ConfigReader {
    if let vision = gguf?.vision { return try vision.imageSettings() }
    if isInvented { return ConfigReader(place: path, json: .object([])) }
    return try ImagePlan.settings(folder: path)
  }

  package func generationDefaults() throws(ModelError) -> GenerationDefaults {
    if let gguf { return gguf.language.defaults(gguf.tokenizer) }
    return try GenerationDefaults(folder: path, config: config)
  }
}
