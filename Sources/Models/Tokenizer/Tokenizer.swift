import JSON

/// Text to token ids and back, as `tokenizer.json` says: byte-level BPE as in the Qwen2 family.
///
/// Source: the tokenizers library, whose ids and texts the tests compare with.
package struct Tokenizer: Sendable {
  private let addedTokens: AddedTokens
  private let normalizesToNFC: Bool
  private let pattern: SplitPattern
  private let encoding: BytePairEncoding
  /// Symbols of the 256 bytes.
  private let byteSymbols: [Int32]
  /// Words that are one token whatever the merges say; empty unless `ignore_merges` is set.
  private let wholeWords: [ByteString: Int32]
  /// Bytes of each id; empty where there is no token.
  private let texts: [[UInt8]]
  private let specials: Set<Int32>

  /// One more than the highest id. Rows of an embedding beyond it belong to no token.
  package var count: Int { texts.count }

  /// The bytes that an id stands for, nil where there is no such token.
  package func bytes(of id: Int32) -> [UInt8]? {
    texts.indices.contains(Int(id)) && !texts[Int(id)].isEmpty ? texts[Int(id)] : nil
  }

  /// Reads a folder's `tokenizer.json`.
  package init(folder: String) throws(ModelError) { try self.init(path: folder + "/tokenizer.json") }

  /// Reads a tokenizer file.
  package init(path: String) throws(ModelError) {
    let file = try ConfigReader(path: path)
    let source = TokenizerSource(json: file.json, place: path)
    addedTokens = try AddedTokens(file.json["added_tokens"], place: path)
    normalizesToNFC = try source.normalizesToNFC()
    pattern = try source.splitPattern()
    let vocabulary = try source.vocabulary()
    encoding = BytePairEncoding(merges: try source.merges(vocabulary))
    byteSymbols = try source.byteSymbols(vocabulary)
    wholeWords = try source.ignoresMerges() ? vocabulary : [:]
    let ids = vocabulary.values.map { $0 } + addedTokens.tokens.map(\.id)
    var texts = Array(repeating: [UInt8](), count: Int(ids.max() ?? -1) + 1)
    for (word, id) in vocabulary { texts[Int(id)] = word.bytes }
    for token in addedTokens.tokens { texts[Int(token.id)] = token.content }
    self.texts = texts
    specials = Set(addedTokens.tokens.filter(\.isSpecial).map(\.id))
  }

  // MARK: Encoding

  /// Token ids of a text in which markers such as `<|im_end|>` stand for themselves.
  package func encode(_ text: String) -> [Int32] {
    var ids: [Int32] = []
    var text = text
    text.withUTF8 { bytes in
      ids.reserveCapacity(bytes.count / 3)
      addedTokens.split(bytes) { part in
        switch part {
        case .token(let id): ids.append(id)
        case .text(let range): encodeText(UnsafeBufferPointer(rebasing: bytes[range]), &ids)
        }
      }
    }
    return ids
  }

  private func encodeText(_ bytes: UnsafeBufferPointer<UInt8>, _ ids: inout [Int32]) {
    guard normalizesToNFC, Normalization.mayChange(bytes) else { return encodeWords(bytes, &ids) }
    var composed = Normalization.composed(bytes)
    composed.withUTF8 { encodeWords($0, &ids) }
  }

  private func encodeWords(_ bytes: UnsafeBufferPointer<UInt8>, _ ids: inout [Int32]) {
    var symbols: [Int32] = []
    pattern.pieces(of: bytes) { range in
      if !wholeWords.isEmpty, let id = wholeWords[ByteString(Array(bytes[range]))] { return ids.append(id) }
      symbols.removeAll(keepingCapacity: true)
      for byte in bytes[range] { symbols.append(byteSymbols[Int(byte)]) }
      encoding.merge(&symbols)
      ids.append(contentsOf: symbols)
    }
  }

  // MARK: Decoding

  /// The text of ids; special tokens are left out, bytes that are no UTF-8 become U+FFFD.
  package func decode(_ ids: some Sequence<Int32>, keepingSpecials: Bool = false) -> String {
    var bytes: [UInt8] = []
    for id in ids where keepingSpecials || !specials.contains(id) {
      if let text = self.bytes(of: id) { bytes += text }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  // MARK: Comparison

  /// The first id that does not stand for the same bytes in both; nil where the vocabularies are equal.
  package func firstDifference(from other: Tokenizer) -> Int32? {
    for id in 0..<Int32(max(count, other.count)) where bytes(of: id) != other.bytes(of: id) { return id }
    return nil
  }

  /// A token for messages: its text in quotes, or `nothing`.
  package func shown(_ id: Int32) -> String {
    bytes(of: id).map { "\"\(String(decoding: $0, as: UTF8.self))\"" } ?? "nothing"
  }
}

/// Decodes ids as they come and holds back bytes that are not yet a whole character.
package struct StreamingDecoder {
  private let tokenizer: Tokenizer
  private var held: [UInt8] = []

  package init(_ tokenizer: Tokenizer) { self.tokenizer = tokenizer }

  /// The text that is certain once this id has come; it may be empty.
  package mutating func append(_ id: Int32) -> String {
    held += tokenizer.bytes(of: id) ?? []
    let cut = held.count - Self.incompleteTail(held)
    defer { held.removeFirst(cut) }
    return String(decoding: held[..<cut], as: UTF8.self)
  }

  /// What is held back at the end, incomplete as it is.
  package mutating func finish() -> String {
    defer { held = [] }
    return String(decoding: held, as: UTF8.self)
  }

  /// How many bytes at the end begin a character that later bytes may complete.
  private static func incompleteTail(_ bytes: [UInt8]) -> Int {
    for back in 1...3 where back <= bytes.count {
      let byte = bytes[bytes.count - back]
      if byte & 0xC0 == 0x80 { continue }
      let length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC2 ? 2 : 1
      return length > back ? back : 0
    }
    return 0
  }
}
