import CKernels
import Tensors
import Testing

/// What flows back is the same to the bit on every build of the kernels and any number of threads. All of it is large
/// enough for threads to share.
extension KernelTests {
  private func expectSameBits(_ operation: Differentiable, _ location: SourceLocation = #_sourceLocation) {
    let builds = onEachBuild { [1, 2, 3].map { operation.run(Engine(threads: $0)) } }
    #expect(builds.joined().allSatisfy { $0 == builds[0][0] }, sourceLocation: location)
    let isWhole = builds[0][0].gradients.allSatisfy { $0?.allSatisfy(\.isFinite) == true }
    #expect(isWhole, sourceLocation: location)
  }

  @Test func gradientsOfALinearAreTheSameBits() {
    expectSameBits(
      Differentiable([(1100, 33)], weights: [(77, 33), (1, 77)]) { x, w, engine in
        Linear(weight: Weight(w[0]), bias: WeightVector(w[1]))(x[0], engine)
      })
  }

  @Test(arguments: [5, 100]) func gradientsOfANormAreTheSameBits(width: Int) {
    expectSameBits(
      Differentiable([(2000, width)], weights: [(1, width)]) { x, w, engine in
        RMSNorm(weight: WeightVector(w[0]), epsilon: 1e-6)(x[0], engine)
      })
  }

  @Test(arguments: [Activation.silu, .geluTanh])
  func gradientsOfAGatedActivationAreTheSameBits(activation: Activation) {
    expectSameBits(
      Differentiable([(100, 77), (100, 77)], magnitude: 20) { x, _, engine in
        activation.multiply(x[0], x[1], engine)
        return x[0]
      })
  }

  @Test func gradientsOfGeluAreTheSameBits() {
    expectSameBits(
      Differentiable([(100, 77)], magnitude: 20) { x, _, engine in
        Activation.gelu.apply(to: x[0], engine)
        return x[0]
      })
  }

  @Test(arguments: [Mask.everything, .causal, .window, .block])
  func gradientsOfAttentionAreTheSameBits(mask: Mask) {
    let spans = [0..<37, 37..<200, 200..<201]
    let heads = AttentionHeads(count: 6, keyValueCount: 3, width: 20)
    expectSameBits(attention(heads, spans, mask.visible(spans)))
  }

  /// Queries some of which see all slots, some a few and some none.
  @Test(arguments: [1, 7, 130]) func softmaxDownColumns(slots: Int) {
    let stride = 40
    let from = (0..<stride).map { Int32($0 % 3 * slots / 4) }
    let to = (0..<stride).map { Int32($0 % 4 == 3 ? 0 : slots - $0 % 2 * slots / 4) }
    let builds = onEachBuild { () -> [[Float]] in
      var (weights, gradient) = (noise(slots * stride, 1).map { $0 * 50 }, noise(slots * stride, 2))
      mp_softmax_columns(&weights, slots, stride, from, to, 0.3)
      mp_softmax_columns_backward(weights, &gradient, slots, stride, 0.3)
      return [weights, gradient]
    }
    for build in builds { #expect(build == builds[0]) }
    for column in 0..<stride {
      let shares = (0..<slots).map { builds[0][0][$0 * stride + column] }
      let seen = from[column]..<max(from[column], to[column])
      #expect(abs(shares.reduce(0, +) - (seen.isEmpty ? 0 : 1)) < 1e-5)
      #expect(shares.indices.allSatisfy { seen.contains(Int32($0)) || shares[$0] == 0 })
    }
  }

  @Test(arguments: [1, 7, 8, 77, 5000]) func softmaxAndSumsOfSquares(count: Int) {
    let x = noise(count, 3).map { $0 * 30 }
    let builds = onEachBuild { () -> ([Float], Float, Double) in
      var shares = x
      let total = mp_softmax(&shares, count)
      return (shares, total, mp_sum_squares(x, count))
    }
    for build in builds { #expect(build == builds[0]) }
    #expect(abs(builds[0].0.reduce(0, +) - 1) < 1e-4)
    let exact = x.reduce(0) { $0 + Double($1) * Double($1) }
    #expect(abs(builds[0].2 - exact) < 1e-6 * exact)
  }

  /// Steps of AdamW on the whole and on pieces that threads share.
  @Test func stepsOfAdamW() {
    let (count, piece) = (70_001, 1 << 13)
    let gradient = noise(count, 4)
    func stepped(_ run: (Int, (Int) -> Void) -> Void, piece: Int) -> [[Float]] {
      let state = [noise(count, 5), noise(count, 6), noise(count, 7).map { $0 * $0 }]
      let tensors = state.map { Tensor(rows: 1, columns: count, values: $0) }
      var step = mp_adamw_step(
        rate: 0.01, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, decay: 0.1, correction1: 1.3, correction2: 1.7,
        gradient_scale: 0.7)
      withUnsafePointer(to: &step) { step in
        run((count + piece - 1) / piece) { index in
          let first = index * piece
          let places = tensors.map { $0.withMutable { $0 + first } }
          gradient.withUnsafeBufferPointer { gradient in
            guard let start = gradient.baseAddress else { return }
            mp_adamw(places[0], places[1], places[2], start + first, min(piece, count - first), step)
          }
        }
      }
      return tensors.map(\.values)
    }
    let builds = onEachBuild {
      [stepped({ (0..<$0).forEach($1) }, piece: count)]
        + [1, 2].map { threads in
          stepped({ Engine(threads: threads).parallel($0, $1) }, piece: piece)
        }
    }
    #expect(builds.joined().allSatisfy { $0 == builds[0][0] })
  }
}
