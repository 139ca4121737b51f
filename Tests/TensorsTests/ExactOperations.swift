import Foundation
import Tensors

/// A matrix in double precision.
struct Exact {
  let rows: Int
  let columns: Int
  var values: [Double]

  init(_ rows: Int, _ columns: Int, _ value: (Int, Int) -> Double) {
    self.rows = rows
    self.columns = columns
    values = []
    values.reserveCapacity(rows * columns)
    for row in 0..<rows { for column in 0..<columns { values.append(value(row, column)) } }
  }

  init(_ rows: Int, _ columns: Int, values: [Float]) {
    self.init(rows, columns) { Double(values[$0 * columns + $1]) }
  }

  subscript(row: Int, column: Int) -> Double {
    get { values[row * columns + column] }
    set { values[row * columns + column] = newValue }
  }

  func mapping(_ f: (Double) -> Double) -> Exact { Exact(rows, columns) { f(self[$0, $1]) } }

  /// These rows, zeros for those that there are not.
  func gathering(_ indices: [Int]) -> Exact {
    Exact(indices.count, columns) { (0..<rows).contains(indices[$0]) ? self[indices[$0], $1] : 0 }
  }
}

// The operations once more, as a textbook writes them, so that nothing is shared with what they are compared with.

func + (a: Exact, b: Exact) -> Exact { Exact(a.rows, a.columns) { a[$0, $1] + b[$0, $1] } }
func * (a: Exact, b: Exact) -> Exact { Exact(a.rows, a.columns) { a[$0, $1] * b[$0, $1] } }

/// x Wᵀ + b.
func exactLinear(_ x: Exact, _ w: Exact, bias: Exact? = nil) -> Exact {
  Exact(x.rows, w.rows) { row, output in
    (0..<x.columns).reduce(bias?[0, output] ?? 0) { $0 + x[row, $1] * w[output, $1] }
  }
}

func exactNorm(_ x: Exact, _ weight: Exact, epsilon: Double, offset: Double = 0) -> Exact {
  let scales = (0..<x.rows).map { row in
    1 / ((0..<x.columns).reduce(0) { $0 + x[row, $1] * x[row, $1] } / Double(x.columns) + epsilon).squareRoot()
  }
  return Exact(x.rows, x.columns) { x[$0, $1] * scales[$0] * (weight[0, $1] + offset) }
}

func exactLayerNorm(_ x: Exact, _ weight: Exact, _ bias: Exact, epsilon: Double) -> Exact {
  Exact(x.rows, x.columns) { row, column in
    let values = (0..<x.columns).map { x[row, $0] }
    let mean = values.reduce(0, +) / Double(x.columns)
    let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(x.columns)
    return (x[row, column] - mean) / (variance + epsilon).squareRoot() * weight[0, column] + bias[0, column]
  }
}

func exactSilu(_ x: Double) -> Double { x / (1 + exp(-x)) }
func exactGelu(_ x: Double) -> Double { 0.5 * x * (1 + erf(x / 2.0.squareRoot())) }
func exactGeluTanh(_ x: Double) -> Double {
  0.5 * x * (1 + tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
}

/// softmax(scale · q Kᵀ) V of each head within spans, each row over those that it sees.
func exactAttention(
  _ q: Exact, _ k: Exact, _ v: Exact, _ heads: AttentionHeads, _ spans: [Range<Int>], _ visible: [Range<Int>]?
) -> Exact {
  var result = Exact(q.rows, q.columns) { _, _ in 0 }
  for span in spans {
    for row in span {
      for head in 0..<heads.count {
        let (own, shared) = (head * heads.width, head / (heads.count / heads.keyValueCount) * heads.width)
        let seen = visible?[row] ?? 0..<span.count
        let scores = seen.map { slot in
          (0..<heads.width).reduce(0) { $0 + q[row, own + $1] * k[span.lowerBound + slot, shared + $1] }
            * Double(heads.scale)
        }
        let top = scores.max() ?? 0
        let shares = scores.map { exp($0 - top) }
        let sum = shares.reduce(0, +)
        for (slot, share) in zip(seen, shares) {
          for i in 0..<heads.width { result[row, own + i] += share / sum * v[span.lowerBound + slot, shared + i] }
        }
      }
    }
  }
  return result
}
