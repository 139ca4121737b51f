import CKernels
import Foundation
import Tensors

/// How a target's logits become its next token's distribution.
package struct SamplingSettings: Sendable, Equatable {
  /// 1 for none; divides positive and multiplies negative logits of every token already in prompt or answer.
  package var repetitionPenalty: Float = 1
  /// 0 for greedy decoding, and so is what is so near to 0 that logits divided by it are no numbers.
  package var temperature: Float = 0 {
    didSet { if temperature < 1e-20 { temperature = 0 } }
  }
  /// How many of the most probable tokens stay, 0 for all.
  package var topK: Int = 0
  /// The probability mass that the tokens which stay must reach.
  package var topP: Float = 1
  /// Ids that exist; rows of the head beyond the tokenizer are never drawn.
  package var vocabulary: Int

  package init(vocabulary: Int) { self.vocabulary = vocabulary }

  /// Turns one row of logits into log-probabilities, in transformers' order: penalty, temperature, top-k, top-p.
  ///
  /// Tokens that are out have −infinity. At temperature 0 the row is only penalised: its largest value is the choice.
  ///
  /// - Parameters:
  ///   - logits: one row of `columns` values; the first `vocabulary` of them are used, and ids beyond them are out.
  ///   - seen: the tokens of the prompt and of the answer so far, each once.
  ///   - drafts: tokens behind them that are taken for granted in this row.
  package func process(
    _ logits: UnsafePointer<Float>, columns: Int = .max, seen: Set<Int32>, drafts: ArraySlice<Int32> = []
  ) -> [Float] {
    var row = Array(UnsafeBufferPointer(start: logits, count: min(columns, vocabulary)))
    row.append(contentsOf: repeatElement(-.infinity, count: vocabulary - row.count))
    row.withUnsafeMutableBufferPointer { penalise($0, seen, drafts) }
    guard temperature > 0 else { return row }
    for index in row.indices { row[index] /= temperature }
    if topK > 0, topK < row.count { keepTopK(&row) }
    if topP < 1 { keepTopP(&row) }
    mp_log_softmax(&row, row.count)
    return row
  }

  /// The choice at temperature 0: the largest penalised logit, the lowest id among equals; nil where none is a number.
  ///
  /// - Parameter logits: one row of `columns` values, which is penalised in place.
  package func greedy(
    _ logits: UnsafeMutablePointer<Float>, columns: Int, seen: Set<Int32>, drafts: ArraySlice<Int32>
  ) -> Int32? {
    let count = min(columns, vocabulary)
    penalise(UnsafeMutableBufferPointer(start: logits, count: count), seen, drafts)
    let best = mp_argmax(logits, count)
    return best < 0 || logits[best] == -.infinity ? nil : Int32(best)
  }

  private func penalise(
    _ row: UnsafeMutableBufferPointer<Float>, _ seen: Set<Int32>, _ drafts: ArraySlice<Int32>
  ) {
    guard repetitionPenalty != 1 else { return }
    for token in seen { penalise(row, token) }
    for (place, token) in zip(drafts.indices, drafts) where !seen.contains(token) && !drafts[..<place].contains(token) {
      penalise(row, token)
    }
  }

  private func penalise(_ row: UnsafeMutableBufferPointer<Float>, _ token: Int32) {
    guard row.indices.contains(Int(token)) else { return }
    let value = row[Int(token)]
    row[Int(token)] = value < 0 ? value * repetitionPenalty : value / repetitionPenalty
  }

  /// Keeps every token at least as probable as the k-th: ties at the border stay.
  private func keepTopK(_ row: inout [Float]) {
    // The k largest so far, ascending; most of a vocabulary costs one comparison.
    var largest = row.prefix(topK).sorted()
    for value in row.dropFirst(topK) where value > largest[0] {
      var place = 0
      while place + 1 < topK, largest[place + 1] < value {
        largest[place] = largest[place + 1]
        place += 1
      }
      largest[place] = value
    }
    for index in row.indices where row[index] < largest[0] { row[index] = -.infinity }
  }

  /// Drops the least probable tokens while their mass stays within 1 − p; the most probable always stays.
  private func keepTopP(_ row: inout [Float]) {
    mp_log_softmax(&row, row.count)
    // Tokens below this cannot reach 1 − p together: they go first and need no sorting.
    let negligible = Float(log(Double(1 - topP) / Double(row.count)) - 1)
    var mass: Float = 0
    var order: [Int] = []
    for index in row.indices {
      if row[index] >= negligible {
        order.append(index)
      } else {
        mass += exp(row[index])
        row[index] = -.infinity
      }
    }
    order.sort { row[$0] != row[$1] ? row[$0] < row[$1] : $0 < $1 }
    for index in order.dropLast() {
      mass += exp(row[index])
      if mass > 1 - topP { break }
      row[index] = -.infinity
    }
  }
}

/// The random numbers of one answer: those of position t depend on (seed, key, sample, t) alone, so that drafter and
/// target share them and no neighbour, thread or resume can change them.
package struct NoiseStream: Sendable {
  /// What a random number decides. Drafter and target share those of `token`.
  package enum Purpose: UInt64, Sendable {
    case token, draft, acceptance, residual
  }
  private let root: UInt64

  package init(seed: UInt64, key: String, sample: Int = 0) {
    let hashed = key.utf8.reduce(mp_mix(seed, UInt64(key.utf8.count))) { mp_mix($0, UInt64($1)) }
    root = mp_mix(hashed, UInt64(bitPattern: Int64(sample)))
  }

  private func stream(_ position: Int, _ purpose: Purpose) -> UInt64 {
    let own = purpose == .token ? root : mp_mix(root, ~purpose.rawValue)
    return mp_mix(own, UInt64(position))
  }

  /// The token at position t: argmax of log-probability plus Gumbel noise, a draw from the distribution.
  ///
  /// nil where no token is possible.
  package func draw(_ logProbabilities: [Float], position: Int, purpose: Purpose = .token) -> Int32? {
    let token = mp_gumbel_argmax(logProbabilities, logProbabilities.count, stream(position, purpose))
    return token < 0 ? nil : Int32(token)
  }

  /// A number from 0 up to, but not including, 1.
  package func uniform(position: Int, purpose: Purpose) -> Double {
    Double(mp_mix(stream(position, purpose), 0) >> 11) * 0x1p-53
  }
}
