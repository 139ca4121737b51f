import Tensors

/// Rows of one sequence within a pass: where they stand and the cache they read and extend.
package struct DecoderSpan {
  /// nil in training: the span is its whole sequence, and nothing of it is kept.
  package let cache: KVCache?
  package let positions: [Position]
  /// Places of the sequence that see each other in both directions, a picture's tokens: all of them rows of one pass.
  package let bidirectional: Range<Int>?
  /// How many rows, the last ones, have their hidden states asked for: the last layer computes no others.
  package let asked: Int

  /// - Parameter asked: nil for all rows.
  package init(cache: KVCache?, positions: [Position], bidirectional: Range<Int>? = nil, asked: Int? = nil) {
    self.cache = cache
    self.positions = positions
    self.bidirectional = bidirectional
    self.asked = min(positions.count, asked ?? positions.count)
  }
}

/// The rows that a layer goes on with: it keeps keys and values of all.
struct AskedRows {
  /// Places among all rows, nil for every one.
  private let asked: [Int]?

  /// - Parameter isLast: whether nothing but what is asked for is read of the layer.
  init(_ spans: [DecoderSpan], isLast: Bool) {
    guard isLast, spans.contains(where: { $0.asked < $0.positions.count }) else {
      asked = nil
      return
    }
    var end = 0
    asked = spans.flatMap { span in
      end += span.positions.count
      return end - span.asked..<end
    }
  }

  /// Those of a tensor of all rows.
  func callAsFunction(_ x: Tensor) -> Tensor { asked.map(x.gathering) ?? x }

  /// Queries of the asked rows of normed input, keys and values of all of them.
  func queryKeyValue(_ normed: Tensor, _ layers: [Linear], _ engine: Engine) -> [Tensor] {
    guard asked != nil else { return products(of: normed, with: layers, engine) }
    return [layers[0](self(normed), engine)] + products(of: normed, with: Array(layers[1...]), engine)
  }

  func callAsFunction(_ angles: RotaryAngles) -> RotaryAngles { (self(angles.cosine), self(angles.sine)) }
}

/// Grouped-query attention of new rows over their own sequences.
struct CachedAttention: Sendable {
  let heads: Int
  let keyValueHeads: Int
  let width: Int
  let scale: Float
  /// One entry a layer: how many slots a row attends to, itself included; nil for all.
  let windows: [Int?]

  /// Rows of one span that one task attends with, for each head.
  private struct Block {
    let memory: KVCache.LayerMemory
    let type: ElementType
    /// Rows of the pass's queries.
    let queries: Range<Int>
    /// The first query's slot, and those that see each other in both directions, counted from the memory's first.
    let slot: Int
    let bidirectional: Range<Int>
    /// Rows of the pass that the task puts into the memory first, and the slot of the first of them.
    let stored: Range<Int>
    let storedSlot: Int
  }

  /// Floats of scores that stay in the cache.
  private static let scoresTogether = 1 << 16

  /// query [asked, heads · width], key and value [rows, keyValueHeads · width] → [asked, heads · width].
  ///
  /// `query` has a row for each row of the pass or, where it has fewer, for the last `asked` rows of each span.
  ///
  /// Each row's sums run in the order of its slots: the result depends on nothing but its sequence.
  func callAsFunction(
    _ query: Tensor, _ key: Tensor, _ value: Tensor, layer: Int, spans: [DecoderSpan], _ engine: Engine
  ) -> Tensor {
    let caches = spans.compactMap(\.cache)
    guard caches.count == spans.count else { return withoutCache(query, key, value, layer, spans, engine) }
    let mixed = Tensor(rows: query.rows, columns: query.columns)
    var blocks: [Block] = []
    blocks.reserveCapacity(spans.count)
    var (first, firstQuery) = (0, 0)
    for (span, cache) in zip(spans, caches) {
      let rows = first..<first + span.positions.count
      let queries = firstQuery..<firstQuery + (query.rows == key.rows ? rows.count : span.asked)
      let memory = cache.extend(layer: layer, rows: rows.count)
      let size = min(16, max(1, Self.scoresTogether / (max(1, cache.length + rows.count - memory.base) * group)))
      // Rows that several tasks look at are there before any of them begins.
      let isOne = !queries.isEmpty && queries.count <= size
      let slot = cache.length - memory.base
      if !isOne {
        engine.parallel(keyValueHeads, work: 4 * rows.count * key.columns) {
          store(rows, key, value, memory[$0], slot, $0, cache.shape.type)
        }
      }
      for start in stride(from: queries.lowerBound, to: queries.upperBound, by: size) {
        blocks.append(
          Block(
            memory: memory, type: cache.shape.type, queries: start..<min(queries.upperBound, start + size),
            slot: slot + rows.count - queries.count + start - queries.lowerBound,
            bidirectional: span.bidirectional.map { $0.lowerBound - memory.base..<$0.upperBound - memory.base }
              ?? 0..<0,
            stored: isOne ? rows : rows.lowerBound..<rows.lowerBound, storedSlot: slot))
      }
      (first, firstQuery) = (rows.upperBound, queries.upperBound)
    }
    withExtendedLifetime(caches) { attend(query, key, value, mixed, blocks, layer, engine) }
    for (span, cache) in zip(spans, caches) { cache.settle(layer: layer, rows: span.positions.count) }
    return mixed
  }

  private var group: Int { heads / keyValueHeads }

  /// Puts one head's keys and values of some rows where attention finds them.
  private func store(
    _ rows: Range<Int>, _ key: Tensor, _ value: Tensor, _ memory: HeadMemory, _ slot: Int, _ head: Int,
    _ type: ElementType
  ) {
    key.withValues { keys in
      value.withValues { values in
        for row in rows {
          let place = row * key.columns + head * width
          memory.store(keys + place, values + place, slot: slot + row - rows.lowerBound, width: width, type)
        }
      }
    }
  }

  /// Whole sequences side by side, as training reads them.
  private func withoutCache(
    _ query: Tensor, _ key: Tensor, _ value: Tensor, _ layer: Int, _ spans: [DecoderSpan], _ engine: Engine
  ) -> Tensor {
    var ranges: [Range<Int>] = []
    var visible: [Range<Int>] = []
    for span in spans {
      let first = ranges.last?.upperBound ?? 0
      ranges.append(first..<first + span.positions.count)
      for row in span.positions.indices {
        let last = span.bidirectional.flatMap { $0.contains(row) ? $0.upperBound : nil } ?? row + 1
        visible.append(max(0, row + 1 - (windows[layer] ?? .max / 2))..<last)
      }
    }
    return attendWithin(
      ranges, visible: visible, AttentionInput(query: (query, 0), key: (key, 0), value: (value, 0)),
      AttentionHeads(count: heads, keyValueCount: keyValueHeads, width: width, scale: scale), engine)
  }

  private func attend(
    _ query: Tensor, _ key: Tensor, _ value: Tensor, _ mixed: Tensor, _ blocks: [Block], _ layer: Int,
    _ engine: Engine
  ) {
    let work = blocks.reduce(0) { $0 + $1.queries.count * ($1.slot + 1) } * 2 * heads * width
    query.withValues { queries in
      mixed.withMutable { out in
        blocks.withUnsafeBufferPointer { blocks in
          engine.parallel(blocks.count * keyValueHeads, work: work) { task in
            let (block, head) = (blocks[task / keyValueHeads], task % keyValueHeads)
            let memory = block.memory[head]
            store(block.stored, key, value, memory, block.storedSlot, head, block.type)
            attend(queries, out, block, memory, layer, head)
          }
        }
      }
    }
  }

  /// The queries of all heads that share this head's keys and values go together, so that those are read once.
  private func attend(
    _ queries: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>, _ block: Block, _ memory: HeadMemory,
    _ layer: Int, _ keyHead: Int
  ) {
    let (rows, group) = (block.queries.count, group)
    let window = windows[layer] ?? .max / 2
    let place = block.queries.lowerBound * heads * width + keyHead * group * width
    func attend(_ queries: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>, stride: Int) {
      memory.attend(
        queries, stride: stride, count: rows * group, width: width, scale: scale, block.type, out: out,
        outStride: stride
      ) { query in
        let slot = block.slot + query / group
        return max(
          0, slot + 1 - window)..<(block.bidirectional.contains(slot) ? block.bidirectional.upperBound : slot + 1)
      }
    }
    // One row's group lies side by side, and heads that share nothing lie one row apart.
    if rows == 1 { return attend(queries + place, out + place, stride: width) }
    if group == 1 { return attend(queries + place, out + place, stride: heads * width) }
    withUnsafeTemporaryAllocation(of: Float.self, capacity: 2 * rows * group * width) { scratch in
      guard let gathered = scratch.baseAddress else { return }
      let results = gathered + rows * group * width
      for row in 0..<rows {
        (gathered + row * group * width).update(from: queries + place + row * heads * width, count: group * width)
      }
      attend(gathered, results, stride: width)
      for row in 0..<rows {
        (out + place + row * heads * width).update(from: results + row * group * width, count: group * width)
      }
    }
  }
}
