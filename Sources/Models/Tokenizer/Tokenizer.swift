/// What a tokenizer is made of, wherever it was read.
struct TokenizerParts: Sendable {
  var addedTokens: AddedTokens
  var normalizers: [TextNormalizer] = []
  var splitter = WordSplitter.whole
  var alphabet: SymbolAlphabet
  var encoding: BytePairEncoding
  /// Words that are one token whatever the merges say; empty unless `ignore_merges` is set.
  var wholeWords: [ByteString: Int32] = [:]
  /// What each id decodes to; empty where there is no token.
  var texts: [[UInt8]]
  /// Ids that stand for single bytes of characters without a token of their own.
  var byteTokens: Set<Int32> = []
  /// Spaces that decoding takes from the beginning.
  var strippedSpaces = 0
  /// Ids that go before a prompt, such as `<s>`.
  var prefix: [Int32] = []
}

/// Text to token ids and back: byte-level BPE as in Qwen2, SentencePiece's kind as in Gemma and Llama.
///
/// Source: the tokenizers library, whose ids and texts the tests compare with.
package struct Tokenizer: Sendable {
  private let parts: TokenizerParts
  private let specials: Set<Int32>
  private let added: Set<Int32>

  /// One more than the highest id. Rows of an embedding beyond it belong to no token.
  package var count: Int { parts.texts.count }

  /// The bytes that an id stands for, nil where there is no such token.
  package func bytes(of id: Int32) -> [UInt8]? {
    parts.texts.indices.contains(Int(id)) && !parts.texts[Int(id)].isEmpty ? parts.texts[Int(id)] : nil
  }

  /// Reads a folder's `tokenizer.json`.
  package init(folder: String) throws(ModelError) { try self.init(path: folder + "/tokenizer.json") }

  /// Reads a tokenizer file.
  package init(path: String) throws(ModelError) {
    let file = try ConfigReader(path: path)
    self.init(try TokenizerSource(json: file.json, place: path).parts())
  }

  init(_ parts: TokenizerParts) {
    var parts = parts
    // Rows that pad an embedding belong to no token.
    parts.texts.removeLast(parts.texts.reversed().prefix { $0.isEmpty }.count)
    self.parts = parts
    specials = Set(parts.addedTokens.tokens.filter(\.isSpecial).map(\.id))
    added = Set(parts.addedTokens.tokens.map(\.id))
  }

  /// The id of an added token, such as `<|im_end|>`.
  func added(_ text: String) -> Int32? {
    parts.addedTokens.tokens.first { $0.content.elementsEqual(text.utf8) }?.id
  }

  // MARK: Encoding

  /// Token ids of a text in which markers such as `<|im_end|>` stand for themselves; nothing is put before them.
  package func encode(_ text: String) -> [Int32] {
    var ids: [Int32] = []
    var text = text
    text.withUTF8 { bytes in
      ids.reserveCapacity(bytes.count / 3)
      parts.addedTokens.split(bytes, normalized: false) { part in
        switch part {
        case .token(let id): ids.append(id)
        case .text(let range): encodeText(Array(bytes[range]), isFirst: range.lowerBound == 0, &ids)
        }
      }
    }
    return ids
  }

  /// Token ids of a prompt: what the tokenizer puts before every text goes before it once, even where the text has it.
  package func encodePrompt(_ text: String) -> [Int32] {
    let ids = encode(text)
    return ids.starts(with: parts.prefix) ? ids : parts.prefix + ids
  }

  private func encodeText(_ text: [UInt8], isFirst: Bool, _ ids: inout [Int32]) {
    let normalized = parts.normalizers.reduce(text) { $1($0) }
    guard parts.addedTokens.hasNormalized else { return encodeWords(normalized, isFirst: isFirst, &ids) }
    normalized.withUnsafeBufferPointer { bytes in
      parts.addedTokens.split(bytes, normalized: true) { part in
        switch part {
        case .token(let id): ids.append(id)
        case .text(let range):
          encodeWords(Array(bytes[range]), isFirst: isFirst && range.lowerBound == 0, &ids)
        }
      }
    }
  }

  private func encodeWords(_ text: [UInt8], isFirst: Bool, _ ids: inout [Int32]) {
    var symbols: [Int32] = []
    parts.splitter.words(of: text, isFirst: isFirst) { word in
      if !parts.wholeWords.isEmpty, let id = parts.wholeWords[ByteString(Array(word))] { return ids.append(id) }
      symbols.removeAll(keepingCapacity: true)
      parts.alphabet.symbols(of: word, into: &symbols)
      parts.encoding.merge(&symbols)
      ids.append(contentsOf: symbols)
    }
  }

  // MARK: Decoding

  /// The text of ids; special tokens are left out, bytes that are no UTF-8 become U+FFFD.
  package func decode(_ ids: some Sequence<Int32>, keepingSpecials: Bool = false) -> String {
    var bytes: [UInt8] = []
    var run: [UInt8] = []
    func endRun() {
      // As the reference: byte tokens that make no text become one replacement character each.
      let isText = String(validating: run, as: UTF8.self) != nil
      bytes += isText ? run : run.flatMap { _ in Array("\u{FFFD}".utf8) }
      run = []
    }
    for id in ids where keepingSpecials || !specials.contains(id) {
      guard let text = self.bytes(of: id) else { continue }
      if parts.byteTokens.contains(id) {
        run += text
      } else {
        if !run.isEmpty { endRun() }
        bytes += text
      }
    }
    if !run.isEmpty { endRun() }
    let stripped = bytes.prefix(parts.strippedSpaces).prefix { $0 == 0x20 }.count
    return String(decoding: bytes.dropFirst(stripped), as: UTF8.self)
  }

  // MARK: Comparison

  /// The first id that does not stand for the same token in both; nil where the vocabularies are equal.
  ///
  /// Added tokens behind the end of the shorter vocabulary do not count: a text model may lack the target's markers for
  /// pictures, which it never sees.
  package func firstDifference(from other: Tokenizer) -> Int32? {
    for id in 0..<Int32(max(count, other.count)) {
      let mine = bytes(of: id)
      let theirs = other.bytes(of: id)
      if mine == theirs, parts.byteTokens.contains(id) == other.parts.byteTokens.contains(id) { continue }
      let isBehind = Int(id) >= min(count, other.count)
      if isBehind, mine == nil ? other.added.contains(id) : added.contains(id) { continue }
      return id
    }
    return nil
  }

  /// Throws where a token has no row in an embedding of this many. Added tokens, such as markers for pictures in a text
  /// model's tokenizer, may lack theirs: they are never drawn, and embed as zeros.
  func check(rows: Int, of folder: String) throws(ModelError) {
    if let id = parts.prefix.first(where: { $0 >= rows }) {
      throw ModelError("\(folder): token \(id), which begins every text, has no row in the embedding of \(rows)")
    }
    guard let id = (rows..<max(rows, count)).first(where: { bytes(of: Int32($0)) != nil && !added.contains(Int32($0)) })
    else { return }
    throw ModelError("\(folder): token \(id) of \(count) has no row in the embedding of \(rows)")
  }

  /// A token for messages: its text in quotes, or `nothing`.
  package func shown(_ id: Int32) -> String {
    bytes(of: id).map { "\"\(String(decoding: $0, as: UTF8.self))\"" } ?? "nothing"
  }
}
