import CKernels

/// How sure a number is that was computed from some records: those of them that chance might have brought instead are
/// drawn from them with replacement, again and again.
package struct Bootstrap: Sendable {
  package var resamples: Int
  package var seed: UInt64
  /// The share of resamples whose numbers lie within the interval.
  package var confidence: Double

  package init(seed: UInt64, resamples: Int = 1000, confidence: Double = 0.95) {
    self.seed = seed
    self.resamples = resamples
    self.confidence = confidence
  }

  /// The percentile interval of a number that is computed from sums over records; nil where fewer than two records, or
  /// no resample, tell anything.
  ///
  /// All sums of a resample are over the same records, so that what is compared is compared record by record.
  ///
  /// - Parameters:
  ///   - columns: a value of each record for each sum, all of one length.
  ///   - statistic: the number, nil where these sums have none.
  package func interval(
    _ columns: [[Double]], statistic: ([Double]) -> Double?
  ) -> (low: Double, high: Double)? {
    let count = columns.first?.count ?? 0
    guard count > 1, resamples > 0 else { return nil }
    var found: [Double] = []
    found.reserveCapacity(resamples)
    for resample in 0..<resamples {
      let stream = mp_mix(seed, UInt64(resample))
      var sums = [Double](repeating: 0, count: columns.count)
      for draw in 0..<count {
        let record = Int(mp_mix(stream, UInt64(draw)) % UInt64(count))
        for column in columns.indices { sums[column] += columns[column][record] }
      }
      if let value = statistic(sums), value.isFinite { found.append(value) }
    }
    guard !found.isEmpty else { return nil }
    found.sort()
    let tail = (1 - confidence) / 2
    return (Self.quantile(found, tail), Self.quantile(found, 1 - tail))
  }

  /// The value below which this share of sorted values lies, between two of them where it falls there.
  package static func quantile(_ sorted: [Double], _ share: Double) -> Double {
    let place = share * Double(sorted.count - 1)
    let below = min(sorted.count - 1, max(0, Int(place)))
    let above = min(sorted.count - 1, below + 1)
    return sorted[below] + (sorted[above] - sorted[below]) * (place - Double(below))
  }
}
