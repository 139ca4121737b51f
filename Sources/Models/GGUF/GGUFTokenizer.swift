import Tensors

/// A tokenizer from a GGUF file's metadata.
struct GGUFTokenizer {
  private enum Kind: Int {
    case normal = 1
    case unknown, control, userDefined, unused, byte
  }

  private let metadata: GGUFMetadata
  private let tokens: [String]
  private let kinds: [Kind]

  init(_ metadata: GGUFMetadata) throws(ModelError) {
    self.metadata = metadata
    let names = (metadata.values["tokenizer.ggml.tokens"]?.array ?? []).map(\.string)
    guard !names.isEmpty, names.count < 1 << 24, !names.contains(nil) else {
      throw metadata.invalid("tokenizer.ggml.tokens", expected: "a list of strings")
    }
    tokens = names.compactMap { $0 }
    let numbers = metadata.values["tokenizer.ggml.token_type"]?.array?.compactMap(\.integer)
    guard numbers?.count ?? tokens.count == tokens.count else {
      throw metadata.invalid("tokenizer.ggml.token_type", expected: "\(tokens.count) numbers")
    }
    kinds = (numbers ?? Array(repeating: 1, count: tokens.count)).map { Kind(rawValue: $0) ?? .normal }
  }

  /// - Parameter extra: a token that the model needs and the file may lack; it goes behind the last.
  func tokenizer(extra: String?) throws(ModelError) -> Tokenizer {
    switch try metadata.string("tokenizer.ggml.model") {
    case "gpt2": Tokenizer(try byteLevel(extra: extra))
    case "llama": Tokenizer(try sentencePiece(extra: extra))
    default: throw metadata.invalid("tokenizer.ggml.model", expected: "gpt2 or llama")
    }
  }

  private func flag(_ key: String, default fallback: Bool) -> Bool { metadata.values[key]?.flag ?? fallback }

  private func prefix(addsBOS: Bool) -> [Int32] {
    guard addsBOS, let id = metadata.values["tokenizer.ggml.bos_token_id"]?.integer, tokens.indices.contains(id) else {
      return []
    }
    return [Int32(id)]
  }

  private func addedTokens(extra: String?, _ content: (String) -> [UInt8]) -> AddedTokens {
    var added: [(id: Int32, content: [UInt8], isSpecial: Bool)] = []
    for (id, token) in tokens.enumerated() where [.control, .userDefined, .unknown].contains(kinds[id]) {
      added.append((Int32(id), content(token), kinds[id] != .userDefined))
    }
    if let extra, !tokens.contains(extra) { added.append((Int32(tokens.count), Array(extra.utf8), true)) }
    return AddedTokens(added)
  }

  private func texts(_ added: AddedTokens, _ content: (String) -> [UInt8]) -> [[UInt8]] {
    var texts = tokens.indices.map { kinds[$0] == .unused ? [] : content(tokens[$0]) }
    for token in added.tokens {
      if Int(token.id) == texts.count { texts.append([]) }
      texts[Int(token.id)] = token.content
    }
    return texts
  }

  // MARK: Byte-level

  /// The Split patterns by llama.cpp's names, and whether text is composed first.
  private static let patterns = [
    "qwen2": (
      #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
      true
    )
  ]

  private func byteLevel(extra: String?) throws(ModelError) -> TokenizerParts {
    let pre = try metadata.string("tokenizer.ggml.pre")
    guard let (pattern, composes) = Self.patterns[pre] else {
      throw metadata.invalid("tokenizer.ggml.pre", expected: Self.patterns.keys.sorted().joined(separator: " or "))
    }
    var vocabulary: [ByteString: Int32] = [:]
    for (id, token) in tokens.enumerated() where kinds[id] == .normal {
      if let bytes = ByteLevelLetters.bytes(of: token) { vocabulary[ByteString(bytes)] = Int32(id) }
    }
    var symbols: [Int32] = []
    for byte in UInt8.min...UInt8.max {
      guard let id = vocabulary[ByteString([byte])] else {
        throw ModelError("\(metadata.path): tokenizer.ggml.tokens: there is no token for the byte \(byte)")
      }
      symbols.append(id)
    }
    let added = addedTokens(extra: extra) { Array($0.utf8) }
    return TokenizerParts(
      addedTokens: added, normalizers: composes ? [.nfc] : [], splitter: .pattern(try SplitPattern(pattern)),
      alphabet: .bytes(symbols), encoding: BytePairEncoding(merges: try merges(vocabulary)),
      texts: texts(added) { ByteLevelLetters.bytes(of: $0) ?? Array($0.utf8) },
      prefix: prefix(addsBOS: flag("tokenizer.ggml.add_bos_token", default: false)))
  }

  private func merges(_ vocabulary: [ByteString: Int32]) throws(ModelError) -> [BytePairEncoding.Merge] {
    var merges: [BytePairEncoding.Merge] = []
    for item in metadata.values["tokenizer.ggml.merges"]?.array ?? [] {
      let words = (item.string ?? "").split(separator: " ").map { ByteLevelLetters.bytes(of: String($0)) }
      guard words.count == 2, let left = words[0], let right = words[1], let leftID = vocabulary[ByteString(left)],
        let rightID = vocabulary[ByteString(right)], let merged = vocabulary[ByteString(left + right)]
      else {
        throw ModelError(
          "\(metadata.path): tokenizer.ggml.merges[\(merges.count)]: expected two tokens that make a third")
      }
      merges.append(.init(left: leftID, right: rightID, symbol: merged, rank: Int32(merges.count)))
    }
    return merges
  }

  // MARK: SentencePiece

  private static let mark = Array("\u{2581}".utf8)

  private func sentencePiece(extra: String?) throws(ModelError) -> TokenizerParts {
    let scores = (metadata.values["tokenizer.ggml.scores"]?.array ?? []).compactMap(\.number)
    guard scores.count == tokens.count else {
      throw metadata.invalid("tokenizer.ggml.scores", expected: "\(tokens.count) numbers")
    }
    guard scores.count < 300 || Set(scores.prefix(5000)).count > 2 else {
      throw ModelError(
        "\(metadata.path): tokenizer.ggml.scores: all alike: the file was made without its tokenizer's model")
    }
    var vocabulary: [ByteString: Int32] = [:]
    for (id, token) in tokens.enumerated() where kinds[id] == .normal {
      // All ways to cut a token in two are tried.
      guard token.utf8.count <= 1024 else {
        throw metadata.invalid("tokenizer.ggml.tokens", expected: "tokens of at most 1024 bytes, token \(id) is longer")
      }
      vocabulary[ByteString(Array(token.utf8))] = Int32(id)
    }
    let byID = Dictionary(tokens.enumerated().map { ($1, Int32($0)) }, uniquingKeysWith: { first, _ in first })
    let bytes = SymbolAlphabet.byteTokens { byID[$0] }
    let unknown = kinds.firstIndex(of: .unknown).map { Int32($0) }
    // User-defined tokens hold marks for spaces, and are found in text that has none yet.
    let added = addedTokens(extra: extra) { TextNormalizer.replacing(Self.mark, with: [0x20], in: Array($0.utf8)) }
    let addsSpace = flag("tokenizer.ggml.add_space_prefix", default: true)
    var parts = TokenizerParts(
      addedTokens: added,
      normalizers: (addsSpace ? [.prepend(Self.mark)] : []) + [.replace([0x20], with: Self.mark)],
      alphabet: .characters(
        SymbolAlphabet.characters(vocabulary), bytes: bytes, unknown: unknown, fusesUnknown: true),
      encoding: BytePairEncoding(merges: merges(vocabulary, scores)), texts: texts(added) { Array($0.utf8) },
      strippedSpaces: addsSpace ? 1 : 0, prefix: prefix(addsBOS: flag("tokenizer.ggml.add_bos_token", default: true)))
    if let bytes { parts.markByteTokens(bytes) }
    parts.replaceInTexts(Self.mark, with: [0x20])
    return parts
  }

  /// SentencePiece joins the neighbours whose union has the highest score: every way to make a piece of two others is a
  /// merge with the rank of its score.
  private func merges(_ vocabulary: [ByteString: Int32], _ scores: [Double]) -> [BytePairEncoding.Merge] {
    let ranked = Set(vocabulary.values.map { scores[Int($0)] }).sorted(by: >)
    let rank = Dictionary(ranked.enumerated().map { ($1, Int32($0)) }, uniquingKeysWith: { first, _ in first })
    var merges: [BytePairEncoding.Merge] = []
    for (word, id) in vocabulary where word.bytes.count > 1 {
      for cut in 1..<word.bytes.count where word.bytes[cut] & 0xC0 != 0x80 {
        guard let left = vocabulary[ByteString(Array(word.bytes[..<cut]))],
          let right = vocabulary[ByteString(Array(word.bytes[cut...]))]
        else { continue }
        merges.append(.init(left: left, right: right, symbol: id, rank: rank[scores[Int(id)]] ?? .max))
      }
    }
    return merges
  }
}
