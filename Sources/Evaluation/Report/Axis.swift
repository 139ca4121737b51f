/// Values along one side of a plot.
struct Axis {
  let title: String
  let range: ClosedRange<Double>
  /// Where values are written.
  let ticks: [Double]

  init(_ title: String, _ range: ClosedRange<Double>, ticks: [Double]) {
    self.title = title
    self.range = range
    self.ticks = ticks
  }

  /// From 0 to where the largest value has its place, in steps that people count in.
  init(_ title: String, upTo largest: Double, steps: Int = 5) {
    let largest = largest.isFinite && largest > 1e-9 ? min(largest, 1e9) : 1
    var step = 1e-9
    while step * 10 <= largest / Double(steps) { step *= 10 }
    // 1, 2, 5, 10: the first that is long enough.
    step *= [1, 2, 5].first { step * $0 * Double(steps) >= largest * 0.999 } ?? 10
    let count = Int((largest / step - 0.001).rounded(.up))
    self.init(title, 0...step * Double(count), ticks: (0...count).map { Double($0) * step })
  }

  /// Every whole number from one to another, thinned out where they are many.
  init(_ title: String, whole numbers: ClosedRange<Int>, margin: Double = 0) {
    let every = max(1, (numbers.count + 11) / 12)
    self.init(
      title, Double(numbers.lowerBound) - margin...Double(numbers.upperBound) + max(margin, 1e-3),
      ticks: stride(from: numbers.lowerBound, through: numbers.upperBound, by: every).map { Double($0) })
  }

  /// From 0 to 1.
  static func share(_ title: String) -> Axis { Axis(title, 0...1, ticks: [0, 0.2, 0.4, 0.6, 0.8, 1]) }

  /// Where a value lies between the ends, 0 to 1; those outside lie at the nearest.
  func place(of value: Double) -> Double {
    guard value.isFinite else { return 0 }
    return min(1, max(0, (value - range.lowerBound) / (range.upperBound - range.lowerBound)))
  }
}
