/// SHA-256 (FIPS 180-4): what `sha256` fields and checks of files hold.
package enum SHA256 {
  private static let primes: [UInt32] = {
    var primes: [UInt32] = []
    var candidate: UInt32 = 2
    while primes.count < 64 {
      if !primes.contains(where: { candidate % $0 == 0 }) { primes.append(candidate) }
      candidate += 1
    }
    return primes
  }()

  /// The first 32 bits behind the point of a root: square for the start, cube for the rounds.
  private static let start: [UInt32] = primes.prefix(8).map { fraction(of: Double($0).squareRoot()) }
  private static let rounds: [UInt32] = primes.map { prime in
    // The cube root by whole numbers: 2^32 times it, cut off.
    var root: UInt128 = 0
    for bit in (0..<36).reversed() {
      let trial = root | (1 << UInt128(bit))
      if trial * trial * trial <= UInt128(prime) << 96 { root = trial }
    }
    return UInt32(truncatingIfNeeded: root)
  }

  private static func fraction(of value: Double) -> UInt32 { UInt32((value - value.rounded(.down)) * 0x1p32) }

  /// The digest as 64 hexadecimal digits.
  package static func hexDigest(of bytes: some Collection<UInt8>) -> String {
    digest(of: bytes).map { byte in
      let digits = String(byte, radix: 16)
      return digits.count < 2 ? "0" + digits : digits
    }.joined()
  }

  /// The digest as 32 bytes.
  package static func digest(of bytes: some Collection<UInt8>) -> [UInt8] {
    var state = start
    let whole = bytes.count / 64 * 64
    let contiguous: Void? = bytes.withContiguousStorageIfAvailable { mix($0[..<whole], &state) }
    if contiguous == nil { Array(bytes).withUnsafeBufferPointer { mix($0[..<whole], &state) } }
    var rest = Array(bytes.dropFirst(whole))
    rest.append(0x80)
    rest.append(contentsOf: repeatElement(0, count: (120 - rest.count % 64) % 64))
    let bitCount = UInt64(bytes.count) * 8
    for shift in stride(from: 56, through: 0, by: -8) {
      rest.append(UInt8(truncatingIfNeeded: bitCount >> UInt64(shift)))
    }
    rest.withUnsafeBufferPointer { mix($0[...], &state) }
    return state.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> UInt32(24 - 8 * $0)) } }
  }

  @inline(__always) private static func turn(_ x: UInt32, _ n: UInt32) -> UInt32 { x >> n | x << (32 - n) }

  /// Mixes whole blocks of 64 bytes.
  private static func mix(_ bytes: Slice<UnsafeBufferPointer<UInt8>>, _ state: inout [UInt32]) {
    let blocks = UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: bytes))
    rounds.withUnsafeBufferPointer { rounds in
      withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 64) { schedule in
        for offset in stride(from: 0, to: blocks.count, by: 64) {
          for i in 0..<16 {
            schedule[i] = UInt32(bigEndian: blocks.loadUnaligned(fromByteOffset: offset + 4 * i, as: UInt32.self))
          }
          mix(schedule, rounds, &state)
        }
      }
    }
  }

  @inline(__always) private static func mix(
    _ w: UnsafeMutableBufferPointer<UInt32>, _ rounds: UnsafeBufferPointer<UInt32>, _ state: inout [UInt32]
  ) {
    for i in 16..<64 {
      let a = turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ w[i - 15] >> 3
      let b = turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10
      w[i] = w[i - 16] &+ a &+ w[i - 7] &+ b
    }
    var (a, b, c, d, e, f, g, h) = (state[0], state[1], state[2], state[3], state[4], state[5], state[6], state[7])
    for i in 0..<64 {
      let s1 = turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)
      let first = h &+ s1 &+ (e & f ^ ~e & g) &+ rounds[i] &+ w[i]
      let s0 = turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)
      let second = s0 &+ (a & b ^ a & c ^ b & c)
      (h, g, f, e, d, c, b, a) = (g, f, e, d &+ first, c, b, a, first &+ second)
    }
    state[0] &+= a
    state[1] &+= b
    state[2] &+= c
    state[3] &+= d
    state[4] &+= e
    state[5] &+= f
    state[6] &+= g
    state[7] &+= h
  }
}
