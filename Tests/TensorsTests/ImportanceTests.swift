import Tensors
import Testing

/// Rows whose groups have a few large values among many small ones.
private func weights(rows: Int, columns: Int) -> Tensor {
  let values = noise(rows * columns, 12).enumerated().map { index, value in value * (index % 11 == 0 ? 4 : 1) }
  return Tensor(rows: rows, columns: columns, values: values)
}

/// The error of each row in q4, every column's square times what it counts.
private func error(_ values: Tensor, fitted importance: [Float]?, counting: [Float]) -> Double {
  let packed = Weight(StoredTensor(values), as: .q4, importance: importance, Engine(threads: 1)).values
  var sum = 0.0
  values.withValues { exact in
    for index in packed.indices {
      let miss = Double(packed[index] - exact[index])
      sum += miss * miss * Double(counting[index % values.columns])
    }
  }
  return sum
}

/// Four bits miss less where it counts, and as before where all columns count alike.
@Test(arguments: [64, 100, 256]) func fourBitsAreFittedToWhatCounts(columns: Int) {
  let values = weights(rows: 64, columns: columns)
  let importance = (0..<columns).map { $0 % 7 == 3 ? Float(100) : 1 }
  let unweighted = error(values, fitted: nil, counting: importance)
  let weighted = error(values, fitted: importance, counting: importance)
  #expect(weighted < 0.8 * unweighted, "\(weighted) beside \(unweighted)")
  // What fills the last group up counts where nothing is said.
  guard columns % 32 == 0 else { return }
  let alike = [Float](repeating: 1, count: columns)
  #expect(error(values, fitted: alike, counting: alike) == error(values, fitted: nil, counting: alike))
}

@Test func inputsAreMeasuredByTheirColumns() {
  let engine = Engine(threads: 1)
  let gauge = InputGauge()
  let watching = engine.measuring(with: gauge)
  func linear(_ name: String?) -> Linear {
    let linear = Linear(weight: Weight(StoredTensor(weights(rows: 16, columns: 4)), engine), bias: nil)
    if let name { gauge.watch(linear.weight, as: name) }
    return linear
  }
  let (watched, other, broken) = (linear("a"), linear(nil), linear("b"))
  let x = Tensor(rows: 2, columns: 4, values: [1, 2, 0, 4, 3, 0, 0, 4])
  _ = products(of: x, with: [watched, other], watching)
  _ = watched(x, engine)
  _ = broken(Tensor(rows: 1, columns: 4, values: [.nan, 1, 1, 1]), watching)
  // Squares 10, 4, 0, 32: the mean is 11.5, and the middle one's tenth is the least.
  let expected: [Float] = [10, 4, 1, 32].map { Float(Double($0) / 11.5) }
  #expect(gauge.importance == ["a": expected])
}
