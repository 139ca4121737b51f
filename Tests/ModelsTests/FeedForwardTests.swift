import Tensors
import Testing

@testable import Models

private func random(_ rows: Int, _ columns: Int, _ seed: UInt64) -> Tensor {
  var state = seed
  return Tensor(
    rows: rows, columns: columns,
    values: (0..<rows * columns).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Float(Int32(truncatingIfNeeded: state >> 32)) / Float(Int32.max)
    })
}

/// A long prompt goes through in bands: each row as it would alone, and where it belongs.
@Test(arguments: [WeightFormat.f32, .q8]) func bandsChangeNoRow(format: WeightFormat) {
  let engine = Engine(threads: 2)
  func linear(_ outputs: Int, _ inputs: Int, _ seed: UInt64) -> Linear {
    Linear(weight: Weight(StoredTensor(random(outputs, inputs, seed)), as: format, engine), bias: nil)
  }
  let network = GatedFeedForward(gate: linear(96, 32, 1), up: linear(96, 32, 2), down: linear(32, 96, 3), .silu)
  let norm = RMSNorm(weight: WeightVector([Float](repeating: 1, count: 32)), epsilon: 1e-6)
  let x = random(2 * bandRows + 77, 32, 4)
  let all = network(x, norm: norm, engine)
  #expect(all.rows == x.rows)
  for first in [0, 500, bandRows - 3, 2 * bandRows - 1, 2 * bandRows + 70] {
    let some = first..<first + 7
    #expect(all.rows(some).values == network(x.rows(some), norm: norm, engine).values, "\(some)")
  }
}
