/// Bytes as a dictionary's key: unlike strings, never equal to other bytes that are canonically equivalent.
struct ByteString: Hashable, Sendable {
  let bytes: [UInt8]

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  func hash(into hasher: inout Hasher) { bytes.withUnsafeBytes { hasher.combine(bytes: $0) } }
}

/// Byte-pair encoding: symbols of a word are merged pair by pair, the pair of the lowest rank first.
struct BytePairEncoding: Sendable {
  /// The merged symbol of a pair and the pair's rank, in an open hash table: most of a tokenizer's time goes here.
  private var keys: [UInt64]
  private var values: [(rank: Int32, symbol: Int32)]
  private let mask: Int

  /// A pair and what it becomes; of two pairs the one of the lower rank is merged first.
  struct Merge {
    let left: Int32
    let right: Int32
    let symbol: Int32
    let rank: Int32
  }

  init(merges: [Merge]) {
    var capacity = 16
    while capacity < merges.count * 2 { capacity *= 2 }
    mask = capacity - 1
    keys = Array(repeating: .max, count: capacity)
    values = Array(repeating: (.max, 0), count: capacity)
    for merge in merges {
      let key = Self.key(merge.left, merge.right)
      var slot = Self.slot(key, mask)
      while keys[slot] != .max, keys[slot] != key { slot = (slot + 1) & mask }
      // Of a pair that is listed twice, the last rank counts, as in the reference.
      keys[slot] = key
      values[slot] = (merge.rank, merge.symbol)
    }
  }

  @inline(__always) private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
  }

  @inline(__always) private static func slot(_ key: UInt64, _ mask: Int) -> Int {
    Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 24) & mask
  }

  @inline(__always) private func find(_ left: Int32, _ right: Int32) -> (rank: Int32, symbol: Int32) {
    let key = Self.key(left, right)
    return keys.withUnsafeBufferPointer { keys in
      var slot = Self.slot(key, mask)
      while keys[slot] != key {
        if keys[slot] == .max { return (.max, 0) }
        slot = (slot + 1) & mask
      }
      return values[slot]
    }
  }

  /// Merges a word's symbols in place until no pair is left that has a rank.
  func merge(_ symbols: inout [Int32]) {
    if symbols.count > 24 { return mergeLong(&symbols) }
    var count = symbols.count
    symbols.withUnsafeMutableBufferPointer { symbols in
      withUnsafeTemporaryAllocation(of: (rank: Int32, symbol: Int32).self, capacity: max(1, count)) { pairs in
        for i in 0..<max(0, count - 1) { pairs[i] = find(symbols[i], symbols[i + 1]) }
        while count > 1 {
          var best = 0
          for i in 1..<max(1, count - 1) where pairs[i].rank < pairs[best].rank { best = i }
          if pairs[best].rank == .max { return }
          symbols[best] = pairs[best].symbol
          for i in best + 1..<count - 1 {
            symbols[i] = symbols[i + 1]
            pairs[i] = pairs[min(i + 1, count - 2)]
          }
          count -= 1
          if best > 0 { pairs[best - 1] = find(symbols[best - 1], symbols[best]) }
          if best < count - 1 { pairs[best] = find(symbols[best], symbols[best + 1]) }
        }
      }
    }
    symbols.removeLast(symbols.count - count)
  }

  /// The same with a heap of pairs: a word of thousands of letters takes no quadratic time.
  private func mergeLong(_ symbols: inout [Int32]) {
    let end = symbols.count
    var previous = Array(-1..<end - 1)
    var next = Array(1...end)
    var heap = PairHeap()
    func consider(_ left: Int, _ right: Int) {
      let (rank, symbol) = find(symbols[left], symbols[right])
      if rank != .max {
        heap.push(.init(rank: rank, place: Int32(left), left: symbols[left], right: symbols[right], symbol: symbol))
      }
    }
    for i in 0..<end - 1 { consider(i, i + 1) }
    while let pair = heap.pop() {
      let left = Int(pair.place)
      guard symbols[left] == pair.left, next[left] < end, symbols[next[left]] == pair.right else { continue }
      let right = next[left]
      symbols[left] = pair.symbol
      symbols[right] = -1
      next[left] = next[right]
      if next[left] < end { previous[next[left]] = left }
      if previous[left] >= 0 { consider(previous[left], left) }
      if next[left] < end { consider(left, next[left]) }
    }
    symbols.removeAll { $0 == -1 }
  }
}

/// Pairs of neighbours by rank, then by place.
private struct PairHeap {
  struct Pair {
    let rank: Int32
    let place: Int32
    let left: Int32
    let right: Int32
    let symbol: Int32

    func precedes(_ other: Pair) -> Bool { (rank, place) < (other.rank, other.place) }
  }
  private var pairs: [Pair] = []

  mutating func push(_ pair: Pair) {
    pairs.append(pair)
    var child = pairs.count - 1
    while child > 0, pairs[child].precedes(pairs[(child - 1) / 2]) {
      pairs.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  mutating func pop() -> Pair? {
    guard let top = pairs.first, let last = pairs.popLast() else { return nil }
    guard !pairs.isEmpty else { return top }
    pairs[0] = last
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < pairs.count && pairs[child].precedes(pairs[least]) {
        least = child
      }
      if least == parent { return top }
      pairs.swapAt(parent, least)
      parent = least
    }
  }
}
