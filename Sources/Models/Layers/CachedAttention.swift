import Tensors

/// Rows of one sequence within a pass: where they stand and the cache they read and extend.
package struct DecoderSpan {
  package let cache: KVCache
  package let positions: [Position]
  /// Rows of the span, which then begins the sequence, that see each other in both directions: a picture's tokens.
  package let bidirectional: Range<Int>?

  package init(cache: KVCache, positions: [Position], bidirectional: Range<Int>? = nil) {
    self.cache = cache
    self.positions = positions
    self.bidirectional = bidirectional
  }
}

/// Grouped-query attention of new rows over their own sequences.
struct CachedAttention: Sendable {
  let heads: Int
  let keyValueHeads: Int
  let width: Int
  let scale: Float

  /// One row's view: where its keys and values lie, row after row, and how many.
  private struct View {
    let keys: UnsafePointer<Float>
    let values: UnsafePointer<Float>
    let stride: Int
    /// From one head to the next.
    let headStride: Int
    let count: Int
  }

  /// query [rows, heads · width], key and value [rows, keyValueHeads · width] → [rows, heads · width].
  ///
  /// Each row's sums run in the order of its keys: the result depends on nothing but its sequence. Keys of a prompt are
  /// read where they were made, those of later rows from the cache.
  func callAsFunction(
    _ query: Tensor, _ key: Tensor, _ value: Tensor, layer: Int, spans: [DecoderSpan], _ engine: Engine
  ) -> Tensor {
    let mixed = Tensor(rows: query.rows, columns: query.columns)
    var rows = 0
    let placed = spans.map { span in
      defer { rows += span.positions.count }
      return (span, rows)
    }
    key.withValues { keys in
      value.withValues { values in
        let columns = key.columns
        func store(_ span: DecoderSpan, _ first: Int) {
          span.cache.append(
            layer: layer, rows: span.positions.count, keys: keys + first * columns, values: values + first * columns,
            stride: columns)
        }
        for (span, first) in placed where span.cache.length > 0 { store(span, first) }
        attend(query, mixed, placed.flatMap { views($0.0, at: $0.1, layer, keys, values) }, engine)
        for (span, first) in placed where span.cache.length == 0 { store(span, first) }
      }
    }
    return mixed
  }

  private func views(
    _ span: DecoderSpan, at first: Int, _ layer: Int, _ keys: UnsafePointer<Float>, _ values: UnsafePointer<Float>
  ) -> [View] {
    let columns = keyValueHeads * width
    let cache = span.cache
    return span.positions.indices.map { row in
      let slot = cache.length + row
      let from = cache.firstVisible(layer: layer, slot: slot)
      if cache.length == 0 {
        var end = slot + 1
        if let block = span.bidirectional, block.contains(row) { end = block.upperBound }
        return View(
          keys: keys + (first + from) * columns, values: values + (first + from) * columns, stride: columns,
          headStride: width, count: end - from)
      }
      return View(
        keys: cache.keys(layer: layer, head: 0, from: from), values: cache.values(layer: layer, head: 0, from: from),
        stride: width, headStride: cache.headStride(layer: layer), count: slot + 1 - from)
    }
  }

  private func attend(_ query: Tensor, _ mixed: Tensor, _ views: [View], _ engine: Engine) {
    let group = heads / keyValueHeads
    query.withValues { queries in
      mixed.withMutable { out in
        let work = views.reduce(0) { $0 + $1.count } * 2 * heads * width
        engine.parallel(views.count * keyValueHeads, work: work) { task in
          let row = task / keyValueHeads
          let keyHead = task % keyValueHeads
          let view = views[row]
          for head in keyHead * group..<(keyHead + 1) * group {
            let place = row * query.columns + head * width
            Tensors.attend(
              queries + place, keys: view.keys + keyHead * view.headStride, keyStride: view.stride,
              values: view.values + keyHead * view.headStride, valueStride: view.stride, count: view.count,
              width: width, scale: scale, out: out + place)
          }
        }
      }
    }
  }
}
