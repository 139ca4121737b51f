import JSON
import Tensors

/// The `mmproj` file that belongs to a language model's GGUF file: tower and projector.
struct GGUFVision: Sendable {
  /// Its projector's kind, by llama.cpp's names.
  enum Kind: String, Sendable {
    case qwen = "qwen2.5vl_merger"
    case gemma = "gemma3"
    case llava = "mlp"
  }

  let file: GGUFFile
  let metadata: GGUFMetadata
  let kind: Kind
  /// Width of the tower.
  let width: Int

  init(path: String) throws {
    file = try GGUFFile(path: path)
    metadata = GGUFMetadata(file)
    guard try metadata.string("general.architecture") == "clip" else {
      throw metadata.invalid("general.architecture", expected: "clip, a vision half")
    }
    let name = metadata.values["clip.projector_type"] ?? metadata.values["clip.vision.projector_type"]
    guard let kind = Kind(rawValue: name?.string ?? "mlp") else {
      throw metadata.invalid("clip.projector_type", expected: "qwen2.5vl_merger, gemma3 or mlp")
    }
    self.kind = kind
    width = try metadata.count("clip.vision.embedding_length")
  }

  private typealias Members = [(key: String, value: JSONValue)]

  private func whole(_ value: Int) -> JSONValue { .number(String(value)) }

  /// What the placeholder's token is called, and the marks around it.
  static func imageTokens(_ kind: Kind) -> (token: String, start: String, end: String) {
    switch kind {
    case .qwen: ("<|image_pad|>", "<|vision_start|>", "<|vision_end|>")
    case .gemma: ("<image_soft_token>", "<start_of_image>", "<end_of_image>")
    case .llava: ("<image>", "<image>", "<image>")
    }
  }

  /// Members of `config.json` with both halves.
  func members(
    tokenizer: Tokenizer, language: [(key: String, value: JSONValue)]
  ) throws(ModelError) -> [(key: String, value: JSONValue)] {
    let names = Self.imageTokens(kind)
    func id(_ name: String) throws(ModelError) -> JSONValue {
      guard let id = tokenizer.added(name) else {
        throw ModelError("\(file.path): the vocabulary has no token \(name)")
      }
      return whole(Int(id))
    }
    switch kind {
    case .qwen:
      return language + [
        ("model_type", .string("qwen2_5_vl")), ("vision_config", .object(try qwenSection(language))),
        ("image_token_id", try id(names.token)), ("vision_start_token_id", try id(names.start)),
        ("vision_end_token_id", try id(names.end)),
      ]
    case .gemma:
      let side = try metadata.count("clip.vision.image_size") / metadata.count("clip.vision.patch_size")
      let tokens = try side / metadata.count("clip.vision.projector.scale_factor", default: 4)
      return [
        ("model_type", .string("gemma3")), ("text_config", .object(language)),
        ("vision_config", .object(try towerSection(gelu: "gelu_pytorch_tanh"))),
        ("mm_tokens_per_image", whole(tokens * tokens)), ("image_token_index", try id(names.token)),
        ("boi_token_index", try id(names.start)), ("eoi_token_index", try id(names.end)),
      ]
    case .llava:
      // Files of this kind leave out the blocks behind the state that is read.
      let layer = metadata.values["clip.vision.feature_layer"]?.array?.first?.integer
      return [
        ("model_type", .string("llava")), ("text_config", .object(language)),
        ("vision_config", .object(try towerSection(gelu: "gelu"))), ("vision_feature_layer", whole(layer ?? -1)),
        ("image_token_index", try id(names.token)),
        ("tie_word_embeddings", language.first { $0.key == "tie_word_embeddings" }?.value ?? .bool(false)),
      ]
    }
  }

  private func towerSection(gelu: String) throws(ModelError) -> Members {
    let usesGELU = metadata.values["clip.use_gelu"]?.flag == true
    return [
      ("hidden_size", whole(width)),
      ("intermediate_size", whole(try metadata.count("clip.vision.feed_forward_length"))),
      ("num_hidden_layers", whole(try metadata.count("clip.vision.block_count"))),
      ("num_attention_heads", whole(try metadata.count("clip.vision.attention.head_count"))),
      ("image_size", whole(try metadata.count("clip.vision.image_size"))),
      ("patch_size", whole(try metadata.count("clip.vision.patch_size"))),
      ("layer_norm_eps", .number("\(try metadata.number("clip.vision.attention.layer_norm_epsilon"))")),
      ("hidden_act", .string(usesGELU ? gelu : "quick_gelu")),
    ]
  }

  private func qwenSection(_ language: Members) throws(ModelError) -> Members {
    let depth = try metadata.count("clip.vision.block_count")
    let pattern = try metadata.count("clip.vision.n_wa_pattern", default: 8)
    guard depth <= 1 << 16 else { throw metadata.invalid("clip.vision.block_count", expected: "at most 65536") }
    let full = stride(from: pattern - 1, to: depth, by: pattern)
    return [
      ("depth", whole(depth)), ("hidden_size", whole(width)),
      ("intermediate_size", whole(try metadata.count("clip.vision.feed_forward_length"))),
      ("num_heads", whole(try metadata.count("clip.vision.attention.head_count"))),
      ("patch_size", whole(try metadata.count("clip.vision.patch_size"))),
      ("spatial_merge_size", whole(try metadata.count("clip.vision.spatial_merge_size", default: 2))),
      ("window_size", whole(try metadata.count("clip.vision.window_size", default: 112))),
      ("fullatt_block_indexes", .array(full.map { whole($0) })),
      ("out_hidden_size", language.first { $0.key == "hidden_size" }?.value ?? whole(width)),
    ]
  }

  /// What a processor's file would say.
  func imageSettings() throws(ModelError) -> ConfigReader {
    var members: Members = []
    for (key, name) in [("clip.vision.image_mean", "image_mean"), ("clip.vision.image_std", "image_std")] {
      if let numbers = metadata.values[key]?.array {
        members.append((name, .array(numbers.map { .number("\(Float($0.number ?? .nan))") })))
      }
    }
    for (key, name) in [("clip.vision.image_min_pixels", "min_pixels"), ("clip.vision.image_max_pixels", "max_pixels")]
    {
      if let value = metadata.values[key]?.integer { members.append((name, whole(value))) }
    }
    return ConfigReader(place: file.path, json: .object(members))
  }
}
