/// What something costs as a sum of non-negative shares, fitted to measurements of which the old fade.
///
/// Least squares with every share at least 0: time is never saved by doing more, and a fit that thinks so only follows
/// noise.
struct CostFit: Sendable {
  private var products: [[Double]]
  private var targets: [Double]
  private(set) var shares: [Double]
  /// How much a measurement counts once the next has come.
  private static let fade = 0.985

  /// - Parameter count: how many shares there are.
  init(count: Int) {
    products = Array(repeating: Array(repeating: 0, count: count), count: count)
    targets = Array(repeating: 0, count: count)
    shares = Array(repeating: 0, count: count)
  }

  /// Takes in that these amounts cost so much.
  mutating func add(_ amounts: [Double], cost: Double) {
    for row in targets.indices {
      for column in targets.indices {
        products[row][column] = products[row][column] * Self.fade + amounts[row] * amounts[column]
      }
      targets[row] = targets[row] * Self.fade + amounts[row] * cost
    }
    solve()
  }

  /// What these amounts cost by the shares as they stand.
  func cost(_ amounts: [Double]) -> Double { zip(amounts, shares).reduce(0) { $0 + $1.0 * $1.1 } }

  /// Coordinate descent from the last solution: few sweeps do, since one measurement moves it little.
  private mutating func solve() {
    for _ in 0..<30 {
      for row in shares.indices {
        // A little resistance keeps shares that nothing has told apart from running away.
        let own = products[row][row] * (1 + 1e-4) + 1e-12
        let others = shares.indices.reduce(0) { $1 == row ? $0 : $0 + products[row][$1] * shares[$1] }
        shares[row] = max(0, (targets[row] - others) / own)
      }
    }
  }
}
