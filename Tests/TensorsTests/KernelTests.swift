import CKernels
import Foundation
import Tensors
import Testing

private func noise(_ count: Int, _ seed: UInt64) -> [Float] {
  (0..<count).map { Float(Int64(bitPattern: mp_mix(seed, UInt64($0))) >> 40) / Float(1 << 23) }
}

/// Row counts and widths that reach every tile shape and every tail.
@Suite(.serialized) struct KernelTests {
  @Test(arguments: [ElementType.f32, .f16, .bf16], [1, 7, 8, 33, 130])
  func aRowDoesNotDependOnItsNeighboursOrThreads(type: ElementType, width: Int) {
    let outputs = 77
    let weight = Weight(Tensor(rows: outputs, columns: width, values: noise(outputs * width, 1))).converted(to: type)
    let layer = Linear(weight: weight, bias: noise(outputs, 2))
    let all = Tensor(rows: 19, columns: width, values: noise(19 * width, 3))
    let single = Engine(threads: 1)
    let double = Engine(threads: 2)
    let alone = (0..<19).map { layer(all.rows($0..<$0 + 1), .decode, single).values }
    for count in 1...19 {
      for engine in [single, double] {
        #expect(layer(all.rows(0..<count), .decode, engine).values == Array(alone[0..<count].joined()))
      }
    }
  }

  @Test(arguments: [1, 5, 8, 64, 100]) func genericAndVectorBuildsAgreeBitForBit(width: Int) {
    func all() -> [Float] {
      let engine = Engine(threads: 1)
      let x = Tensor(rows: 5, columns: width, values: noise(5 * width, 4))
      let weight = Weight(Tensor(rows: 9, columns: width, values: noise(9 * width, 5)))
      let product = Linear(weight: weight, bias: nil)(x, .decode, engine)
      let normed = RMSNorm(weight: noise(width, 6), epsilon: 1e-6)(x)
      let gate = Tensor(rows: 5, columns: width, values: noise(5 * width, 7))
      Activation.silu.multiply(gate, x, engine)
      var attended = [Float](repeating: 0, count: width)
      x.withValues {
        attend(
          $0, keys: $0, keyStride: width, values: $0, valueStride: width, count: 5, width: width, scale: 0.3,
          out: &attended)
      }
      return product.values + normed.values + gate.values + attended
    }
    defer { mp_allow_simd(true) }
    let vector = all()
    mp_allow_simd(false)
    #expect(all() == vector)
  }

  @Test func bulkProductsEqualDoublePrecisionClosely() {
    let (rows, outputs, width) = (40, 200, 96)
    let x = noise(rows * width, 8)
    let w = noise(outputs * width, 9)
    let layer = Linear(weight: Weight(Tensor(rows: outputs, columns: width, values: w)), bias: nil)
    for path in [ProductPath.decode, .bulk] {
      let y = layer(Tensor(rows: rows, columns: width, values: x), path, Engine(threads: 2)).values
      for r in 0..<rows {
        for n in 0..<outputs {
          let exact = (0..<width).reduce(0.0) { $0 + Double(x[r * width + $1]) * Double(w[n * width + $1]) }
          #expect(abs(Double(y[r * outputs + n]) - exact) < 1e-4)
        }
      }
    }
  }

  @Test func gumbelDrawsFollowTheDistribution() {
    let probabilities: [Float] = [0.5, 0.25, 0.15, 0.08, 0.02]
    let logs = probabilities.map { Float(Double($0).logarithm) }
    var counts = [Int](repeating: 0, count: 5)
    let draws = 100_000
    for t in 0..<draws { counts[mp_gumbel_argmax(logs, 5, mp_mix(42, UInt64(t)))] += 1 }
    let chiSquare = zip(counts, probabilities).reduce(0.0) { sum, pair in
      let expected = Double(pair.1) * Double(draws)
      return sum + (Double(pair.0) - expected) * (Double(pair.0) - expected) / expected
    }
    // 18.47 is the 0.999 quantile of chi-square with 4 degrees of freedom.
    #expect(chiSquare < 18.47)
  }
}

extension Double { fileprivate var logarithm: Double { log(self) } }
