import Models
import Tensors

/// A prompt as a language model reads it.
package struct PromptRows {
  /// [prompt, hidden], visual tokens in their places.
  package var embeddings: Tensor
  package var positions: [Position]
  /// Places that see each other in both directions, nil for none.
  package var bidirectional: Range<Int>?

  package init(embeddings: Tensor, positions: [Position], bidirectional: Range<Int>? = nil) {
    self.embeddings = embeddings
    self.positions = positions
    self.bidirectional = bidirectional
  }

  /// How many rows at the beginning, `most` at most, have the same keys and values in both prompts.
  fileprivate func common(with other: PromptRows, most: Int = .max) -> Int {
    guard embeddings.columns == other.embeddings.columns else { return 0 }
    let most = min(most, embeddings.rows, other.embeddings.rows, positions.count, other.positions.count)
    var count = embeddings.rowsAlike(other.embeddings, most: most)
    if let turn = (0..<count).first(where: { positions[$0] != other.positions[$0] }) { count = turn }
    // What sees what comes after it is the same only where all of that is.
    for block in [bidirectional, other.bidirectional].compactMap({ $0 })
    where count < block.upperBound || bidirectional != other.bidirectional {
      count = min(count, block.lowerBound)
    }
    return count
  }
}

/// Reads prompts one after the other with one model, and what they begin with in common only once: a system prompt, the
/// words before a picture, a picture that is asked about several times.
///
/// A row's keys and values depend on nothing behind it, so that a copy of them holds what reading it again would give, to
/// the bit. One owner at a time.
package final class PromptReader {
  /// Fewer rows are read as fast as they are copied.
  private static let fewest = 8

  private var last: PromptRows?
  /// A beginning that two prompts had in common.
  private var kept: (rows: PromptRows, cache: KVCache)?

  package init() {}

  /// Bytes of what it keeps.
  package var byteCount: Int { kept?.cache.byteCount ?? 0 }

  /// Reads a prompt into a cache of its own.
  ///
  /// - Parameters:
  ///   - language: the same each time.
  ///   - capacity: slots that the sequence may take.
  ///   - asked: how many of the last rows have their hidden states asked for.
  /// - Returns: the cache, and those normed hidden states [asked, hidden].
  package func read(
    _ prompt: PromptRows, _ language: any LanguageModel, capacity: Int, asked: Int, _ engine: Engine
  ) -> (cache: KVCache, hidden: Tensor) {
    let rows = prompt.embeddings.rows
    let known = kept.map { prompt.common(with: $0.rows, most: min(rows - 1, $0.cache.length)) } ?? 0
    let copy = known < Self.fewest ? nil : kept?.cache.copy(first: known, capacity: capacity)
    let cache = copy ?? language.configuration.makeCache(capacity: capacity)
    guard rows > 0 else { return (cache, prompt.embeddings) }
    let unread = cache.length..<rows
    let span = DecoderSpan(
      cache: cache, positions: Array(prompt.positions[unread]), bidirectional: prompt.bidirectional,
      asked: asked)
    let embeddings = unread.lowerBound == 0 ? prompt.embeddings : prompt.embeddings.rows(unread)
    let hidden = language.hiddenStates(embeddings, spans: [span], engine)
    keepBeginning(prompt, cache, known: unread.lowerBound)
    return (cache, hidden)
  }

  /// Keeps what a prompt and the one before it begin with, where that is more than what was known of it.
  private func keepBeginning(_ prompt: PromptRows, _ cache: KVCache, known: Int) {
    defer { last = prompt }
    guard let last else { return }
    let common = prompt.common(with: last)
    guard common >= max(Self.fewest, known + 1), let beginning = cache.copy(first: common, capacity: common) else {
      return
    }
    kept = (prompt, beginning)
  }
}
