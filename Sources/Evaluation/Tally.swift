/// What a setting made of the records of one task.
struct Tally: Sendable {
  /// A record's part in the ratios.
  struct Sample: Sendable {
    var record: Int
    var tokens: Double
    /// Tokens that rounds have brought: all but the first, which the prompt's pass brings.
    var roundTokens: Double
    var rounds: Double
    var accepted: Double
    var decoding: Double
    var whole: Double
    var distance: Double
    var places: Double
  }

  /// In the order of the records.
  private(set) var samples: [Sample] = []
  private(set) var tokens = 0
  private(set) var rounds = 0
  private(set) var drafted = 0
  private(set) var accepted = 0
  /// Proposals that were looked at and that stood, by their place in the round.
  private(set) var examinedAt: [Int] = []
  private(set) var acceptedAt: [Int] = []
  private(set) var seconds = PhaseSeconds()
  private(set) var isIdentical = true
  /// nil where there are no distances.
  private(set) var histogram: Histogram?

  mutating func add(_ outcome: Outcome) {
    let answer = outcome.answer
    tokens += answer.tokens.count
    rounds += answer.rounds
    drafted += answer.drafted
    accepted += answer.accepted
    for round in answer.log {
      Self.count(round.examined, &examinedAt)
      Self.count(round.accepted, &acceptedAt)
    }
    acceptedAt += repeatElement(0, count: max(0, examinedAt.count - acceptedAt.count))
    seconds.add(outcome.seconds)
    isIdentical = isIdentical && outcome.isIdentical
    if histogram == nil, outcome.distances != nil { histogram = Histogram() }
    for distance in outcome.distances ?? [] { histogram?.add(distance) }
    samples.append(
      Sample(
        record: outcome.record, tokens: Double(answer.tokens.count),
        roundTokens: Double(max(0, answer.tokens.count - 1)), rounds: Double(answer.rounds),
        accepted: Double(answer.accepted), decoding: outcome.seconds.decoding, whole: outcome.seconds.whole,
        distance: (outcome.distances ?? []).reduce(0, +), places: Double(outcome.distances?.count ?? 0)))
  }

  /// One more at each of the first `places`.
  private static func count(_ places: Int, _ counts: inout [Int]) {
    if counts.count < places { counts += repeatElement(0, count: places - counts.count) }
    for place in 0..<places { counts[place] += 1 }
  }

  /// The share of proposals that stood among those that were looked at, by their place.
  var acceptance: [Double] {
    examinedAt.indices.map { place in
      Double(place < acceptedAt.count ? acceptedAt[place] : 0) / Double(max(1, examinedAt[place]))
    }
  }

  // MARK: Ratios

  /// A ratio of sums over the records, and the sums' columns.
  func ratio(_ numerator: KeyPath<Sample, Double>, by denominator: KeyPath<Sample, Double>) -> Estimate {
    Estimate([samples.map { $0[keyPath: numerator] }, samples.map { $0[keyPath: denominator] }]) { sums in
      sums[1] > 0 ? sums[0] / sums[1] : nil
    }
  }

  /// How many times as fast as another setting this one is, over the records that both have answered.
  ///
  /// - Parameters:
  ///   - tokens: what has been written in those seconds.
  func speed(
    over other: Tally, _ tokens: KeyPath<Sample, Double>, _ seconds: KeyPath<Sample, Double>
  ) -> Estimate {
    let theirs = Dictionary(other.samples.map { ($0.record, $0) }, uniquingKeysWith: { first, _ in first })
    let pairs = samples.compactMap { own in theirs[own.record].map { (own, $0) } }
    let columns = [
      pairs.map { $0.0[keyPath: tokens] }, pairs.map { $0.0[keyPath: seconds] },
      pairs.map { $0.1[keyPath: tokens] }, pairs.map { $0.1[keyPath: seconds] },
    ]
    return Estimate(columns) { sums in
      sums[1] > 0 && sums[2] > 0 && sums[3] > 0 ? (sums[0] / sums[1]) / (sums[2] / sums[3]) : nil
    }
  }
}

/// A number that is computed from sums over records.
struct Estimate {
  let columns: [[Double]]
  let statistic: ([Double]) -> Double?

  init(_ columns: [[Double]], statistic: @escaping ([Double]) -> Double?) {
    self.columns = columns
    self.statistic = statistic
  }

  /// The number itself, nil where there is none.
  var value: Double? { statistic(columns.map { $0.reduce(0, +) }) }
}
