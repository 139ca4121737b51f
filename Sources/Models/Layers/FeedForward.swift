import Tensors

/// down(activation(gate x) · up x): the feed-forward network of Llama, Qwen2, Gemma 3 and Qwen2.5-VL's tower.
struct GatedFeedForward: Sendable {
  let gateUp: [Linear]
  let down: Linear
  let activation: Activation

  init(gate: Linear, up: Linear, down: Linear, _ activation: Activation) {
    gateUp = [gate, up]
    self.down = down
    self.activation = activation
  }

  var linears: [Linear] { gateUp + [down] }

  /// [rows, hidden] → [rows, hidden], of the rows that `norm` makes.
  func callAsFunction(_ x: Tensor, norm: RMSNorm, _ engine: Engine) -> Tensor {
    inBands(x, engine) { band in
      let inner = products(of: norm(band, engine), with: gateUp, engine)
      activation.multiply(inner[0], inner[1], engine)
      return down(inner[0], engine)
    }
  }
}

/// Rows of a band.
let bandRows = 1024

/// `body` of some rows at a time, each of which it computes on its own: [rows, width] → [rows, width].
///
/// Within a feed-forward network a row is several times as wide as at its ends: those of a large picture or a long prompt,
/// all at once, would take more memory than anything else in a run. In training the tape keeps them anyway.
func inBands(_ x: Tensor, _ engine: Engine, _ body: (Tensor) -> Tensor) -> Tensor {
  guard engine.tape == nil, x.rows > bandRows else { return body(x) }
  let result = Tensor(rows: x.rows, columns: x.columns)
  for first in stride(from: 0, to: x.rows, by: bandRows) {
    let band = body(x.rows(first..<min(first + bandRows, x.rows)))
    precondition(band.columns == x.columns, "a band keeps the width")
    result.withMutable { out in
      band.withValues { (out + first * x.columns).update(from: $0, count: band.count) }
    }
  }
  return result
}
