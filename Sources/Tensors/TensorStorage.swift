import Foundation
import Synchronization

/// Memory of one tensor, aligned to a cache line.
final class TensorStorage: @unchecked Sendable {
  let start: UnsafeMutablePointer<Float>
  let count: Int
  private let size: Int

  init(count: Int) {
    self.count = count
    size = MemoryShelf.size(max(count, 1) * 4)
    start = MemoryShelf.shared.take(size).bindMemory(to: Float.self, capacity: size / 4)
  }

  deinit { MemoryShelf.shared.give(UnsafeMutableRawPointer(start), size) }
}

/// Keeps more of the memory of tensors that are gone than inference needs: a training step makes the same tensors as the
/// step before, and much of its time would go into clearing fresh pages.
package func keepTensorMemory(upTo bytes: Int) { MemoryShelf.shared.keep(upTo: bytes) }

/// Memory of tensors that are gone, for those that come: a pass needs the sizes of the pass before it, and fresh pages
/// would be cleared by the system each time.
private final class MemoryShelf: Sendable {
  static let shared = MemoryShelf()

  /// Below, blocks are twice as large as the next smaller ones: passes of few rows and of some more share them, and find
  /// them in the processor's caches.
  private static let fine = 32 << 10
  private static let smallest = 512
  /// Beyond, a block is a model's weight or the like: it goes back to the system.
  private static let largest = 256 << 20
  private static let hugePage = 2 << 20

  private struct Shelves {
    /// By `place`.
    var blocks = [[UInt]](repeating: [], count: MemoryShelf.place(MemoryShelf.largest) + 1)
    var bytes = 0
    /// Bytes that are kept at most.
    var most = 512 << 20
  }

  private let shelves = Mutex(Shelves())

  /// The size of the block that holds so many bytes: eight sizes between a power of two and the next where they are large.
  static func size(_ bytes: Int) -> Int {
    guard bytes <= largest else { return bytes }
    if bytes <= smallest { return smallest }
    let step = 1 << (exponent(bytes - 1) - (bytes > fine ? 3 : -1))
    return (bytes + step - 1) / step * step
  }

  private static func exponent(_ bytes: Int) -> Int { Int.bitWidth - 1 - bytes.leadingZeroBitCount }

  /// Which of all sizes a block's is.
  private static func place(_ size: Int) -> Int {
    let exponent = exponent(size)
    return 8 * exponent + (size >> (exponent - 3)) & 7
  }

  func keep(upTo bytes: Int) { shelves.withLock { $0.most = max($0.most, bytes) } }

  func take(_ size: Int) -> UnsafeMutableRawPointer {
    if size <= Self.largest {
      let found = shelves.withLock { shelves -> UInt? in
        guard let block = shelves.blocks[Self.place(size)].popLast() else { return nil }
        shelves.bytes -= size
        return block
      }
      if let found, let place = UnsafeMutableRawPointer(bitPattern: found) { return place }
    }
    let isLarge = size >= Self.hugePage
    let place = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: isLarge ? Self.hugePage : 64)
    // Large pages, where the system has them: weights are read from end to end, and every small page would be looked up.
    if isLarge { madvise(place, size / Self.hugePage * Self.hugePage, MADV_HUGEPAGE) }
    return place
  }

  func give(_ place: UnsafeMutableRawPointer, _ size: Int) {
    if size <= Self.largest {
      let isKept = shelves.withLock { shelves -> Bool in
        guard shelves.bytes + size <= shelves.most else { return false }
        shelves.blocks[Self.place(size)].append(UInt(bitPattern: place))
        shelves.bytes += size
        return true
      }
      if isKept { return }
    }
    place.deallocate()
  }
}
