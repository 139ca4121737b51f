/// Steele, Lea and Flood's SplitMix64: the same numbers on every machine, and a start of its own for every record.
package struct SplitMix64: Sendable {
  /// What the numbers of a record are for: each purpose has numbers of its own, so that a change in what one draws
  /// leaves the others as they are.
  enum Purpose: UInt64 {
    case scene = 1
    case noise, task, words, caption
  }

  private var state: UInt64

  /// The numbers of one record for one purpose; they depend on nothing else.
  init(seed: Int, index: Int, _ purpose: Purpose) {
    let parts = [UInt64(bitPattern: Int64(seed)), UInt64(bitPattern: Int64(index)), purpose.rawValue]
    state = parts.reduce(0x6D61_7373_7670_6970) { Self.mixed(($0 ^ $1) &+ 0x9E37_79B9_7F4A_7C15) }
  }

  private static func mixed(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    return Self.mixed(state)
  }

  /// A number from 0 to `count` - 1.
  mutating func below(_ count: Int) -> Int { Int(((next() >> 32) &* UInt64(count)) >> 32) }

  /// A number of the range, both ends included.
  mutating func within(_ range: ClosedRange<Int>) -> Int { range.lowerBound + below(range.count) }

  /// True in so many of a hundred cases.
  mutating func chance(_ percent: Int) -> Bool { below(100) < percent }

  /// One of the values, each as often as the others. There is at least one.
  mutating func pick<Value>(_ values: [Value]) -> Value { values[below(values.count)] }

  /// One of a kind that can be listed.
  mutating func pick<Value: CaseIterable>(_ type: Value.Type) -> Value where Value.AllCases == [Value] {
    pick(Value.allCases)
  }

  /// The values in another order.
  mutating func shuffled<Value>(_ values: [Value]) -> [Value] {
    var values = values
    for index in values.indices.dropFirst().reversed() { values.swapAt(index, below(index + 1)) }
    return values
  }
}
