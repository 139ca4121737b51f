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
  if let gauge = engine.gauge { for layer in layers { gauge.add(x, readBy: layer.weight) } }
  guard layers.contains(where: { $0.weight.parameter != nil }) || engine.tape != nil else {
    return forward(x, layers, engine)
  }
  let results = forward(x, layers.map { Linear(weight: $0.weight.packed(engine), bias: $0.bias) }, engine)
  if let tape = engine.tape {
    for (layer, result) in zip(layers, results) { layer.record(x, result, on: tape, engine) }
  }
  return results
}

extension Linear {
  /// Where each row's largest output is, of the first `count`: the first of equals, nil where none is a number above −∞.
  ///
  /// The outputs of a head are many times the weights' own columns: looked at as they come, they need not be written.
  package func largest(of x: Tensor, among count: Int, _ engine: Engine) -> [Int32?] {
    guard x.rows > 0 else { return [] }
    let packed = weight.packed(engine)
    let whole = WholeInput(ifNeededBy: packed.format, x, engine)
    let product = mp_product(
      format: packed.format.number, x: whole.map { UnsafeRawPointer($0.storage.start) } ?? UnsafeRawPointer(x.start),
      x_stride: whole?.stride ?? x.columns * 4, w: packed.start, k: packed.columns, n: packed.rows,
      bias: bias.map { UnsafePointer($0.values.start) }, y: nil, y_stride: 0)
    let runs = tileRuns(tiles, engine.isSmall(packed.rows * x.rows * x.columns) ? 1 : engine.threads)
    let together = min(x.rows, rowsTogether(x.columns))
    // What each run finds, put together in the order of columns.
    var best = [Float](repeating: -.infinity, count: runs.count * x.rows)
    var places = [Int32](repeating: -1, count: runs.count * x.rows)
    withExtendedLifetime((x, packed, whole, bias)) {
      best.withUnsafeMutableBufferPointer { best in
        places.withUnsafeMutableBufferPointer { places in
          nonisolated(unsafe) let (best, places) = (best.baseAddress, places.baseAddress)
          engine.parallel(runs.count, work: packed.rows * x.rows * x.columns) { run in
            withUnsafeTemporaryAllocation(of: Float.self, capacity: together * Int(MP_LARGEST_COLUMNS)) { scratch in
              for first in stride(from: 0, to: x.rows, by: together) {
                withUnsafePointer(to: product) {
                  mp_multiply_largest(
                    $0, runs[run].lowerBound, runs[run].count, count, first, min(together, x.rows - first),
                    scratch.baseAddress, best.map { $0 + run * x.rows }, places.map { $0 + run * x.rows })
                }
              }
            }
          }
        }
      }
    }
    return (0..<x.rows).map { row in
      var found = (value: -Float.infinity, place: Int32?.none)
      for run in runs.indices where best[run * x.rows + row] > found.value {
        found = (best[run * x.rows + row], places[run * x.rows + row])
      }
      return found.place
    }
  }
}

extension Tensor {
  /// Where each row's largest value is, of the first `count`: the first of equals, nil where none is a number above −∞.
  package func largest(among count: Int) -> [Int32?] {
    withValues { values in
      (0..<rows).map { row in
        let best = mp_argmax(values + row * columns, min(count, columns))
        return best < 0 || values[row * columns + best] == -.infinity ? nil : Int32(best)
      }
    }
  }
}

/// Rows of a matrix that go through weights together, in whole blocks of what the registers hold: half a second-level
/// cache of them, which stay there while the weights go by.
private func rowsTogether(_ columns: Int) -> Int { min(288, max(96, (128 << 10) / (12 * max(1, columns)) * 12)) }
/// Rows that are worth going through weights once more, in whole blocks of what the registers hold.
private let rowsApart = 24

private func forward(_ x: Tensor, _ layers: [Linear], _ engine: Engine) -> [Tensor] {
  let results = layers.map { Tensor(rows: x.rows, columns: $0.weight.rows) }
  guard x.rows > 0 else { return results }
  var inputs: [WholeInput] = []
  let biases = layers.contains { $0.bias != nil } ? layers.map { $0.bias?.values } : []
  let tiles = layers.reduce(0) { $0 + $1.tiles }
  let work = layers.reduce(0) { $0 + $1.weight.rows } * x.rows * x.columns
  withUnsafeTemporaryAllocation(of: mp_product.self, capacity: layers.count) { products in
    for index in layers.indices {
      let weight = layers[index].weight
      var (input, stride) = (UnsafeRawPointer(x.start), x.columns * 4)
      let known = inputs.first { $0.format == weight.format }
      if let whole = known ?? WholeInput(ifNeededBy: weight.format, x, engine) {
        if known == nil { inputs.append(whole) }
        (input, stride) = (UnsafeRawPointer(whole.storage.start), whole.stride)
      }
      products[index] = mp_product(
        format: weight.format.number, x: input, x_stride: stride, w: weight.start, k: weight.columns, n: weight.rows,
        bias: biases.isEmpty ? nil : biases[index].map { UnsafePointer($0.start) }, y: results[index].start,
        y_stride: weight.rows)
    }
    withExtendedLifetime((x, layers, inputs, biases, results)) {
      if engine.isSmall(work) { return mp_multiply_tiles(products.baseAddress, 0, tiles, 0, x.rows) }
      let runs = tileRuns(tiles, engine.threads)
      let together = blockRows(x, tiles, engine.threads)
      engine.parallel((x.rows + together - 1) / together * runs.count) {
        let (first, run) = ($0 / runs.count * together, runs[$0 % runs.count])
        mp_multiply_tiles(
          products.baseAddress, run.lowerBound, run.count, first, min(together, x.rows - first))
      }
    }
  }
  return results
}

/// Rows that one task takes: fewer where there are few tiles, so that a thread that is held up holds up no other.
private func blockRows(_ x: Tensor, _ tiles: Int, _ threads: Int) -> Int {
  let blocks = (4 * threads + tiles - 1) / tiles
  return min(rowsTogether(x.columns), max(rowsApart, (x.rows + 12 * blocks - 1) / (12 * blocks) * 12))
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

/// Rows in whole numbers, as the products with a quantised format read them.
private struct WholeInput {
  let format: WeightFormat
  let storage: TensorStorage
  /// Bytes from row to row.
  let stride: Int

  /// nil for a format whose products read floats.
  init?(ifNeededBy format: WeightFormat, _ x: Tensor, _ engine: Engine) {
    let bytes = mp_input_bytes(format.number, x.columns)
    guard bytes > 0 else { return nil }
    self.format = format
    let storage = TensorStorage(count: (x.rows * bytes + 3) / 4)
    (self.storage, stride) = (storage, bytes)
    x.withValues { source in
      engine.parallel(x.rows, work: 8 * x.count) { row in
        mp_quantise_input(
          format.number, source + row * x.columns, x.columns, UnsafeMutableRawPointer(storage.start) + row * bytes)
      }
    }
  }
}
