import Foundation

/// How rotary frequencies are stretched for longer texts than a model first learnt, by transformers' names
/// (`modeling_rope_utils.py`).
package enum RotaryScaling: Sendable, Equatable {
  case none
  /// Positions count as if divided by `factor`.
  case linear(factor: Double)
  /// Llama 3.1's: long waves as `linear` has them, short ones as they are, those between mixed. Waves are long and short
  /// beside `original` positions over `low` and over `high`.
  case llama3(factor: Double, low: Double, high: Double, original: Double)
  /// YaRN (arXiv 2309.00071): the same by the dimension, from the one that turns `fast` times within `original` positions
  /// to the one that turns `slow` times, in whole dimensions where they are truncated; angles' cos and sin are `attention`
  /// times as large.
  case yarn(factor: Double, fast: Double, slow: Double, original: Double, isTruncated: Bool, attention: Double)

  /// What cos and sin are multiplied by.
  var attention: Float {
    guard case .yarn(_, _, _, _, _, let attention) = self else { return 1 }
    return Float(attention)
  }

  /// Positions that a text of a model of so many may have.
  func positions(of maximum: Int) -> Int {
    switch self {
    case .none: maximum
    case .linear(let factor): max(maximum, Int(min(Double(maximum) * factor, 0x1p30)))
    case .llama3(let factor, _, _, let original), .yarn(let factor, _, _, let original, _, _):
      max(maximum, Int(min(original * factor, 0x1p30)))
    }
  }

  /// Turns a position, of each pair of a head's `width` numbers; in f32, as the reference has them.
  func frequencies(width: Int, base: Double) -> [Float] {
    let plain = (0..<width / 2).map { 1 / Float(pow(base, Double(2 * $0) / Double(width))) }
    switch self {
    case .none: return plain
    case .linear(let factor): return plain.map { $0 / Float(factor) }
    case .llama3(let factor, let low, let high, let original):
      return plain.map { frequency in
        let wave = 2 * Float.pi / frequency
        if wave > Float(original / low) { return frequency / Float(factor) }
        if wave < Float(original / high) { return frequency }
        let share = (Float(original) / wave - Float(low)) / Float(high - low)
        return (1 - share) * frequency / Float(factor) + share * frequency
      }
    case .yarn(let factor, let fast, let slow, let original, let isTruncated, _):
      func dimension(turns: Double) -> Double {
        Double(width) * log(original / (turns * 2 * Double.pi)) / (2 * log(base))
      }
      var (first, last) = (dimension(turns: fast), dimension(turns: slow))
      if isTruncated { (first, last) = (first.rounded(.down), last.rounded(.up)) }
      (first, last) = (max(first, 0), min(last, Double(width - 1)))
      if first == last { last += 0.001 }
      return plain.enumerated().map { index, frequency in
        let kept = 1 - min(max((Float(index) - Float(first)) / Float(last - first), 0), 1)
        return frequency / Float(factor) * (1 - kept) + frequency * kept
      }
    }
  }
}
