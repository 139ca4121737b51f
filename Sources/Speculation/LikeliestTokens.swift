import CKernels
import Foundation

/// The likeliest tokens at one place of an answer and their probabilities, before penalty, temperature and cuts: what a
/// student can learn of the target's whole distribution.
package struct LikeliestTokens: Sendable, Equatable {
  /// From the likeliest on.
  package private(set) var ids: [Int32] = []
  package private(set) var probabilities: [Float] = []

  /// - Parameters:
  ///   - vocabulary: tokens that there are; what stands behind them is padding.
  ///   - count: how many are kept.
  init(_ logits: UnsafePointer<Float>, vocabulary: Int, keeping count: Int) {
    var kept: [(id: Int32, logit: Float)] = []
    for id in 0..<vocabulary where kept.count < count || logits[id] > kept[kept.count - 1].logit {
      let place = kept.firstIndex { $0.logit < logits[id] } ?? kept.count
      kept.insert((Int32(id), logits[id]), at: place)
      if kept.count > count { kept.removeLast() }
    }
    let total = mp_log_sum_exp(logits, vocabulary)
    ids = kept.map(\.id)
    probabilities = kept.map { exp($0.logit - total) }
  }
}
