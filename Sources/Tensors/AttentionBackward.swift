import CKernels

/// The gradients of attention within spans.
///
/// Scores are computed again, some queries at a time and transposed: [slots, queries]. Then softmax runs down columns, and
/// all but one of the products read what lies there as it lies there.
struct AttentionBackward {
  let spans: [Range<Int>]
  let visible: [Range<Int>]?
  let input: AttentionInput
  let heads: AttentionHeads

  /// Queries of one block: its scores stay in the cache, and slots that none of them sees are left out.
  private static let queriesTogether = 128

  /// Gradients of queries, keys and values, laid out as those are: what lies in one tensor has its gradients in one.
  private struct Gradients {
    let query: Tensor
    let key: Tensor
    let value: Tensor

    init(_ input: AttentionInput) {
      func zeros(_ x: Tensor) -> Tensor { Tensor.zeros(rows: x.rows, columns: x.columns) }
      query = zeros(input.query.tensor)
      key = input.key.tensor.identity == input.query.tensor.identity ? query : zeros(input.key.tensor)
      let joined = [(input.query.tensor, query), (input.key.tensor, key)].first {
        $0.0.identity == input.value.tensor.identity
      }
      value = joined?.1 ?? zeros(input.value.tensor)
    }

    /// Each tensor once.
    func add(to tape: Tape, _ input: AttentionInput) {
      tape.add(query, to: input.query.tensor)
      if key.identity != query.identity { tape.add(key, to: input.key.tensor) }
      if value.identity != query.identity, value.identity != key.identity { tape.add(value, to: input.value.tensor) }
    }
  }

  func record(_ mixed: Tensor, on tape: Tape, _ engine: Engine) {
    let plain = engine.recording(on: nil)
    tape.record(mixed) { [unowned tape] gradient in
      let results = Gradients(input)
      plain.parallel(spans.count * heads.keyValueCount) { task in
        backward(spans[task / heads.keyValueCount], head: task % heads.keyValueCount, gradient, results)
      }
      results.add(to: tape, input)
    }
  }

  /// All queries of a span that share one head of keys and values.
  private func backward(_ span: Range<Int>, head: Int, _ gradient: Tensor, _ results: Gradients) {
    for first in stride(from: span.lowerBound, to: span.upperBound, by: Self.queriesTogether) {
      let rows = first..<min(span.upperBound, first + Self.queriesTogether)
      let seen = rows.map { visible?[$0] ?? 0..<span.count }
      let slots = (seen.map(\.lowerBound).min() ?? 0)..<(seen.map(\.upperBound).max() ?? 0)
      for query in head * heads.group..<(head + 1) * heads.group {
        let block = Block(rows: rows, slots: slots, first: span.lowerBound + slots.lowerBound, seen: seen)
        backward(block, query: query, head: head, gradient, results)
      }
    }
  }

  /// Some queries and the slots that they see.
  private struct Block {
    let rows: Range<Int>
    let slots: Range<Int>
    /// The row of the first slot.
    let first: Int
    let seen: [Range<Int>]
  }

  private func backward(_ block: Block, query: Int, head: Int, _ gradient: Tensor, _ results: Gradients) {
    let width = heads.width
    let (queries, keys) = (block.rows.count, block.slots.count)
    let out = Part(gradient, row: block.rows.lowerBound, column: query * width, rows: queries, width)
    let query = Part(
      input.query.tensor, row: block.rows.lowerBound, column: input.query.column + query * width, rows: queries, width)
    let key = Part(input.key.tensor, row: block.first, column: input.key.column + head * width, rows: keys, width)
    let value = Part(
      input.value.tensor, row: block.first, column: input.value.column + head * width, rows: keys, width)

    let weights = key.times(rowsOf: query)
    let scores = value.times(rowsOf: out)
    weights.softmaxColumns(block.seen, from: block.slots.lowerBound, heads.scale)
    results.value.add(weights.times(columnsOf: out), row: value.row, column: value.column)
    scores.softmaxColumnsBackward(weights, heads.scale)
    results.key.add(scores.times(columnsOf: query), row: key.row, column: key.column)
    results.query.add(scores.transposed(queries).times(columnsOf: key), row: query.row, column: query.column)
  }
}

/// A part of a matrix: some rows of one head.
private struct Part {
  let tensor: Tensor
  let row: Int
  let column: Int
  let rows: Int
  let width: Int

  init(_ tensor: Tensor, row: Int, column: Int, rows: Int, _ width: Int) {
    self.tensor = tensor
    self.row = row
    self.column = column
    self.rows = rows
    self.width = width
  }

  func withStart(_ body: (UnsafePointer<Float>) -> Void) {
    tensor.withValues { body($0 + row * tensor.columns + column) }
  }

  /// this · otherᵀ: [rows, other.rows], rounded up to a stride of whole panels.
  func times(rowsOf other: Part) -> Scores {
    let panels = TensorStorage(count: (other.rows + 15) / 16 * 16 * width)
    other.withStart { mp_panels_of_rows($0, other.tensor.columns, other.rows, width, panels.start) }
    let result = Scores(rows: rows, columns: (other.rows + 15) / 16 * 16)
    withStart { start in
      result.values.withMutable { out in
        multiply(start, tensor.columns, rows, panels, inner: width, outputs: result.columns, into: out)
      }
    }
    return result
  }
}

/// Scores or weights of attention, transposed: [slots, queries].
private struct Scores {
  let rows: Int
  let columns: Int
  let values: Tensor

  init(rows: Int, columns: Int) {
    self.rows = rows
    self.columns = columns
    values = Tensor(rows: rows, columns: columns)
  }

  func softmaxColumns(_ seen: [Range<Int>], from first: Int, _ scale: Float) {
    let none = Array(repeating: Int32(0), count: columns - seen.count)
    let from = seen.map { Int32($0.lowerBound - first) } + none
    let to = seen.map { Int32($0.upperBound - first) } + none
    values.withMutable { mp_softmax_columns($0, rows, columns, from, to, scale) }
  }

  func softmaxColumnsBackward(_ weights: Scores, _ scale: Float) {
    values.withMutable { gradient in
      weights.values.withValues { mp_softmax_columns_backward($0, gradient, rows, columns, scale) }
    }
  }

  /// The first `count` columns as rows.
  func transposed(_ count: Int) -> Scores {
    let result = Scores(rows: count, columns: rows)
    result.values.withMutable { out in values.withValues { mp_transpose($0, columns, rows, count, out, rows) } }
    return result
  }

  /// this · other, over as many of the columns as other has rows: [rows, width].
  func times(columnsOf other: Part) -> Tensor {
    let panels = TensorStorage(count: (other.width + 15) / 16 * 16 * other.rows)
    other.withStart { mp_panels_of_columns($0, other.tensor.columns, other.rows, other.width, panels.start) }
    let result = Tensor(rows: rows, columns: other.width)
    values.withValues { start in
      result.withMutable { out in
        multiply(start, columns, rows, panels, inner: other.rows, outputs: other.width, into: out)
      }
    }
    return result
  }
}

/// A whole product on the calling thread.
private func multiply(
  _ x: UnsafePointer<Float>, _ stride: Int, _ rows: Int, _ panels: TensorStorage, inner: Int, outputs: Int,
  into out: UnsafeMutablePointer<Float>
) {
  withExtendedLifetime(panels) {
    for tile in 0..<(outputs + 63) / 64 {
      mp_multiply(WeightFormat.f32.number, x, stride * 4, rows, panels.start, inner, outputs, tile, nil, out, outputs)
    }
  }
}

extension Tensor {
  /// Adds a smaller matrix at a place.
  fileprivate func add(_ part: Tensor, row: Int, column: Int) {
    withMutable { out in
      part.withValues { values in
        for index in 0..<part.rows {
          mp_add(out + (row + index) * columns + column, values + index * part.columns, part.columns)
        }
      }
    }
  }
}
