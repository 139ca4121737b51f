import Foundation
import Tensors
import Testing

/// Every operation that training goes back through, against differences of the same operation in double precision.
@Suite struct GradientTests {
  @Test(arguments: [(1, 1, 1), (5, 13, 21), (2, 16, 64), (19, 33, 70)])
  func linear(rows: Int, inputs: Int, outputs: Int) {
    Differentiable([(rows, inputs)], weights: [(outputs, inputs), (1, outputs)]) { x, w, engine in
      Linear(weight: Weight(w[0]), bias: WeightVector(w[1]))(x[0], engine)
    }.expect(sample: 300) { exactLinear($0[0], $0[1], bias: $0[2]) }
  }

  /// More rows than a weight's gradient is summed over at once.
  @Test func linearOfManyRows() {
    Differentiable([(1100, 3)], weights: [(5, 3), (1, 5)]) { x, w, engine in
      Linear(weight: Weight(w[0]), bias: WeightVector(w[1]))(x[0], engine)
    }.expect(sample: 100) { exactLinear($0[0], $0[1], bias: $0[2]) }
  }

  @Test(arguments: [WeightFormat.f32, .bf16]) func linearWithWeightsThatAreFixed(format: WeightFormat) {
    let weight = Weight(StoredTensor(matrix(21, 13, 1)), as: format, Engine(threads: 1))
    Differentiable([(5, 13)]) { x, _, engine in Linear(weight: weight, bias: nil)(x[0], engine) }
      .expect { exactLinear($0[0], Exact(21, 13, values: weight.values)) }
  }

  @Test(arguments: [Activation.silu, .geluTanh]) func productsOfOneXAndTheGateBetweenThem(activation: Activation) {
    let exact = activation == .silu ? exactSilu : exactGeluTanh
    Differentiable([(4, 9)], weights: [(70, 9), (70, 9), (1, 70)]) { x, w, engine in
      let layers = [Linear(weight: Weight(w[0]), bias: nil), Linear(weight: Weight(w[1]), bias: WeightVector(w[2]))]
      let parts = products(of: x[0], with: layers, engine)
      activation.multiply(parts[0], parts[1], engine)
      return parts[0]
    }.expect { exactLinear($0[0], $0[1]).mapping(exact) * exactLinear($0[0], $0[2], bias: $0[3]) }
  }

  @Test(arguments: [Activation.silu, .geluTanh], [1, 8, 13]) func gatedActivation(activation: Activation, width: Int) {
    let exact = activation == .silu ? exactSilu : exactGeluTanh
    Differentiable([(3, width), (3, width)], magnitude: 5) { x, _, engine in
      activation.multiply(x[0], x[1], engine)
      return x[0]
    }.expect { $0[0].mapping(exact) * $0[1] }
  }

  @Test(arguments: [Activation.gelu, .geluTanh]) func gelu(activation: Activation) {
    let exact = activation == .gelu ? exactGelu : exactGeluTanh
    Differentiable([(3, 13)], magnitude: 5) { x, _, engine in
      activation.apply(to: x[0], engine)
      return x[0]
    }.expect { $0[0].mapping(exact) }
  }

  /// Two grids of 5 × 7, of which the last row and column fill no rectangle.
  @Test func pooling() {
    Differentiable([(70, 3)]) { x, _, engine in
      averagePool(x[0], height: 5, width: 7, outHeight: 2, outWidth: 3, engine)
    }.expect { input in
      let x = input[0]
      return Exact(12, 3) { row, column in
        let (grid, top, left) = (row / 6, row % 6 / 3 * 2, row % 3 * 2)
        return [(0, 0), (0, 1), (1, 0), (1, 1)].reduce(0) { sum, step in
          sum + x[grid * 35 + (top + step.0) * 7 + left + step.1, column] / 4
        }
      }
    }
  }

  /// Of more rows than one task sums over; ε is large enough to count.
  @Test(arguments: [2, 5, 8, 21]) func layerNorm(width: Int) {
    Differentiable([(70, width)], weights: [(1, width), (1, width)]) { x, w, engine in
      LayerNorm(weight: WeightVector(w[0]), bias: WeightVector(w[1]), epsilon: 0.01)(x[0], engine)
    }.expect(sample: 200) { exactLayerNorm($0[0], $0[1], $0[2], epsilon: Double(Float(0.01))) }
  }

  @Test(arguments: [0.4, 3]) func softCapping(cap: Double) {
    Differentiable([(3, 13)]) { x, _, engine in
      softCap(x[0], Float(cap), engine)
      return x[0]
    }.expect { $0[0].mapping { Double(Float(cap)) * tanh($0 / Double(Float(cap))) } }
  }

  /// Of more rows than one task sums over; ε is large enough to count.
  @Test(arguments: [1, 5, 8, 21], [0, 1]) func norm(width: Int, offset: Float) {
    Differentiable([(67, width)], weights: [(1, width)]) { x, w, engine in
      RMSNorm(weight: WeightVector(w[0], offset: offset), epsilon: 0.0625)(x[0], engine)
    }.expect(sample: 150) { exactNorm($0[0], $0[1], epsilon: 0.0625, offset: Double(offset)) }
  }

  @Test(arguments: [0, 2]) func rotation(columnOffset: Int) {
    // No angles, so that turning back is not taken for the way back.
    let (cosine, sine) = (matrix(5, 3, 1), matrix(5, 3, 2))
    Differentiable([(5, 15)]) { x, _, engine in
      rotate(x[0], heads: 2, cosine: cosine, sine: sine, columnOffset: columnOffset, engine)
      return x[0]
    }.expect { input in
      let (c, s) = (Exact(5, 3, values: cosine.values), Exact(5, 3, values: sine.values))
      return Exact(5, 15) { row, column in
        let place = column - columnOffset
        guard (0..<12).contains(place) else { return input[0][row, column] }
        let (i, isFirst) = (place % 3, place % 6 < 3)
        let other = input[0][row, isFirst ? column + 3 : column - 3]
        return input[0][row, column] * c[row, i] + (isFirst ? -other : other) * s[row, i]
      }
    }
  }

  @Test func additions() {
    Differentiable([(3, 5), (3, 5)]) { x, _, engine in adding(x[0], x[1], engine) }.expect { $0[0] + $0[1] }
    Differentiable([(3, 5)]) { x, _, engine in adding(x[0], x[0], engine) }.expect { $0[0] + $0[0] }
    Differentiable([(3, 5), (3, 5)]) { x, _, engine in
      adding(adding(x[0], adding(x[0], x[1], engine), engine), x[1], engine)
    }.expect { $0[0] + ($0[0] + $0[1]) + $0[1] }
  }

  @Test func rowsOfAMatrix() {
    let rows = [2, 0, 2, 4, 2]
    Differentiable([(5, 7)]) { x, _, engine in gathering(x[0], rows, engine) }.expect { $0[0].gathering(rows) }
  }

  @Test func rowsInThePlaceOfOthers() {
    Differentiable([(5, 7), (2, 7)]) { x, _, engine in replacing([3, 1], of: x[0], by: x[1], engine) }
      .expect { x in
        Exact(5, 7) { row, column in row == 3 ? x[1][0, column] : row == 1 ? x[1][1, column] : x[0][row, column] }
      }
  }

  @Test(arguments: [1, 3] as [Float]) func embeddings(scale: Float) {
    let ids = [2, 7, 2, -1, 0, 99, 2]
    Differentiable([], weights: [(9, 5)]) { _, w, engine in Weight(w[0]).rows(ids, scale: scale, engine) }
      .expect { $0[0].gathering(ids).mapping { $0 * Double(scale) } }
  }

  /// One weight as embedding and as head gathers both gradients.
  @Test func aWeightThatServesTwice() {
    let ids = [2, 7, 2, 0]
    Differentiable([], weights: [(9, 5)]) { _, w, engine in
      Linear(weight: Weight(w[0]), bias: nil)(Weight(w[0]).rows(ids, engine), engine)
    }.expect { exactLinear($0[0].gathering(ids), $0[0]) }
  }

  @Test func aLayerComputedAgainGivesTheSameBits() {
    let layers = Differentiable([(70, 20)], weights: [(1, 20), (33, 20), (33, 20), (20, 33)]) { x, w, engine in
      var x = x[0]
      for _ in 0..<2 {
        x = recomputed(x, engine) { x, engine in
          let norm = RMSNorm(weight: WeightVector(w[0]), epsilon: 1e-6)
          let linears = w[1...].map { Linear(weight: Weight($0), bias: nil) }
          let parts = products(of: norm(x, engine), with: Array(linears[..<2]), engine)
          Activation.silu.multiply(parts[0], parts[1], engine)
          return adding(x, linears[2](parts[0], engine), engine)
        }
      }
      return x
    }
    let engine = Engine(threads: 2)
    #expect(layers.run(engine, recomputes: true) == layers.run(engine))
    layers.expect(sample: 30) { input in
      (0..<2).reduce(input[0]) { x, _ in
        let normed = exactNorm(x, input[1], epsilon: 1e-6)
        let gated = exactLinear(normed, input[2]).mapping(exactSilu) * exactLinear(normed, input[3])
        return x + exactLinear(gated, input[4])
      }
    }
  }
}
