import CKernels
import Foundation
import Tensors

/// AdamW with clipping by the norm of all gradients together (Loshchilov and Hutter, arXiv 1711.05101).
package final class AdamW {
  package struct Settings: Sendable, Equatable {
    package var beta1 = 0.9
    package var beta2 = 0.95
    package var epsilon = 1e-8
    /// On matrices alone: norms and biases do not decay.
    package var weightDecay = 0.0
    /// The largest norm that a step is made with.
    package var clip = 1.0

    package init() {}
  }

  /// The running means of a parameter's gradient and of its square.
  package struct Moments: Sendable {
    package let first: Tensor
    package let second: Tensor
  }

  package let settings: Settings
  package let parameters: [Parameter]
  package let moments: [Moments]
  /// Steps that were made.
  package var step = 0

  /// - Parameter parameters: those that are trained.
  package init(_ parameters: [Parameter], _ settings: Settings) {
    self.parameters = parameters
    self.settings = settings
    moments = parameters.map { parameter in
      func zeros() -> Tensor { Tensor.zeros(rows: parameter.values.rows, columns: parameter.values.columns) }
      return Moments(first: zeros(), second: zeros())
    }
  }

  /// The norm of all gradients together.
  package var gradientNorm: Double {
    parameters.reduce(0) { sum, parameter in
      sum + (parameter.gradient.map { gradient in gradient.withValues { mp_sum_squares($0, gradient.count) } } ?? 0)
    }.squareRoot()
  }

  /// Moves every parameter along its gradient, of which `norm` is the norm, and forgets the gradients.
  package func update(rate: Double, norm: Double, _ engine: Engine) {
    step += 1
    for (parameter, moments) in zip(parameters, moments) {
      defer { parameter.clearGradient() }
      guard let gradient = parameter.gradient else { continue }
      var numbers = self.numbers(rate, norm)
      if parameter.shape.count < 2 { numbers.decay = 0 }
      let blocks = (gradient.count + Self.block - 1) / Self.block
      parameter.values.withMutable { values in
        moments.first.withMutable { first in
          moments.second.withMutable { second in
            gradient.withValues { gradientValues in
              engine.parallel(blocks, work: gradient.count) { index in
                let place = index * Self.block
                mp_adamw(
                  values + place, first + place, second + place, gradientValues + place,
                  min(Self.block, gradient.count - place), &numbers)
              }
            }
          }
        }
      }
    }
  }

  /// Values that one task updates.
  private static let block = 1 << 15

  private func numbers(_ rate: Double, _ norm: Double) -> mp_adamw_step {
    mp_adamw_step(
      rate: Float(rate), beta1: Float(settings.beta1), beta2: Float(settings.beta2),
      epsilon: Float(settings.epsilon), decay: Float(settings.weightDecay),
      correction1: Float(1 / (1 - pow(settings.beta1, Double(step)))),
      correction2: Float(1 / (1 - pow(settings.beta2, Double(step)))),
      gradient_scale: Float(min(1, settings.clip / (norm + 1e-6))))
  }
}
