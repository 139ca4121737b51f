import CKernels

/// A weight in training: its values in 32-bit floats, and the gradient that a step gathers.
///
/// The optimizer alone writes the values, between steps.
package final class Parameter: @unchecked Sendable {
  /// The published name.
  package let name: String
  package let shape: [Int]
  /// The first dimension by the rest; a vector is one row.
  package let values: Tensor
  /// Whether a file holds it with rows and columns exchanged; `shape` is the file's.
  package let isTransposed: Bool
  /// Whether training changes it; nothing gathers gradients of the others.
  package var isTrained: Bool
  package private(set) var gradient: Tensor?

  package init(name: String, shape: [Int], values: Tensor, isTransposed: Bool = false, isTrained: Bool) {
    self.name = name
    self.shape = shape
    self.values = values
    self.isTransposed = isTransposed
    self.isTrained = isTrained
  }

  /// The values as a file holds them.
  package var storedValues: Tensor {
    guard isTransposed else { return values }
    let result = Tensor(rows: values.columns, columns: values.rows)
    result.withMutable { out in
      values.withValues { mp_transpose($0, values.columns, values.rows, values.columns, out, values.rows) }
    }
    return result
  }

  /// Adds to the gradient; `gradient` belongs to the parameter from then on.
  func add(_ gradient: Tensor) {
    guard isTrained else { return }
    guard let total = self.gradient else {
      self.gradient = gradient
      return
    }
    total.withMutable { out in gradient.withValues { mp_add(out, $0, total.count) } }
  }

  /// Forgets the gradient.
  package func clearGradient() { gradient = nil }
}

/// The weights of one model in training, in the order in which it asked for them.
package final class ParameterSet: @unchecked Sendable {
  package private(set) var all: [Parameter] = []
  private let isTrained: Bool

  /// - Parameter isTrained: whether training changes these weights, until something else is said of one.
  package init(isTrained: Bool = false) { self.isTrained = isTrained }

  /// Takes up a stored tensor.
  ///
  /// - Parameter isTransposed: whether it is the transpose of what the file holds in this shape.
  package func take(
    _ stored: StoredTensor, name: String, shape: [Int], isTransposed: Bool = false
  ) -> Parameter {
    let isVector = shape.count == 1
    let values = Tensor(rows: isVector ? 1 : stored.rows, columns: isVector ? stored.rows : stored.columns)
    values.withMutable { out in
      for row in 0..<stored.rows { stored.copyRow(row, to: out + row * stored.columns) }
    }
    let parameter = Parameter(
      name: name, shape: shape, values: values, isTransposed: isTransposed, isTrained: isTrained)
    all.append(parameter)
    return parameter
  }
}

/// A vector of weights, such as a norm's or a bias: fixed numbers, or a parameter in training.
package struct WeightVector: Sendable {
  /// The fixed numbers, or the parameter's: [1, count].
  private let stored: Tensor
  package let parameter: Parameter?
  /// Added to a parameter's values: Gemma stores its norms less 1.
  private let offset: Float

  /// Fixed numbers.
  package init(_ values: [Float]) {
    stored = Tensor(rows: 1, columns: values.count, values: values)
    parameter = nil
    offset = 0
  }

  /// What training changes, and what is added to it.
  package init(_ parameter: Parameter, offset: Float = 0) {
    stored = parameter.values
    self.parameter = parameter
    self.offset = offset
  }

  /// The numbers to compute with: [1, count].
  package var values: Tensor {
    offset == 0 ? stored : Tensor(rows: 1, columns: stored.count, values: stored.values.map { $0 + offset })
  }

  package var isTrained: Bool { parameter?.isTrained == true }
}
