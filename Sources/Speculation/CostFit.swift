/// What something costs as a sum of non-negative shares, fitted to what was measured.
///
/// Least squares with every share at least 0: time is never saved by doing more, and a fit that thinks so only follows
/// noise. Measurements of one kind replace each other slowly and those of other kinds stay, so that a long run of the
/// same does not unlearn what all else costs. A machine that becomes slower or faster does so for all kinds alike, and what
/// took many times as long once was held up by something else: it counts where it happens again. What a kind was often
/// measured to cost stands before what all others say of it.
struct CostFit: Sendable {
  private struct Kind: Sendable {
    var amounts: [Double]
    /// By the machine's speed at the time.
    var cost: Double
    var count: Double
    var lastSeen: Int
    var group: Int?
  }

  /// What was measured, and what the shares say of it.
  private struct Miss: Sendable {
    var count = 0.0
    var cost = 0.0
    var fitted = 0.0

    /// By what to multiply what the shares say: the more so, the more was measured.
    var factor: Double {
      guard fitted > 0 else { return 1 }
      return 1 + count / (count + CostFit.trust) * (cost / fitted - 1)
    }
  }

  private var kinds: [Int: Kind] = [:]
  /// By group, as of the last solution.
  private var misses: [Int: Miss] = [:]
  private var speed = 1.0
  private var measurements = 0
  /// Kinds whose last measurement was not believed.
  private var doubted: Set<Int> = []
  private(set) var shares: [Double]
  /// Measurements of a kind of which the mean is kept; later ones replace them slowly.
  private static let memory = 200.0
  /// The most kinds that are remembered.
  private static let most = 96

  /// - Parameter count: how many shares there are.
  init(count: Int) { shares = Array(repeating: 0, count: count) }

  /// Takes in that these amounts cost so much.
  ///
  /// - Parameters:
  ///   - kind: the same for amounts that are nearly the same.
  ///   - group: the same for kinds that the shares are likely to miss by as much.
  mutating func add(_ amounts: [Double], cost: Double, kind: Int, group: Int? = nil) {
    let expected = self.cost(amounts)
    if kinds[kind] != nil || kinds.count > 1, cost > 4 * expected, doubted.insert(kind).inserted { return }
    doubted.remove(kind)
    measurements += 1
    if kinds[kind] != nil, expected > 0 {
      let drift = min(1.2, max(0.8, cost / self.cost(amounts, kind: kind)))
      speed *= 1 + (drift - 1) * 0.02
    }
    var measured = cost / speed
    var entry = kinds[kind] ?? Kind(amounts: amounts, cost: measured, count: 0, lastSeen: 0, group: group)
    // What a kind is measured with may be more or less of it than before.
    let usual = entry.cost * (expected > 0 ? expected / max(1e-12, self.cost(entry.amounts)) : 1)
    if measured < usual / 2 {
      // What held it up then held up others too: of those, what was measured once or twice alone is known no longer.
      entry.count = 0
      kinds = kinds.filter { $0.key == kind || $0.value.count > 2 }
    }
    if entry.count > 0 { measured = min(measured, 1.4 * usual) }
    entry.count = min(Self.memory, entry.count + 1)
    entry.cost += (measured - entry.cost) / entry.count
    for index in amounts.indices { entry.amounts[index] += (amounts[index] - entry.amounts[index]) / entry.count }
    entry.lastSeen = measurements
    kinds[kind] = entry
    if kinds.count > Self.most, let oldest = kinds.min(by: { $0.value.lastSeen < $1.value.lastSeen }) {
      kinds[oldest.key] = nil
    }
    // Later measurements move it little: small models' rounds are not much longer than a solution takes.
    if measurements < 32 || measurements % 8 == 0 { solve() }
  }

  /// What these amounts cost by the shares as they stand.
  func cost(_ amounts: [Double]) -> Double { speed * fitted(amounts) }

  private func fitted(_ amounts: [Double]) -> Double { zip(amounts, shares).reduce(0) { $0 + $1.0 * $1.1 } }

  /// Measurements of a kind that count as much as what the fit says of it.
  private static let trust = 4.0

  /// What these amounts cost by the shares, and by how far the kind was off them when it was measured itself.
  func cost(_ amounts: [Double], kind: Int) -> Double {
    let cost = cost(amounts)
    guard let known = kinds[kind] else { return cost }
    return cost * Miss(count: known.count, cost: known.cost, fitted: fitted(known.amounts)).factor
  }

  /// What these amounts cost by the shares, and by how far all kinds of the group were off them.
  func cost(_ amounts: [Double], group: Int) -> Double { cost(amounts) * (misses[group]?.factor ?? 1) }

  /// Forgets what was measured of some kinds.
  mutating func forget(_ isForgotten: (Int) -> Bool) {
    kinds = kinds.filter { !isForgotten($0.key) }
    solve()
  }

  /// Coordinate descent from the last solution: few sweeps do, since one measurement moves it little.
  private mutating func solve() {
    var products = shares.map { _ in shares.map { _ in 0.0 } }
    var targets = shares.map { _ in 0.0 }
    for kind in kinds.values {
      // Misses count by their share of the cost: a pass of many rows is not more important for being long.
      let weight = kind.count / max(1e-12, kind.cost * kind.cost)
      for row in targets.indices {
        for column in targets.indices { products[row][column] += weight * kind.amounts[row] * kind.amounts[column] }
        targets[row] += weight * kind.amounts[row] * kind.cost
      }
    }
    for _ in 0..<60 {
      for row in shares.indices {
        // A little resistance keeps shares that nothing has told apart from running away.
        let own = products[row][row] * (1 + 1e-4) + 1e-12
        let others = shares.indices.reduce(0) { $1 == row ? $0 : $0 + products[row][$1] * shares[$1] }
        shares[row] = max(0, (targets[row] - others) / own)
      }
    }
    misses = kinds.values.reduce(into: [:]) { misses, kind in
      guard let group = kind.group else { return }
      let known = misses[group] ?? Miss()
      misses[group] = Miss(
        count: known.count + kind.count, cost: known.cost + kind.count * kind.cost,
        fitted: known.fitted + kind.count * fitted(kind.amounts))
    }
  }
}
