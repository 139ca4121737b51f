import Tensors

/// What a cache holds of each token, and for how long.
package struct CacheShape: Sendable, Equatable {
  /// One entry a layer: how many slots a row attends to, itself included; nil for all.
  package var windows: [Int?]
  package var heads: Int
  package var width: Int
  /// f32 or f16.
  package var type: ElementType

  /// The most slots that a layer keeps, in whole panels.
  func room(_ window: Int?, _ capacity: Int) -> Int {
    // Twice the rows of a pass: the window is moved to the front only now and then.
    whole(window.map { min(capacity, $0 + 3 * KVCache.maximumRows + 16) } ?? capacity)
  }

  /// Bytes of one layer's keys and values.
  func bytes(slots: Int) -> Int {
    heads
      * (HeadMemory.keyBytes(slots: slots, width: width, type)
        + HeadMemory.valueBytes(slots: slots, width: width, type))
  }

  /// Bytes that a cache takes for so many tokens.
  package func byteCount(capacity: Int) -> Int { windows.reduce(0) { $0 + bytes(slots: room($1, capacity)) } }
}

/// Slots in whole panels of 16.
private func whole(_ slots: Int) -> Int { (slots + 15) / 16 * 16 }

/// Keys and values of one sequence in one language model.
///
/// A slot is not a position: image tokens of M-RoPE share positions. The owner keeps the positions. A layer with a
/// sliding window keeps the window and some rows more, so that rejected drafts can be taken back.
package final class KVCache {
  /// Slots that hold tokens, dropped ones included.
  package private(set) var length = 0
  package let capacity: Int
  let shape: CacheShape
  private var layers: [Layer]

  /// Rows that one pass may add to a cache that is not empty, and that may be taken back.
  package static let maximumRows = 80

  /// Slots behind a prompt that a layer has room for before it grows: a short answer's.
  private static let firstRoom = 64

  fileprivate struct Layer {
    /// Slots that the layer has room for, in whole panels: it grows with the sequence.
    var room = 0
    /// All heads' keys, then all heads' values, as bytes in a tensor's memory: that of finished sequences is taken again.
    var storage: Tensor?
    /// The first slot that is still there, at the beginning of a panel.
    var base = 0
  }

  /// - Parameter capacity: slots that the sequence may take.
  package init(_ shape: CacheShape, capacity: Int) {
    self.shape = shape
    self.capacity = capacity
    layers = shape.windows.map { _ in Layer() }
  }

  /// A cache of the same sequence that goes on by itself.
  ///
  /// It takes no more room than the slots that hold tokens, and grows as any other.
  ///
  /// - Parameter capacity: slots that its sequence may take, those that hold tokens included.
  package func copy(capacity: Int) -> KVCache { copying(length, capacity) }

  /// A cache of the sequence's beginning that goes on by itself; nil where a window has left behind what the next slot
  /// sees.
  ///
  /// - Parameter count: slots of the beginning.
  package func copy(first count: Int, capacity: Int) -> KVCache? {
    let isThere = layers.indices.allSatisfy { layers[$0].base <= firstVisible(layer: $0, slot: count) }
    return count <= length && isThere ? copying(count, capacity) : nil
  }

  private func copying(_ count: Int, _ capacity: Int) -> KVCache {
    let copy = KVCache(shape, capacity: max(capacity, count))
    copy.length = count
    for (index, layer) in layers.enumerated() where layer.storage != nil {
      let kept = count - layer.base
      copy.layers[index] = moved(layer, base: layer.base, room: whole(kept), kept: kept)
    }
    return copy
  }

  /// Bytes that it takes now.
  package var byteCount: Int { layers.reduce(0) { $0 + shape.bytes(slots: $1.room) } }

  /// The slots that a row attends to before itself: from here on.
  private func firstVisible(layer: Int, slot: Int) -> Int { shape.windows[layer].map { max(0, slot - $0 + 1) } ?? 0 }

  /// One layer's keys and values, all heads', for as long as the pass goes on that they were made ready for.
  struct LayerMemory {
    private let start: UnsafeMutableRawPointer
    private let heads: Int
    /// Bytes of a head.
    private let keys: Int
    private let values: Int
    /// The slot that the memory begins with.
    let base: Int

    fileprivate init(_ layer: Layer, _ shape: CacheShape) {
      guard let storage = layer.storage else { preconditionFailure("a layer has no rows before it is made room for") }
      start = storage.withMutable { UnsafeMutableRawPointer($0) }
      heads = shape.heads
      keys = HeadMemory.keyBytes(slots: layer.room, width: shape.width, shape.type)
      values = HeadMemory.valueBytes(slots: layer.room, width: shape.width, shape.type)
      base = layer.base
    }

    subscript(head: Int) -> HeadMemory {
      HeadMemory(keys: start + head * keys, values: start + heads * keys + head * values)
    }
  }

  /// A layer's memory with room for so many rows behind the last slot.
  func extend(layer index: Int, rows: Int) -> LayerMemory {
    makeRoom(layer: index, rows: rows)
    return LayerMemory(layers[index], shape)
  }

  /// Moves a full window to the front, and grows what is too small for the rows that come. A prompt's rows all find
  /// room until they have been attended to.
  private func makeRoom(layer index: Int, rows: Int) {
    let old = layers[index]
    let end = length + rows
    guard end - old.base > old.room else { return }
    let most = shape.room(shape.windows[index], capacity)
    var base = old.base
    if let window = shape.windows[index], length > 0, end - base > most {
      // What the pass's first row sees, and what a later row sees once a pass has been taken back.
      base = max(base, (length - window - Self.maximumRows) / 16 * 16)
    }
    let room = max(old.room, whole(end - base), min(most, max(2 * old.room, whole(end - base + Self.firstRoom))))
    move(index, base: base, room: room, kept: length - base)
  }

  /// Gives back what a layer with a window holds beyond it, once the pass's rows have been attended to.
  func settle(layer index: Int, rows: Int) {
    guard let window = shape.windows[index] else { return }
    let most = shape.room(window, capacity)
    guard layers[index].room > most else { return }
    let end = length + rows
    let base = max(0, (end - window - Self.maximumRows) / 16 * 16)
    move(index, base: base, room: max(most, whole(end - base)), kept: end - base)
  }

  private func move(_ index: Int, base: Int, room: Int, kept: Int) {
    layers[index] = moved(layers[index], base: base, room: room, kept: kept)
  }

  /// The layer's slots from `base` on, `kept` of them, in memory of their own.
  private func moved(_ old: Layer, base: Int, room: Int, kept: Int) -> Layer {
    let floats = (shape.bytes(slots: room) + 3) / 4
    // What no row has been written to is not seen by any query.
    let new = Layer(room: room, storage: Tensor(rows: 1, columns: floats), base: base)
    let slots = whole(max(0, kept))
    if old.storage != nil, slots > 0 {
      let first = base - old.base
      let (from, to) = (LayerMemory(old, shape), LayerMemory(new, shape))
      for head in 0..<shape.heads {
        let (source, target) = (from[head], to[head])
        let keyBytes = HeadMemory.keyBytes(slots: slots, width: shape.width, shape.type)
        let valueBytes = HeadMemory.valueBytes(slots: kept, width: shape.width, shape.type)
        target.keys.copyMemory(
          from: source.keys + HeadMemory.keyBytes(slots: first, width: shape.width, shape.type), byteCount: keyBytes)
        target.values.copyMemory(
          from: source.values + HeadMemory.valueBytes(slots: first, width: shape.width, shape.type),
          byteCount: valueBytes)
      }
    }
    return new
  }

  /// Counts rows as stored once every layer has taken them.
  func advance(by rows: Int) { length += rows }

  /// Drops every slot from `newLength` on: rejected drafts.
  package func truncate(to newLength: Int) { length = min(length, newLength) }
}
