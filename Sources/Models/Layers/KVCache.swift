import Tensors

/// Keys and values of one sequence in one decoder: [layer][key or value][head][slot][width], f32.
///
/// A slot is not a position: image tokens of M-RoPE share positions. The owner keeps the positions.
package final class KVCache {
  /// Slots that hold tokens.
  package private(set) var length = 0
  package let capacity: Int
  private let storage: UnsafeMutablePointer<Float>
  private let heads: Int
  private let width: Int

  package init(layers: Int, heads: Int, width: Int, capacity: Int) {
    self.heads = heads
    self.width = width
    self.capacity = capacity
    storage = .allocate(capacity: max(1, layers * 2 * heads * capacity * width))
  }

  deinit { storage.deallocate() }

  /// Bytes that a cache of this shape takes.
  package static func byteCount(layers: Int, heads: Int, width: Int, capacity: Int) -> Int {
    layers * 2 * heads * capacity * width * 4
  }

  /// Keys of one head: slot after slot.
  func keys(layer: Int, head: Int) -> UnsafeMutablePointer<Float> {
    storage + ((layer * 2) * heads + head) * capacity * width
  }

  /// Values of one head: slot after slot.
  func values(layer: Int, head: Int) -> UnsafeMutablePointer<Float> {
    storage + ((layer * 2 + 1) * heads + head) * capacity * width
  }

  /// Copies one row of all heads' keys and values into a slot.
  func write(layer: Int, slot: Int, keys: UnsafePointer<Float>, values: UnsafePointer<Float>) {
    for head in 0..<heads {
      (self.keys(layer: layer, head: head) + slot * width).update(from: keys + head * width, count: width)
      (self.values(layer: layer, head: head) + slot * width).update(from: values + head * width, count: width)
    }
  }

  /// Counts rows as stored once every layer has written them.
  func advance(by rows: Int) { length += rows }

  /// Drops every slot from `newLength` on: rejected drafts.
  package func truncate(to newLength: Int) { length = min(length, newLength) }
}
