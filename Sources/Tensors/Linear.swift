import CKernels

/// y = x Wᵀ + b: a weight of shape [outputs, inputs] and an optional bias of [outputs].
///
/// Every number is one sum over its row and its weights in an order of their own: it depends on no other row, nor on
/// the number of threads.
package struct Linear: Sendable {
  package let weight: Weight
  package let bias: WeightVector?

  package init(weight: Weight, bias: WeightVector?) {
    self.weight = weight
    self.bias = bias
  }

  /// x [rows, inputs] → [rows, outputs].
  package func callAsFunction(_ x: Tensor, _ engine: Engine) -> Tensor { products(of: x, with: [self], engine)[0] }

  fileprivate var tiles: Int { (weight.rows + 63) / 64 }
}

/// The products of one x with several weights of one width, in one go: x [rows, inputs] → [rows, outputs] each.
package func products(of x: Tensor, with layers: [Linear], _ engine: Engine) -> [Tensor] {
  let results = forward(x, layers.map { Linear(weight: $0.weight.packed(engine), bias: $0.bias) }, engine)
  if let tape = engine.tape {
    for (layer, result) in zip(layers, results) { layer.record(x, result, on: tape, engine) }
  }
  return results
}

/// Rows of a matrix that go through all weights before the next have their turn: they stay in the cache.
private let rowsTogether = 96

private func forward(_ x: Tensor, _ layers: [Linear], _ engine: Engine) -> [Tensor] {
  let results = layers.map { Tensor(rows: x.rows, columns: $0.weight.rows) }
  guard x.rows > 0 else { return results }
  var inputs: [ProductInput] = []
  for layer in layers {
    let same = inputs.first { $0.format == layer.weight.format }
    inputs.append(same ?? ProductInput(x, for: layer.weight.format, engine))
  }
  let tiles = layers.reduce(0) { $0 + $1.tiles }
  let work = layers.reduce(0) { $0 + $1.weight.rows } * x.rows * x.columns
  let runs = tileRuns(tiles, engine.threads)
  let biases = layers.map { $0.bias?.values }
  for first in stride(from: 0, to: x.rows, by: rowsTogether) {
    let rows = first..<min(x.rows, first + rowsTogether)
    engine.parallel(runs.count, work: work) { run in
      var (index, passed) = (0, 0)
      for tile in runs[run] {
        while tile - passed >= layers[index].tiles {
          passed += layers[index].tiles
          index += 1
        }
        layers[index].multiply(inputs[index], biases[index], rows: rows, tile: tile - passed, into: results[index])
      }
    }
  }
  return results
}

/// Tiles in runs that one task takes: long ones first, so that each thread reads long stretches of weights, and short
/// ones last, so that all end together.
private func tileRuns(_ tiles: Int, _ threads: Int) -> [Range<Int>] {
  var runs: [Range<Int>] = []
  var first = 0
  while first < tiles {
    let count = max(1, (tiles - first) / (2 * threads))
    runs.append(first..<first + count)
    first += count
  }
  return runs
}

/// Rows as the products with a format read them: the floats themselves, or whole numbers.
private struct ProductInput: @unchecked Sendable {
  let format: WeightFormat
  let values: Tensor
  let whole: TensorStorage?
  /// Bytes from row to row.
  let stride: Int

  init(_ x: Tensor, for format: WeightFormat, _ engine: Engine) {
    self.format = format
    values = x
    let bytes = mp_input_bytes(format.number, x.columns)
    stride = bytes > 0 ? bytes : x.columns * 4
    guard bytes > 0 else {
      whole = nil
      return
    }
    let storage = TensorStorage(count: (x.rows * bytes + 3) / 4)
    whole = storage
    x.withValues { source in
      engine.parallel(x.rows, work: 8 * x.count) { row in
        mp_quantise_input(
          format.number, source + row * x.columns, x.columns, UnsafeMutableRawPointer(storage.start) + row * bytes)
      }
    }
  }

  func withRow(_ row: Int, _ body: (UnsafeRawPointer) -> Void) {
    values.withValues { source in
      withExtendedLifetime(whole) {
        body(UnsafeRawPointer(whole?.start ?? UnsafeMutablePointer(mutating: source)) + row * stride)
      }
    }
  }
}

extension Linear {
  /// Rows of one tile: 64 outputs.
  fileprivate func multiply(
    _ x: ProductInput, _ bias: [Float]?, rows: Range<Int>, tile: Int, into y: Tensor
  ) {
    x.withRow(rows.lowerBound) { input in
      y.withMutable { output in
        bias.withPointer { bias in
          weight.withBytes { bytes in
            mp_multiply(
              weight.format.number, input, x.stride, rows.count, bytes.baseAddress, weight.columns, weight.rows, tile,
              bias, output + rows.lowerBound * y.columns, y.columns)
          }
        }
      }
    }
  }
}

extension Optional where Wrapped == [Float] {
  fileprivate func withPointer(_ body: (UnsafePointer<Float>?) -> Void) {
    guard let self else { return body(nil) }
    self.withUnsafeBufferPointer { body($0.baseAddress) }
  }
}
