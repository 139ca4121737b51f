import Tensors

/// The tensors of a language model's GGUF file, and of its vision half, under the names that are published elsewhere.
struct GGUFTensors {
  private var places: [String: WeightStore.Place] = [:]
  private let file: GGUFFile
  private let entries: [String: GGUFFile.Entry]

  private init(_ file: GGUFFile) {
    self.file = file
    entries = Dictionary(file.entries.map { ($0.name, $0) }) { first, _ in first }
  }

  /// A store of both files' tensors.
  static func store(_ language: GGUFModel, vision: GGUFVision?) throws(ModelError) -> WeightStore {
    var tensors = GGUFTensors(language.file)
    try tensors.addLanguage(language, prefix: vision.map { $0.kind == .qwen ? "" : "language_model." } ?? "")
    var places = tensors.places
    if let vision {
      var more = GGUFTensors(vision.file)
      if vision.kind == .qwen { try more.addQwenVision() } else { try more.addTower(vision) }
      places.merge(more.places) { first, _ in first }
    }
    return WeightStore(folder: language.file.path, places: places)
  }

  // MARK: Recipes

  private func failure(_ entry: GGUFFile.Entry) -> ModelError {
    ModelError("\(file.path): tensor \"\(entry.name.prefix(200))\" belongs to no part that is known")
  }

  private func entry(_ name: String) -> GGUFFile.Entry? { entries[name] }

  private mutating func add(
    _ name: String, _ parts: [GGUFFile.Entry], shape: [Int],
    _ make: @escaping @Sendable (GGUFFile) -> StoredTensor
  ) {
    let file = file
    places[name] = WeightStore.Place(
      path: file.path, shape: shape, format: parts[0].format.name, byteCount: parts.reduce(0) { $0 + $1.bytes.count }
    ) { make(file) }
  }

  private mutating func add(_ name: String, _ entry: GGUFFile.Entry) {
    add(name, [entry], shape: entry.shape) { $0.tensor(entry) }
  }

  // MARK: Language

  private static let blockNames = [
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj", "post_attention_norm": "post_attention_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
  ]

  private mutating func addLanguage(_ model: GGUFModel, prefix: String) throws(ModelError) {
    let top = [
      "token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight",
      "output.weight": "lm_head.weight",
    ]
    for entry in file.entries {
      if let name = top[entry.name] {
        add(prefix + name, entry)
        continue
      }
      let parts = entry.name.split(separator: ".").map(String.init)
      guard parts.count == 4, parts[0] == "blk", let layer = Int(parts[1]) else { throw failure(entry) }
      var name = Self.blockNames[parts[2]]
      if parts[2] == "ffn_norm" { name = model.isGemma ? "pre_feedforward_layernorm" : "post_attention_layernorm" }
      guard let name else { throw failure(entry) }
      let full = "\(prefix)model.layers.\(layer).\(name).\(parts[3])"
      if model.architecture == "llama", let heads = model.permutedHeads[parts[2]], parts[3] == "weight" {
        add(full, [entry], shape: entry.shape) { Self.unpermuted($0.tensor(entry), heads: heads) }
      } else {
        add(full, entry)
      }
    }
  }

  /// Llama's query and key rows are stored so that rotated pairs are neighbours; here they stand half a head apart.
  private static func unpermuted(_ tensor: StoredTensor, heads: Int) -> StoredTensor {
    guard heads > 0, tensor.rows % (2 * heads) == 0 else { return tensor }
    let width = tensor.rows / heads
    return tensor.reordered(
      (0..<tensor.rows).map { row in
        let (head, place) = (row / width, row % width)
        return head * width + place % (width / 2) * 2 + place / (width / 2)
      })
  }

  // MARK: SigLIP and CLIP

  private static let towerNames = [
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_out": "self_attn.out_proj", "ln1": "layer_norm1", "ln2": "layer_norm2",
  ]

  private mutating func addTower(_ vision: GGUFVision) throws(ModelError) {
    let prefix = "vision_tower.vision_model."
    let projector = "multi_modal_projector."
    let first = entry("mm.0.weight") == nil ? "mm.1" : "mm.0"
    let top = [
      "v.patch_embd": prefix + "embeddings.patch_embedding",
      "v.position_embd": prefix + "embeddings.position_embedding",
      "v.pre_ln": prefix + "pre_layrnorm", "v.post_ln": prefix + "post_layernorm",
      "mm.soft_emb_norm": projector + "mm_soft_emb_norm", first: projector + "linear_1", "mm.2": projector + "linear_2",
    ]
    // An old converter called the two halves of the feed-forward by each other's names: the shapes tell.
    let inner = entry("v.blk.0.ffn_up.weight")
    let isSwapped = inner?.shape.first == vision.width && inner?.shape.last != vision.width
    for entry in file.entries {
      let parts = entry.name.split(separator: ".").map(String.init)
      if entry.name == "v.class_embd" {
        add(prefix + "embeddings.class_embedding", entry)
      } else if entry.name == "mm.input_projection.weight" {
        add(projector + "mm_input_projection_weight", entry)
      } else if parts.count == 5, parts[0] == "v", parts[1] == "blk", let layer = Int(parts[2]) {
        let feedForward = ["ffn_up": isSwapped ? "mlp.fc2" : "mlp.fc1", "ffn_down": isSwapped ? "mlp.fc1" : "mlp.fc2"]
        guard let name = Self.towerNames[parts[3]] ?? feedForward[parts[3]] else { throw failure(entry) }
        add("\(prefix)encoder.layers.\(layer).\(name).\(parts[4])", entry)
      } else if let suffix = parts.last, let name = top[parts.dropLast().joined(separator: ".")] {
        add(name + "." + suffix, entry)
      } else {
        throw failure(entry)
      }
    }
  }

  // MARK: Qwen2.5-VL's tower

  private static let qwenNames = [
    "attn_out": "attn.proj", "ln1": "norm1", "ln2": "norm2", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj", "attn_qkv": "attn.qkv",
  ]

  private mutating func addQwenVision() throws(ModelError) {
    for entry in file.entries {
      let parts = entry.name.split(separator: ".").map(String.init)
      switch entry.name {
      case "v.patch_embd.weight": try addPatchPair(entry)
      case "v.patch_embd.weight.1": continue
      case "v.post_ln.weight": add("visual.merger.ln_q.weight", entry)
      case "mm.0.weight", "mm.0.bias", "mm.2.weight", "mm.2.bias":
        add("visual.merger.mlp.\(parts[1]).\(parts[2])", entry)
      default:
        guard parts.count == 5, parts[0] == "v", parts[1] == "blk", let layer = Int(parts[2]) else {
          throw failure(entry)
        }
        if let name = Self.qwenNames[parts[3]] {
          add("visual.blocks.\(layer).\(name).\(parts[4])", entry)
        } else if parts[3] == "attn_q" {
          try addJoined(layer, parts[4], entry)
        } else if parts[3] != "attn_k", parts[3] != "attn_v" {
          throw failure(entry)
        }
      }
    }
  }

  /// Query, key and value rows one below the other.
  private mutating func addJoined(_ layer: Int, _ suffix: String, _ query: GGUFFile.Entry) throws(ModelError) {
    guard let key = entry("v.blk.\(layer).attn_k.\(suffix)"), let value = entry("v.blk.\(layer).attn_v.\(suffix)"),
      key.shape == query.shape, value.shape == query.shape
    else {
      throw ModelError("\(file.path): tensor \"\(query.name)\": expected attn_k and attn_v of its shape beside it")
    }
    var shape = query.shape
    shape[0] *= 3
    let parts = [query, key, value]
    add("visual.blocks.\(layer).attn.qkv.\(suffix)", parts, shape: shape) { file in
      StoredTensor(stacking: parts.map { file.tensor($0) })
    }
  }

  /// The two frames of the patch embedding, which are stored apart: [hidden, 3, 2, size, size].
  private mutating func addPatchPair(_ first: GGUFFile.Entry) throws(ModelError) {
    guard let second = entry("v.patch_embd.weight.1"), second.shape == first.shape, first.shape.count == 4 else {
      throw ModelError("\(file.path): tensor \"\(first.name)\": expected a second of its shape, v.patch_embd.weight.1")
    }
    let shape = [first.shape[0], first.shape[1], 2, first.shape[2], first.shape[3]]
    let plane = first.shape[2] * first.shape[3]
    add("visual.patch_embed.proj.weight", [first, second], shape: shape) { file in
      let frames = [file.tensor(first).values, file.tensor(second).values]
      let result = Tensor(rows: shape[0], columns: shape[1] * 2 * plane)
      result.withMutable { out in
        for index in 0..<result.count {
          let (group, within) = (index / (2 * plane), index % (2 * plane))
          out[index] = frames[within / plane][group * plane + within % plane]
        }
      }
      return StoredTensor(result)
    }
  }
}
