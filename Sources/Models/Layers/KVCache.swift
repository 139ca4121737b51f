import Tensors

/// Keys and values of one sequence in one language model, f32.
///
/// A slot is not a position: image tokens of M-RoPE share positions. The owner keeps the positions. A layer with a
/// sliding window keeps the window and some rows more, so that rejected drafts can be taken back.
package final class KVCache {
  /// Slots that hold tokens, dropped ones included.
  package private(set) var length = 0
  package let capacity: Int
  private let heads: Int
  private let width: Int
  private var layers: [Layer]

  /// Rows that one pass may add to a cache that is not empty, and that may be taken back.
  package static let maximumRows = 80

  private struct Layer {
    /// nil where the layer attends to everything.
    let window: Int?
    /// Rows that the layer has room for: it grows with the sequence.
    var room = 0
    /// [key or value][head][row][width].
    var storage: UnsafeMutablePointer<Float>?
    /// The slot of the first row that is still there.
    var base = 0
  }

  /// - Parameters:
  ///   - windows: one entry a layer: how many slots a row attends to, itself included; nil for all.
  ///   - capacity: slots that the sequence may take.
  package init(windows: [Int?], heads: Int, width: Int, capacity: Int) {
    self.heads = heads
    self.width = width
    self.capacity = capacity
    layers = windows.map { Layer(window: $0) }
  }

  deinit { for layer in layers { layer.storage?.deallocate() } }

  /// The most rows that a layer keeps.
  private static func room(_ window: Int?, _ capacity: Int) -> Int {
    // Twice the rows of a pass: the window is moved to the front only now and then.
    window.map { min(capacity, $0 + 3 * maximumRows) } ?? capacity
  }

  /// Bytes that a cache of this shape takes.
  package static func byteCount(windows: [Int?], heads: Int, width: Int, capacity: Int) -> Int {
    windows.reduce(0) { $0 + room($1, capacity) } * 2 * heads * width * 4
  }

  /// The slots that a row attends to before itself: from here on.
  func firstVisible(layer: Int, slot: Int) -> Int { layers[layer].window.map { max(0, slot - $0 + 1) } ?? 0 }

  /// Keys of one head from a slot on, row after row.
  func keys(layer: Int, head: Int, from slot: Int) -> UnsafeMutablePointer<Float> {
    row(layers[layer], head, slot)
  }

  /// Values of one head from a slot on, row after row.
  func values(layer: Int, head: Int, from slot: Int) -> UnsafeMutablePointer<Float> {
    row(layers[layer], heads + head, slot)
  }

  private func row(_ layer: Layer, _ block: Int, _ slot: Int) -> UnsafeMutablePointer<Float> {
    guard let storage = layer.storage else { preconditionFailure("rows are read before any was added") }
    return storage + (block * layer.room + slot - layer.base) * width
  }

  /// Values from one head's rows to the next one's.
  func headStride(layer: Int) -> Int { layers[layer].room * width }

  /// Copies rows of all heads' keys and values into the slots behind the last; `stride` values from row to row.
  ///
  /// A layer with a window keeps the last of them that fit.
  func append(layer: Int, rows: Int, keys: UnsafePointer<Float>, values: UnsafePointer<Float>, stride: Int) {
    makeRoom(layer: layer, rows: rows)
    let first = max(length, layers[layer].base)
    for row in first - length..<rows {
      for head in 0..<heads {
        let place = row * stride + head * width
        self.keys(layer: layer, head: head, from: length + row).update(from: keys + place, count: width)
        self.values(layer: layer, head: head, from: length + row).update(from: values + place, count: width)
      }
    }
  }

  /// Moves a full window to the front, and grows what is too small for the rows that come.
  private func makeRoom(layer index: Int, rows: Int) {
    let old = layers[index]
    let end = length + rows
    guard end - old.base > old.room else { return }
    var base = old.base
    let most = Self.room(old.window, capacity)
    if let window = old.window, end - base > most {
      // What the pass's first row sees, and what a later row sees once a pass has been taken back.
      base = max(base, (length == 0 ? end : length) - window - Self.maximumRows)
    }
    var new = old
    new.base = base
    new.room = max(old.room, min(most, max(end - base, 2 * old.room)), end - base)
    if new.room > old.room {
      new.storage = .allocate(capacity: max(1, 2 * heads * new.room * width))
    }
    let kept = max(0, length - base)
    for block in 0..<2 * heads where kept > 0 {
      row(new, block, base).update(from: row(old, block, base), count: kept * width)
    }
    if new.storage != old.storage { old.storage?.deallocate() }
    layers[index] = new
  }

  /// Counts rows as stored once every layer has taken them.
  func advance(by rows: Int) { length += rows }

  /// Drops every slot from `newLength` on: rejected drafts.
  package func truncate(to newLength: Int) { length = min(length, newLength) }
}
