import Foundation

/// The learning rate by step: a linear warm-up, then constant, or down to a share of the peak.
package struct Schedule: Sendable, Equatable {
  package enum Shape: String, Sendable, CaseIterable {
    case cosine, linear, constant
  }

  package var peak: Double
  package var shape: Shape
  package var warmup: Int
  package var steps: Int
  /// The share of the peak that is left at the last step.
  package var least: Double

  package init(peak: Double, shape: Shape, warmup: Int, steps: Int, least: Double) {
    self.peak = peak
    self.shape = shape
    self.warmup = warmup
    self.steps = steps
    self.least = least
  }

  /// The rate of a step, counted from 1.
  package func rate(step: Int) -> Double {
    if step <= warmup { return peak * Double(step) / Double(warmup) }
    let passed = min(1, Double(step - warmup) / Double(max(1, steps - warmup)))
    switch shape {
    case .constant: return peak
    case .linear: return peak * (1 - (1 - least) * passed)
    case .cosine: return peak * (least + (1 - least) * 0.5 * (1 + cos(.pi * passed)))
    }
  }
}
