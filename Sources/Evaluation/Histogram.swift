/// How many values from 0 to 1 fall into each of equal bins; 1 falls into the last.
package struct Histogram: Sendable, Equatable {
  package private(set) var counts: [Int]

  package init(bins: Int = 20) { counts = Array(repeating: 0, count: max(1, bins)) }

  /// Counts a value; what lies outside counts as the nearest end.
  package mutating func add(_ value: Double) {
    let place = value * Double(counts.count)
    counts[place > 0 ? min(counts.count - 1, Int(min(place, Double(counts.count)))) : 0] += 1
  }
}
