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

  /// softmax(scale · q Kᵀ) V for queries that lie `stride` floats apart, each over its own slots.
  package func attend(
    _ queries: UnsafePointer<Float>, stride: Int, visible: [Range<Int>], width: Int, scale: Float, _ type: ElementType,
    out: UnsafeMutablePointer<Float>, outStride: Int
  ) {
    let from = visible.map(\.lowerBound)
    let to = visible.map(\.upperBound)
    let slots = (to.max() ?? 0) - (from.min() ?? 0)
    withUnsafeTemporaryAllocation(of: Float.self, capacity: mp_attend_scratch(visible.count, slots, width)) { scratch in
      mp_attend(
        type.attentionNumber, queries, stride, visible.count, keys, values, Self.valueStride(width), from, to, width,
        scale, scratch.baseAddress, out, outStride)
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

/// Attention of rows within their spans, every row of a span seeing all of it: → [rows, heads · width].
///
/// The spans cover the rows one after the other.
package func attendWithin(
  _ spans: [Range<Int>], _ input: AttentionInput, heads: Int, width: Int, _ engine: Engine
) -> Tensor {
  let rows = input.query.tensor.rows
  let mixed = Tensor(rows: rows, columns: heads * width)
  let slots = spans.map { ($0.count + 15) / 16 * 16 }
  let stride = HeadMemory.valueStride(width)
  let sizes = slots.map { $0 * (width + stride) * heads }
  let starts = sizes.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1) }
  let storage = TensorStorage(count: starts[spans.count])
  func memory(_ span: Int, _ head: Int) -> HeadMemory {
    let keys = storage.start + starts[span] + head * slots[span] * (width + stride)
    return HeadMemory(keys: UnsafeMutableRawPointer(keys), values: UnsafeMutableRawPointer(keys + slots[span] * width))
  }
  input.key.tensor.withValues { keys in
    input.value.tensor.withValues { values in
      engine.parallel(spans.count * heads) { task in
        let (span, head) = (task / heads, task % heads)
        let memory = memory(span, head)
        for (slot, row) in spans[span].enumerated() {
          memory.store(
            keys + row * input.key.tensor.columns + input.key.column + head * width,
            values + row * input.value.tensor.columns + input.value.column + head * width, slot: slot, width: width,
            .f32)
        }
      }
    }
  }
  let blocks = spans.enumerated().flatMap { index, span in
    Swift.stride(from: span.lowerBound, to: span.upperBound, by: queriesTogether).map {
      (span: index, rows: $0..<min(span.upperBound, $0 + queriesTogether))
    }
  }
  let scale = 1 / Float(width).squareRoot()
  input.query.tensor.withValues { queries in
    mixed.withMutable { out in
      engine.parallel(blocks.count * heads) { task in
        let (block, head) = (blocks[task / heads], task % heads)
        let visible = Array(repeating: 0..<spans[block.span].count, count: block.rows.count)
        memory(block.span, head).attend(
          queries + block.rows.lowerBound * input.query.tensor.columns + input.query.column + head * width,
          stride: input.query.tensor.columns, visible: visible, width: width, scale: scale, .f32,
          out: out + block.rows.lowerBound * mixed.columns + head * width, outStride: mixed.columns)
      }
    }
  }
  return mixed
}
