import CKernels
import Foundation
import Tensors
import Testing

func noise(_ count: Int, _ seed: UInt64) -> [Float] {
  (0..<count).map { Float(Int64(bitPattern: mp_mix(seed, UInt64($0))) >> 40) / Float(1 << 23) }
}

func matrix(_ rows: Int, _ columns: Int, _ seed: UInt64) -> Tensor {
  Tensor(rows: rows, columns: columns, values: noise(rows * columns, seed))
}

private func weight(_ rows: Int, _ columns: Int, _ seed: UInt64, _ format: WeightFormat) -> Weight {
  Weight(StoredTensor(matrix(rows, columns, seed)), as: format, Engine(threads: 2))
}

/// √(Σ (a − b)² / Σ b²).
func relativeError(_ values: [Float], _ exact: [Double]) -> Double {
  let miss = zip(values, exact).reduce(0.0) { $0 + (Double($1.0) - $1.1) * (Double($1.0) - $1.1) }
  return (miss / exact.reduce(0.0) { $0 + $1 * $1 }).squareRoot()
}

/// x Wᵀ in double precision.
private func exactProduct(_ x: Tensor, _ w: [Float], outputs: Int) -> [Double] {
  let values = x.values
  return (0..<x.rows * outputs).map { index in
    let (row, output) = (index / outputs * x.columns, index % outputs * x.columns)
    return (0..<x.columns).reduce(0.0) { $0 + Double(values[row + $1]) * Double(w[output + $1]) }
  }
}

/// Row counts and widths that reach every tile shape and every tail.
@Suite(.serialized) struct KernelTests {
  /// Runs with each build of the kernels that this machine has, the generic one first.
  func onEachBuild<R>(_ body: () -> R) -> [R] {
    defer { mp_limit_instructions(MP_BEST) }
    return [MP_GENERIC, MP_AVX2, MP_AVX512, MP_NEON].compactMap { level in
      mp_limit_instructions(level)
      return mp_instructions() == level ? body() : nil
    }
  }

  @Test(arguments: WeightFormat.allCases, [1, 7, 8, 33, 130, 300])
  func aRowDoesNotDependOnItsNeighboursThreadsOrBuild(format: WeightFormat, width: Int) {
    let outputs = 77
    let layer = Linear(weight: weight(outputs, width, 1, format), bias: WeightVector(noise(outputs, 2)))
    let all = matrix(203, width, 3)
    let single = Engine(threads: 1)
    let double = Engine(threads: 2)
    let builds = onEachBuild { () -> [[Float]] in
      let alone = (0..<203).map { layer(all.rows($0..<$0 + 1), single).values }
      for count in Array(1...19) + [100, 203] {
        for engine in [single, double] {
          #expect(layer(all.rows(0..<count), engine).values == Array(alone[0..<count].joined()))
        }
      }
      return alone
    }
    for build in builds { #expect(build == builds[0]) }
  }

  @Test(arguments: WeightFormat.allCases)
  func packingAgreesOnEveryBuild(format: WeightFormat) {
    let builds = onEachBuild { weight(50, 300, 4, format).values }
    for build in builds { #expect(build == builds[0]) }
    let exact = matrix(50, 300, 4).values.map { Double($0) }
    // Half a unit in the last place of each, and for uniform values q8's and q4's steps of a group's range.
    let bounds: [WeightFormat: Double] = [.f32: 0, .f16: 5e-4, .bf16: 4e-3, .q8: 5e-3, .q4: 6e-2]
    #expect(relativeError(builds[0], exact) <= bounds[format] ?? 0)
  }

  /// Against double precision with the weights as they were packed: what the format's arithmetic adds. Outliers are one
  /// input in a hundred a hundred times as large.
  @Test(arguments: WeightFormat.allCases, [false, true])
  func productsEqualDoublePrecision(format: WeightFormat, outliers: Bool) {
    let (rows, outputs, width) = (7, 130, 1536)
    var values = noise(rows * width, 8)
    if outliers { for i in stride(from: 0, to: values.count, by: 101) { values[i] *= 100 } }
    let x = Tensor(rows: rows, columns: width, values: values)
    let weight = weight(outputs, width, 9, format)
    let y = Linear(weight: weight, bias: nil)(x, Engine(threads: 2))
    let error = relativeError(y.values, exactProduct(x, weight.values, outputs: outputs))
    let bounds: [WeightFormat: Double] = [.q8: 1e-4, .q4: 2e-2]
    #expect(error < bounds[format] ?? 1e-6)
  }

  @Test(arguments: WeightFormat.allCases)
  func whatIsNoNumberStaysNoneAndTouchesNoOtherRow(format: WeightFormat) {
    let layer = Linear(weight: weight(20, 64, 5, format), bias: nil)
    let clean = matrix(3, 64, 6).values
    var broken = clean
    broken[64 + 40] = .nan
    let engine = Engine(threads: 1)
    let good = layer(Tensor(rows: 3, columns: 64, values: clean), engine).values
    let bad = layer(Tensor(rows: 3, columns: 64, values: broken), engine).values
    #expect(bad[20..<40].allSatisfy { $0.isNaN })
    #expect(Array(bad[..<20] + bad[40...]) == Array(good[..<20] + good[40...]))
    var weights = noise(20 * 64, 5)
    weights[3 * 64 + 7] = .nan
    let torn = Weight(StoredTensor(Tensor(rows: 20, columns: 64, values: weights)), as: format, engine)
    let withTorn = Linear(weight: torn, bias: nil)(Tensor(rows: 3, columns: 64, values: clean), engine).values
    #expect(withTorn[3].isNaN && withTorn.enumerated().allSatisfy { $0 % 20 == 3 || $1.isFinite })
    let zeros = layer(Tensor(rows: 1, columns: 64, values: Array(repeating: 1e-38, count: 64)), engine).values
    #expect(zeros.allSatisfy { abs($0) < 1e-30 })
  }

  /// Every output is there twice, so that the first of equals is asked for in every row.
  @Test(arguments: WeightFormat.allCases) func theLargestIsFoundWithoutWritingAll(format: WeightFormat) {
    let (outputs, width) = (1300, 40)
    let half = noise(outputs / 2 * width, 1)
    let stored = StoredTensor(Tensor(rows: outputs, columns: width, values: half + half))
    let layer = Linear(weight: Weight(stored, as: format, Engine(threads: 2)), bias: nil)
    var values = matrix(203, width, 3).values
    values[5 * width + 7] = .nan
    let x = Tensor(rows: 203, columns: width, values: values)
    for count in [1, 100, 640, 1200, 1300, 5000] {
      let written = layer(x, Engine(threads: 2)).largest(among: count)
      #expect(written[5] == nil && written.compactMap(\.self).count == 202 && written.allSatisfy { $0 ?? 0 < 650 })
      for (rows, threads) in [(1, 1), (6, 2), (203, 1), (203, 2)] {
        let found = layer.largest(of: x.rows(0..<rows), among: count, Engine(threads: threads))
        #expect(found == Array(written.prefix(rows)), "\(count) columns, \(rows) rows, \(threads) threads")
      }
    }
    #expect(Set(layer(x, Engine(threads: 2)).largest(among: outputs)).count > 50)
  }

  @Test(arguments: [1, 5, 8, 64, 100]) func rowOperationsAgreeOnEveryBuild(width: Int) {
    let builds = onEachBuild { () -> [Float] in
      let x = matrix(5, width, 4)
      let normed = RMSNorm(weight: WeightVector(noise(width, 6)), epsilon: 1e-6)(x, Engine(threads: 1))
      let gate = matrix(5, width, 7)
      Activation.silu.multiply(gate, x, Engine(threads: 1))
      return normed.values + gate.values
    }
    for build in builds { #expect(build == builds[0]) }
  }

  /// softmax(q Kᵀ / √width) V within two spans, in double precision.
  @Test(arguments: [8, 20, 72, 128]) func attentionEqualsDoublePrecisionOnEveryBuild(width: Int) {
    let (heads, spans) = (3, [0..<37, 37..<50])
    let parts = (11...13).map { matrix(50, heads * width, $0) }
    func attended() -> [Float] {
      attendWithin(
        spans, AttentionInput(query: (parts[0], 0), key: (parts[1], 0), value: (parts[2], 0)),
        AttentionHeads(count: heads, width: width), Engine(threads: 2)
      ).values
    }
    let builds = onEachBuild(attended)
    for build in builds { #expect(build == builds[0]) }
    let (q, k, v) = (parts[0].values, parts[1].values, parts[2].values)
    var exact = [Double](repeating: 0, count: q.count)
    for span in spans {
      for row in span {
        for head in stride(from: 0, to: heads * width, by: width) {
          func place(_ row: Int) -> Int { row * heads * width + head }
          let scores = span.map { other in
            (0..<width).reduce(0.0) { $0 + Double(q[place(row) + $1]) * Double(k[place(other) + $1]) }
              / Double(width).squareRoot()
          }
          let shares = scores.map { exp($0 - scores.max()!) }
          for (other, share) in zip(span, shares) {
            for i in 0..<width { exact[place(row) + i] += share / shares.reduce(0, +) * Double(v[place(other) + i]) }
          }
        }
      }
    }
    #expect(relativeError(builds[0], exact) < 1e-6)
  }

  /// A value that is no number reaches the rows that see it alone: a proposal that is refused changes nothing before it.
  @Test(arguments: [20, 128], [ElementType.f32, .f16]) func valuesReachTheRowsThatSeeThem(
    width: Int, type: ElementType
  ) {
    let (slots, rows) = (48, 6)
    // Rows that see all before them, rows with a window, and rows that have nothing in common.
    let views: [(Int) -> Range<Int>] = [{ 0..<$0 + 40 }, { $0 + 30..<$0 + 40 }, { 7 * $0..<7 * $0 + 3 }]
    let parts = (21...23).map { matrix(max(rows, slots), width, $0) }
    func attended(_ broken: Int?, _ view: (Int) -> Range<Int>) -> [[UInt32]] {
      let (keys, values) = (
        Tensor(rows: slots, columns: width), Tensor(rows: slots, columns: HeadMemory.valueStride(width))
      )
      let memory = HeadMemory(keys: keys.withMutable { $0 }, values: values.withMutable { $0 })
      let out = Tensor(rows: rows, columns: width)
      for slot in 0..<slots {
        let bad = [Float](repeating: slot % 2 == 0 ? .nan : .infinity, count: width)
        parts[1].withValues { key in
          parts[2].withValues { value in
            bad.withUnsafeBufferPointer { bad in
              let value = slot == broken ? bad.baseAddress! : value + slot * width
              memory.store(key + slot * width, value, slot: slot, width: width, type)
            }
          }
        }
      }
      parts[0].withValues { queries in
        out.withMutable {
          memory.attend(
            queries, stride: width, count: rows, width: width, scale: 0.1, type, out: $0, outStride: width, sees: view)
        }
      }
      return withExtendedLifetime((keys, values)) {
        (0..<rows).map { out.rows($0..<$0 + 1).values.map(\.bitPattern) }
      }
    }
    for view in views {
      for builds in [nil, 4, 41, 43].map({ broken in onEachBuild { attended(broken, view) } }) {
        for build in builds { #expect(build == builds[0]) }
      }
      let sound = attended(nil, view)
      for broken in 0..<slots {
        let found = attended(broken, view)
        for row in 0..<rows where !view(row).contains(broken) { #expect(found[row] == sound[row], "\(row), \(broken)") }
      }
    }
  }

  /// Most tokens are passed over without their noise: none of them would have won.
  @Test func gumbelDrawsAreThoseOfAllTokens() {
    for stream in 0..<4000 as Range<UInt64> {
      let spread = Float([0.01, 1, 4, 12, 40][Int(stream % 5)])
      let logs = (0..<300).map { spread * (Float(mp_mix(stream, UInt64($0)) >> 40) / Float(1 << 23) - 1) }
      let values = logs.indices.map { index in
        let uniform = (Double(mp_mix(mp_mix(1, stream), UInt64(index)) >> 11) + 0.5) * 0x1p-53
        return Double(logs[index]) - log(-log(uniform))
      }
      let best = values.indices.max { values[$0] < values[$1] }
      #expect(mp_gumbel_argmax(logs, logs.count, mp_mix(1, stream)) == best)
    }
  }

  @Test func whatIsNoNumberIsPassedOverWhereverItStands() {
    for place in 0..<3 {
      var row: [Float] = [1, 2, 3]
      row[place] = .nan
      mp_log_softmax(&row, row.count)
      for index in 0..<3 { #expect(row[index].isNaN == (index == place), "\(place): \(row)") }
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
