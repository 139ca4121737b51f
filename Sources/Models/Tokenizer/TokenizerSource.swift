import JSON

/// A `tokenizer.json`, read with messages that name file and key. What it uses and this does not know is an error.
struct TokenizerSource {
  let json: JSONValue
  let place: String

  private func failure(_ key: String, _ expected: String, _ found: JSONValue?) -> ModelError {
    ModelError("\(place): \(key): expected \(expected), found \(found?.kind ?? "nothing")")
  }

  func parts() throws(ModelError) -> TokenizerParts {
    let model = try model()
    let (splitter, isByteLevel) = try splitter()
    let vocabulary = try vocabulary(model, isByteLevel)
    let normalizers = try normalizers()
    let added = try AddedTokens(json["added_tokens"], normalizers: normalizers, place: place)
    let alphabet = try isByteLevel ? byteAlphabet(vocabulary) : characterAlphabet(vocabulary, model)
    var parts = TokenizerParts(
      addedTokens: added, normalizers: normalizers, splitter: splitter, alphabet: alphabet,
      encoding: BytePairEncoding(merges: try merges(vocabulary, model, isByteLevel)),
      texts: texts(vocabulary, added))
    if model["ignore_merges"]?.bool == true { parts.wholeWords = vocabulary }
    if case .characters(_, let bytes, _, _) = alphabet, let bytes { parts.markByteTokens(bytes) }
    if !isByteLevel { try readDecoder(into: &parts) }
    parts.prefix = try prefix()
    return parts
  }

  private func texts(_ vocabulary: [ByteString: Int32], _ added: AddedTokens) -> [[UInt8]] {
    let last = max(vocabulary.values.max() ?? -1, added.tokens.map(\.id).max() ?? -1)
    var texts = Array(repeating: [UInt8](), count: Int(last) + 1)
    for (word, id) in vocabulary { texts[Int(id)] = word.bytes }
    for token in added.tokens { texts[Int(token.id)] = token.content }
    return texts
  }

  // MARK: Steps

  /// The steps of a component that may be one step, a Sequence of steps, or null.
  private func steps(_ key: String, of list: String) -> [JSONValue] {
    guard let component = json[key], !component.isNull else { return [] }
    return component["type"]?.string == "Sequence" ? component[list]?.array ?? [] : [component]
  }

  private func normalizers() throws(ModelError) -> [TextNormalizer] {
    var normalizers: [TextNormalizer] = []
    // How many times as long all replacements together may make a text.
    var growth = 1
    for step in steps("normalizer", of: "normalizers") {
      switch step["type"]?.string {
      case "NFC": normalizers.append(.nfc)
      case "Replace":
        guard let pattern = step["pattern"]?["String"]?.string, !pattern.isEmpty, let content = step["content"]?.string
        else { throw failure("normalizer", "Replace of a String", step["pattern"]) }
        growth *= max(1, (content.utf8.count + pattern.utf8.count - 1) / pattern.utf8.count)
        guard growth <= 1000 else {
          throw failure("normalizer", "replacements that make a text 1000 times as long at most", step["content"])
        }
        normalizers.append(.replace(Array(pattern.utf8), with: Array(content.utf8)))
      case "Prepend":
        guard let text = step["prepend"]?.string else {
          throw failure("normalizer", "Prepend of text", step["prepend"])
        }
        normalizers.append(.prepend(Array(text.utf8)))
      default: throw failure("normalizer", "NFC, Replace or Prepend", step["type"])
      }
    }
    return normalizers
  }

  /// GPT-2's pattern, which a ByteLevel step stands for where it has `use_regex`.
  private static let byteLevelPattern =
    #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#

  private func splitter() throws(ModelError) -> (WordSplitter, isByteLevel: Bool) {
    var splitter: WordSplitter?
    var isByteLevel = false
    for step in steps("pre_tokenizer", of: "pretokenizers") {
      guard !isByteLevel else { throw failure("pre_tokenizer", "nothing behind ByteLevel", step["type"]) }
      switch step["type"]?.string {
      case "Split" where splitter == nil: splitter = try split(step)
      case "Metaspace" where splitter == nil: splitter = try metaspace(step)
      case "ByteLevel":
        if step["add_prefix_space"]?.bool == true {
          throw failure("pre_tokenizer", "add_prefix_space false", step["add_prefix_space"])
        }
        isByteLevel = true
        guard step["use_regex"]?.bool ?? true else { continue }
        guard splitter == nil else { throw failure("pre_tokenizer", "use_regex false behind Split", step["use_regex"]) }
        splitter = .pattern(try compiled(Self.byteLevelPattern))
      default: throw failure("pre_tokenizer", "one of Split or Metaspace, then perhaps ByteLevel", step["type"])
      }
    }
    return (splitter ?? .whole, isByteLevel)
  }

  private func compiled(_ pattern: String) throws(ModelError) -> SplitPattern {
    do { return try SplitPattern(pattern) } catch { throw ModelError("\(place): \(error)") }
  }

  private func split(_ step: JSONValue) throws(ModelError) -> WordSplitter {
    let behavior = step["behavior"]?.string
    if step["invert"]?.bool == true { throw failure("pre_tokenizer", "invert false", step["invert"]) }
    if let regex = step["pattern"]?["Regex"]?.string, behavior == "Isolated" { return .pattern(try compiled(regex)) }
    if let text = step["pattern"]?["String"]?.string, !text.isEmpty, behavior == "MergedWithPrevious" {
      return .behind(Array(text.utf8))
    }
    throw failure("pre_tokenizer", "Split by a Regex, Isolated, or by a String, MergedWithPrevious", step["behavior"])
  }

  private func metaspace(_ step: JSONValue) throws(ModelError) -> WordSplitter {
    guard let mark = step["replacement"]?.string, !mark.isEmpty,
      let prepends = WordSplitter.Prepending(rawValue: step["prepend_scheme"]?.string ?? "always")
    else { throw failure("pre_tokenizer", "a replacement and a prepend_scheme", step["prepend_scheme"]) }
    return .marked(Array(mark.utf8), prepends: prepends, splits: step["split"]?.bool ?? true)
  }

  // MARK: Model

  private func model() throws(ModelError) -> JSONValue {
    guard let model = json["model"], model["type"]?.string ?? "BPE" == "BPE" else {
      throw failure("model", "type BPE", json["model"]?["type"])
    }
    for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
      if let text = model[key]?.string, !text.isEmpty { throw failure("model.\(key)", "nothing", model[key]) }
    }
    if let dropout = model["dropout"]?.double, dropout != 0 { throw failure("model.dropout", "0", model["dropout"]) }
    return model
  }

  /// Every token's bytes and id.
  private func vocabulary(_ model: JSONValue, _ isByteLevel: Bool) throws(ModelError) -> [ByteString: Int32] {
    guard case .object(let members)? = model["vocab"] else { throw failure("model.vocab", "an object", model["vocab"]) }
    var vocabulary: [ByteString: Int32] = [:]
    vocabulary.reserveCapacity(members.count)
    for (text, value) in members {
      guard let id = value.int, (0..<(1 << 24)).contains(id) else { throw failure("model.vocab", "ids", value) }
      guard let bytes = isByteLevel ? ByteLevelLetters.bytes(of: text) : Array(text.utf8) else {
        throw ModelError("\(place): model.vocab: \"\(text.prefix(40))\" is not written in byte-level letters")
      }
      vocabulary[ByteString(bytes)] = Int32(id)
    }
    return vocabulary
  }

  private func merges(
    _ vocabulary: [ByteString: Int32], _ model: JSONValue, _ isByteLevel: Bool
  ) throws(ModelError) -> [BytePairEncoding.Merge] {
    guard let list = model["merges"]?.array else { throw failure("model.merges", "a list", model["merges"]) }
    var merges: [BytePairEncoding.Merge] = []
    merges.reserveCapacity(list.count)
    for item in list {
      guard let (left, right) = Self.pair(item),
        let leftBytes = isByteLevel ? ByteLevelLetters.bytes(of: left) : Array(left.utf8),
        let rightBytes = isByteLevel ? ByteLevelLetters.bytes(of: right) : Array(right.utf8),
        let leftID = vocabulary[ByteString(leftBytes)], let rightID = vocabulary[ByteString(rightBytes)],
        let merged = vocabulary[ByteString(leftBytes + rightBytes)]
      else { throw failure("model.merges[\(merges.count)]", "two tokens that make a third", item) }
      merges.append(.init(left: leftID, right: rightID, symbol: merged, rank: Int32(merges.count)))
    }
    return merges
  }

  /// A merge is written as `"a b"` or as `["a", "b"]`.
  private static func pair(_ item: JSONValue) -> (String, String)? {
    if let text = item.string {
      // By the byte: a mark that follows the space would make one character with it.
      let parts = text.utf8.split(separator: 0x20, omittingEmptySubsequences: false)
      return parts.count == 2
        ? (String(decoding: parts[0], as: UTF8.self), String(decoding: parts[1], as: UTF8.self)) : nil
    }
    guard let parts = item.array, parts.count == 2, let left = parts[0].string, let right = parts[1].string else {
      return nil
    }
    return (left, right)
  }

  private func byteAlphabet(_ vocabulary: [ByteString: Int32]) throws(ModelError) -> SymbolAlphabet {
    var symbols: [Int32] = []
    for byte in UInt8.min...UInt8.max {
      guard let id = vocabulary[ByteString([byte])] else {
        throw ModelError("\(place): model.vocab: there is no token for the byte \(byte)")
      }
      symbols.append(id)
    }
    return .bytes(symbols)
  }

  private func characterAlphabet(
    _ vocabulary: [ByteString: Int32], _ model: JSONValue
  ) throws(ModelError) -> SymbolAlphabet {
    let bytes =
      model["byte_fallback"]?.bool == true ? SymbolAlphabet.byteTokens { vocabulary[ByteString(Array($0.utf8))] } : nil
    let unknown = model["unk_token"]?.string.flatMap { vocabulary[ByteString(Array($0.utf8))] }
    return .characters(
      SymbolAlphabet.characters(vocabulary), bytes: bytes, unknown: unknown,
      fusesUnknown: model["fuse_unk"]?.bool ?? false)
  }

  // MARK: Around the model

  private func readDecoder(into parts: inout TokenizerParts) throws(ModelError) {
    for step in steps("decoder", of: "decoders") {
      switch step["type"]?.string {
      case "ByteFallback", "Fuse": break
      case "Replace":
        guard let pattern = step["pattern"]?["String"]?.string, !pattern.isEmpty, let content = step["content"]?.string
        else { throw failure("decoder", "Replace of a String", step["pattern"]) }
        parts.replaceInTexts(Array(pattern.utf8), with: Array(content.utf8))
      case "Strip":
        guard step["content"]?.string == " ", step["stop"]?.int ?? 0 == 0, let count = step["start"]?.int, count >= 0
        else { throw failure("decoder", "Strip of spaces at the beginning", step["content"]) }
        parts.strippedSpaces = min(count, 1 << 20)
      case "Metaspace":
        guard let mark = step["replacement"]?.string else {
          throw failure("decoder", "a replacement", step["replacement"])
        }
        parts.replaceInTexts(Array(mark.utf8), with: [0x20])
        parts.strippedSpaces = step["prepend_scheme"]?.string == "never" ? 0 : 1
      default: throw failure("decoder", "Replace, ByteFallback, Fuse, Strip or Metaspace", step["type"])
      }
    }
  }

  /// Ids that a TemplateProcessing step puts before a single text.
  private func prefix() throws(ModelError) -> [Int32] {
    var ids: [Int32] = []
    for step in steps("post_processor", of: "processors") where step["type"]?.string == "TemplateProcessing" {
      for item in step["single"]?.array ?? [] {
        guard let name = item["SpecialToken"]?["id"]?.string else { break }
        guard let found = step["special_tokens"]?[name]?["ids"]?.array?.compactMap(\.int), !found.isEmpty else {
          throw failure("post_processor", "ids of \(name)", step["special_tokens"]?[name])
        }
        guard found.allSatisfy({ (0...1 << 24).contains($0) }) else {
          throw failure("post_processor", "ids from 0 to 2^24", step["special_tokens"]?[name]?["ids"])
        }
        ids += found.map { Int32($0) }
      }
    }
    return ids
  }
}

extension TokenizerParts {
  /// Byte tokens are written `<0x41>` and stand for one byte.
  mutating func markByteTokens(_ ids: [Int32]) {
    byteTokens = Set(ids)
    for (byte, id) in ids.enumerated() { texts[Int(id)] = [UInt8(byte)] }
  }

  mutating func replaceInTexts(_ pattern: [UInt8], with content: [UInt8]) {
    for index in texts.indices where !byteTokens.contains(Int32(index)) {
      texts[index] = TextNormalizer.replacing(pattern, with: content, in: texts[index])
    }
  }
}

extension SymbolAlphabet {
  /// The 256 tokens `<0x00>` … `<0xFF>`, nil unless all are there.
  static func byteTokens(_ find: (String) -> Int32?) -> [Int32]? {
    let digits = Array("0123456789ABCDEF")
    let ids = (0..<256).compactMap { find("<0x\(digits[$0 / 16])\(digits[$0 % 16])>") }
    return ids.count == 256 ? ids : nil
  }

  /// Tokens of one character.
  static func characters(_ vocabulary: [ByteString: Int32]) -> [UInt32: Int32] {
    var table: [UInt32: Int32] = [:]
    for (word, id) in vocabulary where word.bytes.count <= 4 {
      let scalars = String(decoding: word.bytes, as: UTF8.self).unicodeScalars
      if scalars.count == 1, let scalar = scalars.first { table[scalar.value] = id }
    }
    return table
  }
}
