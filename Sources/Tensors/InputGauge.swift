import Synchronization

/// Mean squares of what products read, column by column: how much an error of a weight's column counts.
///
/// The importance matrix of llama.cpp's quantisation, and the diagonal of GPTQ's Hessian (arXiv 2210.17323).
package final class InputGauge: Sendable {
  private struct Sums {
    var names: [ObjectIdentifier: String] = [:]
    var squares: [ObjectIdentifier: [Double]] = [:]
  }

  private let sums = Mutex(Sums())

  package init() {}

  /// Has a weight's inputs measured, under a name.
  package func watch(_ weight: Weight, as name: String) {
    sums.withLock { $0.names[ObjectIdentifier(weight)] = name }
  }

  /// Counts rows [rows, columns] that a product reads. A column's sum is taken in the order of the rows.
  func add(_ x: Tensor, readBy weight: Weight) {
    let key = ObjectIdentifier(weight)
    sums.withLock { sums in
      guard sums.names[key] != nil else { return }
      var squares = sums.squares[key] ?? [Double](repeating: 0, count: x.columns)
      x.withValues { values in
        for row in 0..<x.rows {
          for column in 0..<x.columns {
            let value = Double(values[row * x.columns + column])
            squares[column] += value * value
          }
        }
      }
      sums.squares[key] = squares
    }
  }

  /// By name, how much each column counts, about 1 in the mean. Weights whose inputs are no numbers, or nothing, have none.
  ///
  /// What little came through counts a tenth of the middle column at least: other inputs may use it.
  package var importance: [String: [Float]] {
    sums.withLock { sums in
      var all: [String: [Float]] = [:]
      for (key, squares) in sums.squares {
        let mean = squares.reduce(0, +) / Double(max(1, squares.count))
        guard mean.isFinite, mean > 0, let name = sums.names[key] else { continue }
        let least = squares.sorted()[squares.count / 2] / 10
        all[name] = squares.map { Float(max($0, least) / mean) }
      }
      return all
    }
  }
}
