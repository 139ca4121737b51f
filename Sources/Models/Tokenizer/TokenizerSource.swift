import JSON

/// The parts of a `tokenizer.json`, read with messages that name file and key.
struct TokenizerSource {
  let json: JSONValue
  let place: String

  private func failure(_ key: String, _ expected: String, _ found: JSONValue?) -> ModelError {
    ModelError("\(place): \(key): expected \(expected), found \(found?.kind ?? "nothing")")
  }

  /// The steps of a component that may be one step, a Sequence of steps, or null.
  private func steps(_ key: String, of list: String) -> [JSONValue] {
    guard let component = json[key], !component.isNull else { return [] }
    return component["type"]?.string == "Sequence" ? component[list]?.array ?? [] : [component]
  }

  func normalizesToNFC() throws(ModelError) -> Bool {
    let steps = steps("normalizer", of: "normalizers")
    for step in steps where step["type"]?.string != "NFC" { throw failure("normalizer", "NFC", step["type"]) }
    return !steps.isEmpty
  }

  /// GPT-2's pattern, which a ByteLevel step stands for where it has `use_regex`.
  private static let byteLevelPattern =
    #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#

  func splitPattern() throws(ModelError) -> SplitPattern {
    var pattern: String?
    var isByteLevel = false
    for step in steps("pre_tokenizer", of: "pretokenizers") {
      switch step["type"]?.string {
      case "Split":
        guard let regex = step["pattern"]?["Regex"]?.string, step["behavior"]?.string == "Isolated",
          step["invert"]?.bool != true, pattern == nil, !isByteLevel
        else { throw failure("pre_tokenizer", "one isolating Split by a Regex, then ByteLevel", step["behavior"]) }
        pattern = regex
      case "ByteLevel":
        if step["add_prefix_space"]?.bool == true {
          throw failure("pre_tokenizer", "add_prefix_space false", step["add_prefix_space"])
        }
        isByteLevel = true
        if step["use_regex"]?.bool ?? true { pattern = pattern ?? Self.byteLevelPattern }
      default: throw failure("pre_tokenizer", "Split or ByteLevel", step["type"])
      }
    }
    guard isByteLevel, let pattern else { throw failure("pre_tokenizer", "Split and ByteLevel", json["pre_tokenizer"]) }
    do { return try SplitPattern(pattern) } catch { throw ModelError("\(place): \(error)") }
  }

  private func model() throws(ModelError) -> JSONValue {
    guard let model = json["model"], model["type"]?.string ?? "BPE" == "BPE" else {
      throw failure("model", "type BPE", json["model"]?["type"])
    }
    for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
      if let text = model[key]?.string, !text.isEmpty { throw failure("model.\(key)", "nothing", model[key]) }
    }
    if model["byte_fallback"]?.bool == true { throw failure("model.byte_fallback", "false", model["byte_fallback"]) }
    if let dropout = model["dropout"]?.double, dropout != 0 { throw failure("model.dropout", "0", model["dropout"]) }
    return model
  }

  func ignoresMerges() throws(ModelError) -> Bool { try model()["ignore_merges"]?.bool ?? false }

  /// Every token's bytes and id.
  func vocabulary() throws(ModelError) -> [ByteString: Int32] {
    guard case .object(let members)? = try model()["vocab"] else {
      throw failure("model.vocab", "an object", json["model"]?["vocab"])
    }
    var vocabulary: [ByteString: Int32] = [:]
    vocabulary.reserveCapacity(members.count)
    for (text, value) in members {
      guard let id = value.int, (0..<(1 << 24)).contains(id) else { throw failure("model.vocab", "ids", value) }
      guard let bytes = Self.byteLevelBytes(text) else {
        throw ModelError("\(place): model.vocab: \"\(text.prefix(40))\" is not written in byte-level letters")
      }
      vocabulary[ByteString(bytes)] = Int32(id)
    }
    return vocabulary
  }

  func merges(_ vocabulary: [ByteString: Int32]) throws(ModelError) -> [(left: Int32, right: Int32, symbol: Int32)] {
    guard let list = try model()["merges"]?.array else {
      throw failure("model.merges", "a list", json["model"]?["merges"])
    }
    var merges: [(left: Int32, right: Int32, symbol: Int32)] = []
    merges.reserveCapacity(list.count)
    for item in list {
      guard let (left, right) = Self.pair(item), let leftBytes = Self.byteLevelBytes(left),
        let rightBytes = Self.byteLevelBytes(right), let leftID = vocabulary[ByteString(leftBytes)],
        let rightID = vocabulary[ByteString(rightBytes)],
        let merged = vocabulary[ByteString(leftBytes + rightBytes)]
      else { throw failure("model.merges[\(merges.count)]", "two tokens that make a third", item) }
      merges.append((leftID, rightID, merged))
    }
    return merges
  }

  /// A merge is written as `"a b"` or as `["a", "b"]`.
  private static func pair(_ item: JSONValue) -> (String, String)? {
    if let text = item.string {
      let parts = text.split(separator: " ", omittingEmptySubsequences: false)
      return parts.count == 2 ? (String(parts[0]), String(parts[1])) : nil
    }
    guard let parts = item.array, parts.count == 2, let left = parts[0].string, let right = parts[1].string else {
      return nil
    }
    return (left, right)
  }

  func byteSymbols(_ vocabulary: [ByteString: Int32]) throws(ModelError) -> [Int32] {
    var symbols: [Int32] = []
    for byte in UInt8.min...UInt8.max {
      guard let id = vocabulary[ByteString([byte])] else {
        throw ModelError("\(place): model.vocab: there is no token for the byte \(byte)")
      }
      symbols.append(id)
    }
    return symbols
  }

  // MARK: Byte-level letters

  /// The byte of each letter of GPT-2's byte-level alphabet.
  private static let byteOfLetter: [UInt8?] = {
    var bytes = [UInt8?](repeating: nil, count: 0x180)
    var next = 256
    for byte in UInt8.min...UInt8.max {
      let isPlain = (33...126).contains(byte) || (161...172).contains(byte) || byte >= 174
      bytes[isPlain ? Int(byte) : next] = byte
      if !isPlain { next += 1 }
    }
    return bytes
  }()

  private static func byteLevelBytes(_ text: String) -> [UInt8]? {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.utf8.count)
    for scalar in text.unicodeScalars {
      guard scalar.value < 0x180, let byte = byteOfLetter[Int(scalar.value)] else { return nil }
      bytes.append(byte)
    }
    return bytes
  }
}
