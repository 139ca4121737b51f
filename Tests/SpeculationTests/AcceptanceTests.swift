import Foundation
import Speculation
import Testing

private func normalised(_ weights: [Double]) -> [Float] {
  let total = weights.reduce(0, +)
  return weights.map { Float(log($0 / total)) }
}

private let target = normalised([5, 1, 0.5, 3, 0.05, 2, 1, 0.4, 0.001, 4])
private let draft = normalised([1, 4, 0.5, 3, 2, 0.001, 1, 1, 0.5, 4])

/// Draws that a rule makes of a drafted token, one for each key; how often each token came out.
private func counts(
  draws: Int, rule: (Int32, NoiseStream) -> Int32?
) -> [Int] {
  var counts = [Int](repeating: 0, count: target.count)
  for index in 0..<draws {
    let noise = NoiseStream(seed: 11, key: "record-\(index)")
    let token = noise.draw(draft, position: 3, purpose: .draft) ?? 0
    counts[Int(rule(token, noise) ?? token)] += 1
  }
  return counts
}

/// Pearson's statistic against the target's distribution: 9 degrees of freedom, 27.88 at p = 0.001.
private func chiSquare(_ counts: [Int]) -> Double {
  let draws = Double(counts.reduce(0, +))
  return zip(counts, target).reduce(0) { sum, pair in
    let expected = exp(Double(pair.1)) * draws
    return sum + (Double(pair.0) - expected) * (Double(pair.0) - expected) / expected
  }
}

private let limit = 27.88

@Test func rejectionSamplingDrawsFromTheTargetsDistribution() {
  let found = counts(draws: 200_000) { token, noise in
    Acceptance.reject(token, target: target, draft: draft, noise: noise, position: 3)
  }
  #expect(chiSquare(found) < limit, "χ² \(chiSquare(found)) of \(found)")
}

/// Rules that look right and are not: the test above must tell them from the true one.
@Test func biasedRulesAreTold() {
  let redrawn = counts(draws: 200_000) { token, noise in
    // Draws from the whole target instead of the residual.
    Acceptance.reject(token, target: target, draft: draft, noise: noise, position: 3)
      .map { _ in noise.draw(target, position: 3, purpose: .residual) ?? 0 }
  }
  #expect(chiSquare(redrawn) > limit)
  let shared = counts(draws: 200_000) { _, noise in
    // Drafts with other noise than the one that it is judged as having been drawn with.
    let token = noise.draw(draft, position: 3, purpose: .acceptance) ?? 0
    return Acceptance.reject(token, target: target, draft: target, noise: noise, position: 3) ?? token
  }
  #expect(chiSquare(shared) > limit)
  // A proposal that is dropped because its own probability looked low.
  let dropped = counts(draws: 200_000) { token, noise in
    if draft[Int(token)] < log(0.05) { return noise.draw(target, position: 4) }
    return Acceptance.reject(token, target: target, draft: draft, noise: noise, position: 3)
  }
  #expect(chiSquare(dropped) > limit)
}

@Test func gumbelDrawsFollowTheTargetWhateverTheDrafter() {
  var found = [Int](repeating: 0, count: target.count)
  var agreed = 0
  for index in 0..<200_000 {
    let noise = NoiseStream(seed: 5, key: "record-\(index)")
    let token = noise.draw(target, position: 0) ?? 0
    found[Int(token)] += 1
    if token == noise.draw(draft, position: 0) { agreed += 1 }
  }
  #expect(chiSquare(found) < limit)
  // Coupled draws agree far more often than independent ones (Σ p q = 0.13) would.
  #expect(Double(agreed) / 200_000 > 0.35)
}
