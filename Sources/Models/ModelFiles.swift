import Foundation
import Tensors

/// Where a model's parts are read from: a folder as Hugging Face lays it out, or GGUF files.
package struct ModelFiles: Sendable {
  /// The folder, or the language model's GGUF file.
  package let path: String
  package let config: ConfigReader
  /// What products are computed with, nil for as stored.
  package let format: WeightFormat?
  /// Whose threads pack the weights.
  package let engine: Engine
  private let gguf: GGUFParts?

  private struct GGUFParts: Sendable {
    let language: GGUFModel
    let vision: GGUFVision?
    let tokenizer: Tokenizer
  }

  /// Reads the configuration.
  ///
  /// - Parameter vision: the `mmproj` file that belongs to a GGUF language model.
  package init(
    path: String, vision: String? = nil, format: WeightFormat? = nil, engine: Engine = Engine(threads: 1)
  ) throws {
    self.path = path
    self.engine = engine
    self.format = format
    guard path.hasSuffix(".gguf") else {
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

  /// Whether norms are stored with the 1 that Gemma adds to them.
  package var normsHoldOne: Bool { gguf != nil }

  package var family: ModelFamily {
    get throws(ModelError) { try .named(config.text("model_type") ?? "", in: config) }
  }

  /// The weights, under the names that are published.
  package func weights() throws -> WeightStore {
    if let gguf { return try GGUFTensors.store(gguf.language, vision: gguf.vision) }
    return try WeightStore(folder: path)
  }

  package func tokenizer() throws(ModelError) -> Tokenizer {
    if let gguf { return gguf.tokenizer }
    return try Tokenizer(folder: path)
  }

  /// What the processor's files say about pictures.
  package func imageSettings() throws(ModelError) -> ConfigReader {
    if let vision = gguf?.vision { return try vision.imageSettings() }
    return try ImagePlan.settings(folder: path)
  }

  package func generationDefaults() throws(ModelError) -> GenerationDefaults {
    if let gguf { return gguf.language.defaults(gguf.tokenizer) }
    return try GenerationDefaults(folder: path, config: config)
  }
}
