import CKernels

/// Keys and values of one head as attention reads them: panels of 16 slots, and padded rows.
package struct HeadMemory {
  package let keys: UnsafeMutableRawPointer
  package let values: UnsafeMutableRawPointer

  package init(keys: UnsafeMutableRawPointer, values: UnsafeMutableRawPointer) {
    self.keys = keys
    self.values = values
  }

  /// Elements from one slot's value to the next.
  package static func valueStride(_ width: Int) -> Int { (width + 15) / 16 * 16 }

  /// Bytes of the keys of so many slots, which are a multiple of 16.
  package static func keyBytes(slots: Int, width: Int, _ type: ElementType) -> Int { slots * width * type.size }

  /// Bytes of the values of so many slots.
  package static func valueBytes(slots: Int, width: Int, _ type: ElementType) -> Int {
    slots * valueStride(width) * type.size
  }

  /// Puts a key and a value of `width` floats into a slot.
  package func store(
    _ key: UnsafePointer<Float>, _ value: UnsafePointer<Float>, slot: Int, width: Int, _ type: ElementType
  ) {
    let format = type.attentionNumber
    mp_store_key(format, key, width, keys + slot / 16 * 16 * width * type.size, slot % 16)
    mp_store_value(format, value, width, values + slot * Self.valueStride(width) * type.size)
  }

  /// softmax(scale · q Kᵀ) V for queries that lie `stride` floats apart, each over the slots that it sees.
  package func attend(
    _ queries: UnsafePointer<Float>, stride: Int, count: Int, width: Int, scale: Float, _ type: ElementType,
    out: UnsafeMutablePointer<Float>, outStride: Int, sees visible: (_ query: Int) -> Range<Int>
  ) {
    withUnsafeTemporaryAllocation(of: Int.self, capacity: 2 * count) { bounds in
      guard let from = bounds.baseAddress else { return }
      let to = from + count
      var span = visible(0)
      for query in 0..<count {
        let slots = visible(query)
        (from[query], to[query]) = (slots.lowerBound, slots.upperBound)
        span = min(span.lowerBound, slots.lowerBound)..<max(span.upperBound, slots.upperBound)
      }
      let room = mp_attend_scratch(count, span.count, width)
      withUnsafeTemporaryAllocation(of: Float.self, capacity: room) { scratch in
        mp_attend(
          type.attentionNumber, queries, stride, count, keys, values, Self.valueStride(width), from, to, width, scale,
          scratch.baseAddress, out, outStride)
      }
    }
  }
}

extension ElementType {
  fileprivate var attentionNumber: Int32 { self == .f16 ? WeightFormat.f16.number : WeightFormat.f32.number }
}

/// Where queries, keys and values of all heads lie: at these columns of three tensors, heads side by side.
package struct AttentionInput {
  package var query: (tensor: Tensor, column: Int)
  package var key: (tensor: Tensor, column: Int)
  package var value: (tensor: Tensor, column: Int)

  package init(
    query: (tensor: Tensor, column: Int), key: (tensor: Tensor, column: Int), value: (tensor: Tensor, column: Int)
  ) {
    self.query = query
    self.key = key
    self.value = value
  }
}

/// Rows of queries that one task attends with: their scores stay in the cache.
private let queriesTogether = 24

/// Heads and how they are cut out of rows.
package struct AttentionHeads: Sendable {
  package let count: Int
  /// Heads of keys and values; each serves count / keyValueCount queries.
  package let keyValueCount: Int
  package let width: Int
  package let scale: Float

  /// - Parameter scale: nil for 1 / √width.
  package init(count: Int, keyValueCount: Int? = nil, width: Int, scale: Float? = nil) {
    self.count = count
    self.keyValueCount = keyValueCount ?? count
    self.width = width
    self.scale = scale ?? 1 / Float(width).squareRoot()
  }

  var group: Int { count / keyValueCount }
}

/// Attention of rows within their spans: → [rows, heads · width].
///
/// - Parameters:
///   - spans: cover the rows one after the other.
///   - visible: for each row the rows that it sees, counted from its span's first; nil for the whole span.
package func attendWithin(
  _ spans: [Range<Int>], visible: [Range<Int>]? = nil, _ input: AttentionInput, _ heads: AttentionHeads,
  _ engine: Engine
) -> Tensor {
  let mixed = Tensor(rows: input.query.tensor.rows, columns: heads.count * heads.width)
  let memories = SpanMemories(spans, input, heads, engine)
  let blocks = spans.enumerated().flatMap { index, span in
    Swift.stride(from: span.lowerBound, to: span.upperBound, by: queriesTogether).map {
      (span: index, rows: $0..<min(span.upperBound, $0 + queriesTogether))
    }
  }
  input.query.tensor.withValues { queries in
    mixed.withMutable { out in
      engine.parallel(blocks.count * heads.count) { task in
        let (block, head) = (blocks[task / heads.count], task % heads.count)
        let whole = 0..<spans[block.span].count
        memories[block.span, head / heads.group].attend(
          queries + block.rows.lowerBound * input.query.tensor.columns + input.query.column + head * heads.width,
          stride: input.query.tensor.columns, count: block.rows.count, width: heads.width, scale: heads.scale, .f32,
          out: out + block.rows.lowerBound * mixed.columns + head * heads.width, outStride: mixed.columns
        ) { visible?[block.rows.lowerBound + $0] ?? whole }
      }
    }
  }
  let read = [input.query, input.key, input.value]
  if let tape = engine.tape, read.contains(where: { tape.wants($0.tensor) }) {
    AttentionBackward(spans: spans, visible: visible, input: input, heads: heads).record(mixed, on: tape, engine)
  }
  return mixed
}

/// Keys and values of spans, head by head, as attention reads them.
private struct SpanMemories {
  private let storage: TensorStorage
  private let slots: [Int]
  private let starts: [Int]
  private let heads: AttentionHeads

  init(_ spans: [Range<Int>], _ input: AttentionInput, _ heads: AttentionHeads, _ engine: Engine) {
    self.heads = heads
    slots = spans.map { ($0.count + 15) / 16 * 16 }
    let perSlot = (heads.width + HeadMemory.valueStride(heads.width)) * heads.keyValueCount
    starts = slots.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1 * perSlot) }
    storage = TensorStorage(count: starts[spans.count])
    let (key, value) = (input.key, input.value)
    key.tensor.withValues { keys in
      value.tensor.withValues { values in
        engine.parallel(spans.count * heads.keyValueCount) { task in
          let (span, head) = (task / heads.keyValueCount, task % heads.keyValueCount)
          let memory = self[span, head]
          for (slot, row) in spans[span].enumerated() {
            memory.store(
              keys + row * key.tensor.columns + key.column + head * heads.width,
              values + row * value.tensor.columns + value.column + head * heads.width, slot: slot, width: heads.width,
              .f32)
          }
        }
      }
    }
  }

  subscript(span: Int, head: Int) -> HeadMemory {
    let stride = HeadMemory.valueStride(heads.width)
    let keys = storage.start + starts[span] + head * slots[span] * (heads.width + stride)
    return HeadMemory(
      keys: UnsafeMutableRawPointer(keys), values: UnsafeMutableRawPointer(keys + slots[span] * heads.width))
  }
}
