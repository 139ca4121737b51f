import JSON
import Tensors

/// Metadata of one GGUF file, read with messages that name file and key.
struct GGUFMetadata: Sendable {
  let path: String
  let values: [String: GGUFValue]

  init(_ file: GGUFFile) {
    path = file.path
    values = file.metadata
  }

  private func failure(_ key: String, _ expected: String) -> ModelError {
    ModelError("\(path): \"\(key)\": expected \(expected), found \(values[key]?.kind ?? "nothing")")
  }

  func string(_ key: String) throws(ModelError) -> String {
    guard let value = values[key]?.string else { throw failure(key, "a string") }
    return value
  }

  func count(_ key: String, default fallback: Int? = nil) throws(ModelError) -> Int {
    guard let value = values[key] else {
      if let fallback { return fallback }
      throw failure(key, "a whole number")
    }
    guard let number = value.integer, (1...(1 << 30)).contains(number) else {
      throw failure(key, "a whole number above 0")
    }
    return number
  }

  func number(_ key: String, default fallback: Double? = nil) throws(ModelError) -> Double {
    guard let value = values[key] else {
      if let fallback { return fallback }
      throw failure(key, "a number")
    }
    guard let number = value.number, number.isFinite else { throw failure(key, "a finite number") }
    return number
  }

  func invalid(_ key: String, expected: String) -> ModelError { failure(key, expected) }
}

/// A language model's GGUF file: its metadata as the configuration that the families read.
struct GGUFModel: Sendable {
  let file: GGUFFile
  let metadata: GGUFMetadata
  let architecture: String

  var isGemma: Bool { architecture == "gemma3" }

  /// Opens a file of one of the architectures that are known.
  init(path: String) throws {
    file = try GGUFFile(path: path)
    metadata = GGUFMetadata(file)
    architecture = try metadata.string("general.architecture")
    guard ["qwen2", "qwen2vl", "gemma3", "llama"].contains(architecture) else {
      throw metadata.invalid("general.architecture", expected: "qwen2, qwen2vl, gemma3 or llama")
    }
  }

  private func key(_ name: String) -> String { "\(architecture).\(name)" }

  /// Heads of the two products whose rows a Llama file holds in another order, by tensor.
  var permutedHeads: [String: Int] {
    let heads = metadata.values[key("attention.head_count")]?.integer ?? 1
    return ["attn_q": heads, "attn_k": metadata.values[key("attention.head_count_kv")]?.integer ?? heads]
  }

  /// `config.json` as the family would have it.
  ///
  /// - Parameter vision: the other file's half, nil for a plain language model.
  func configuration(vision: GGUFVision?, tokenizer: Tokenizer) throws -> ConfigReader {
    var text = try language()
    guard let vision else {
      text.append(("model_type", .string(["gemma3": "gemma3_text", "qwen2vl": "qwen2"][architecture] ?? architecture)))
      return ConfigReader(place: file.path, json: .object(text))
    }
    let expected = ["qwen2vl": GGUFVision.Kind.qwen, "gemma3": .gemma, "llama": .llava][architecture]
    guard expected == vision.kind else {
      throw ModelError(
        "\(vision.file.path): its projector \"\(vision.kind.rawValue)\" does not belong to \(architecture)")
    }
    let members = try vision.members(tokenizer: tokenizer, language: text)
    return ConfigReader(place: file.path, json: .object(members))
  }

  private func language() throws(ModelError) -> [(key: String, value: JSONValue)] {
    func whole(_ value: Int) -> JSONValue { .number(String(value)) }
    let heads = try metadata.count(key("attention.head_count"))
    let hidden = try metadata.count(key("embedding_length"))
    let headWidth = try metadata.count(key("attention.key_length"), default: max(1, hidden / heads))
    let rows = file.entries.first { $0.name == "token_embd.weight" }?.shape.first ?? 0
    var members: [(key: String, value: JSONValue)] = [
      ("num_hidden_layers", whole(try metadata.count(key("block_count")))), ("hidden_size", whole(hidden)),
      ("intermediate_size", whole(try metadata.count(key("feed_forward_length")))),
      ("num_attention_heads", whole(heads)),
      ("num_key_value_heads", whole(try metadata.count(key("attention.head_count_kv"), default: heads))),
      ("head_dim", whole(headWidth)), ("vocab_size", whole(rows)),
      ("rms_norm_eps", .number("\(Float(try metadata.number(key("attention.layer_norm_rms_epsilon"))))")),
      ("max_position_embeddings", whole(try metadata.count(key("context_length"), default: 4096))),
      ("tie_word_embeddings", .bool(!file.entries.contains { $0.name == "output.weight" })),
      ("rope_theta", .number("\(try metadata.number(key("rope.freq_base"), default: isGemma ? 1_000_000 : 10000))")),
    ]
    if let scaling = try ropeScaling() { members.append(("rope_scaling", scaling)) }
    if isGemma { members += try gemma(headWidth: headWidth) }
    return members
  }

  private func ropeScaling() throws(ModelError) -> JSONValue? {
    if architecture == "qwen2vl" {
      let sections =
        metadata.values[key("rope.dimension_sections")]?.array?.compactMap(\.integer).filter { $0 > 0 } ?? []
      return .object([
        ("type", .string("mrope")), ("mrope_section", .array(sections.map { .number(String($0)) })),
      ])
    }
    guard let type = metadata.values[key("rope.scaling.type")]?.string, type != "none" else { return nil }
    let factor = try metadata.number(key("rope.scaling.factor"), default: 1)
    var members: [(key: String, value: JSONValue)] = [("rope_type", .string(type)), ("factor", .number("\(factor)"))]
    if let original = metadata.values[key("rope.scaling.original_context_length")]?.integer {
      members.append(("original_max_position_embeddings", .number("\(original)")))
    }
    return .object(members)
  }

  private func gemma(headWidth: Int) throws(ModelError) -> [(key: String, value: JSONValue)] {
    let hidden = try metadata.count(key("embedding_length"))
    let heads = try metadata.count(key("attention.head_count"))
    let layers = try metadata.count(key("block_count"))
    // The largest of the family alone scales queries by another width than the head's; no key says so.
    let fallback = layers == 62 ? Double(hidden) / Double(heads) : Double(headWidth)
    let scale = try metadata.number(key("attention.scale"), default: 1 / fallback.squareRoot())
    guard scale > 0 else { throw metadata.invalid(key("attention.scale"), expected: "a number above 0") }
    var members: [(key: String, value: JSONValue)] = [
      ("query_pre_attn_scalar", .number("\(1 / (scale * scale))")),
      ("sliding_window", .number(String(try metadata.count(key("attention.sliding_window"))))),
      ("rope_local_base_freq", .number("\(try metadata.number(key("rope.freq_base_swa"), default: 10000))")),
    ]
    if let cap = metadata.values[key("final_logit_softcapping")]?.number, cap > 0 {
      members.append(("final_logit_softcapping", .number("\(cap)")))
    }
    if let flags = metadata.values[key("attention.sliding_window_pattern")]?.array {
      let types = flags.map { $0.flag == true ? "sliding_attention" : "full_attention" }
      members.append(("layer_types", .array(types.map { .string($0) })))
    } else {
      let pattern = try metadata.count(key("attention.sliding_window_pattern"), default: 6)
      members.append(("sliding_window_pattern", .number(String(pattern))))
    }
    return members
  }

  /// Ids that end an answer: the one that the file names, and the ends of turns, which it does not.
  func defaults(_ tokenizer: Tokenizer) -> GenerationDefaults {
    var defaults = GenerationDefaults()
    if let id = metadata.values["tokenizer.ggml.eos_token_id"]?.integer.flatMap({ Int32(exactly: $0) }) {
      defaults.endOfSequence.insert(id)
    }
    for text in ["<|im_end|>", "<|endoftext|>", "<end_of_turn>", "<|eot_id|>"] {
      if let id = tokenizer.added(text) { defaults.endOfSequence.insert(id) }
    }
    return defaults
  }
}
