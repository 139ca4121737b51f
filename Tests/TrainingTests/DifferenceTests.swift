import CKernels
import Foundation
import Models
import Tensors
import Testing

@testable import Training

private func noise(_ count: Int, _ seed: UInt64) -> [Double] {
  // Numbers that floats hold, so that both sides compute with the same.
  (0..<count).map { Double(Int64(bitPattern: mp_mix(seed, UInt64($0))) >> 40) / Double(1 << 23) }
}

/// The gradient of a scalar by central differences.
private func differences(_ x: [Double], _ scalar: ([Double]) -> Double) -> [Double] {
  let step = 1e-5
  var x = x
  return x.indices.map { place in
    let before = x[place]
    defer { x[place] = before }
    x[place] = before + step
    let above = scalar(x)
    x[place] = before - step
    return (above - scalar(x)) / (2 * step)
  }
}

/// ‖a − b‖ / ‖b‖.
private func distance(_ a: [Float], _ b: [Double]) -> Double {
  let miss = zip(a, b).reduce(0) { $0 + (Double($1.0) - $1.1) * (Double($1.0) - $1.1) }
  return a.count == b.count ? (miss / b.reduce(0) { $0 + $1 * $1 }).squareRoot() : .infinity
}

/// Losses and the resampler against differences of what they are in double precision.
@Suite struct DifferenceTests {
  private let columns = 37

  private func logSoftmax(_ row: ArraySlice<Double>) -> [Double] {
    let total = log(row.reduce(0) { $0 + exp($1) })
    return row.map { $0 - total }
  }

  /// The rows of a goal each; those without a distribution learn the token even where distributions teach.
  private var goals: [Objective.Goal] {
    (0..<6).map { row in
      let ids = [Int32(row), Int32(row + 9), 36, 20]
      let kept = TeacherRow(ids: ids, probabilities: [0.5, 0.25, row == 1 ? 0 : 0.125, 0.0625])
      return Objective.Goal(token: Int32(row * 7), teacher: row == 4 ? nil : kept)
    }
  }

  private func exactLoss(_ objective: Objective, _ goal: Objective.Goal, _ logs: [Double]) -> Double {
    guard objective == .kl, let teacher = goal.teacher else { return -logs[Int(goal.token)] }
    return zip(teacher.ids, teacher.probabilities).reduce(0) { sum, kept in
      let p = Double(kept.1)
      return p > 0 ? sum + p * (log(p) - logs[Int(kept.0)]) : sum
    }
  }

  @Test(arguments: Objective.allCases) func losses(objective: Objective) {
    let goals = goals
    let x = noise(goals.count * columns, 1).map { 8 * $0 }
    let scale: Float = 0.375
    func exact(_ x: [Double]) -> [Double] {
      goals.enumerated().map { row, goal in
        exactLoss(objective, goal, logSoftmax(x[row * columns..<(row + 1) * columns]))
      }
    }
    let logits = Tensor(rows: goals.count, columns: columns, values: x.map { Float($0) })
    let losses = objective.losses(logits, goals[...], scale: scale, Engine(threads: 2))
    for (loss, exact) in zip(losses, exact(x)) { #expect(abs(loss - exact) < 1e-5 * max(1, abs(exact))) }
    let gradient = differences(x) { exact($0).reduce(0, +) * Double(scale) }
    #expect(distance(logits.values, gradient) <= 1e-4)
  }

  /// Every weight of a projector with a resampler, over two pictures of different sizes.
  @Test(arguments: [false, true]) func resampler(hasOutputNorm: Bool) throws {
    var settings = ProjectorSettings(inputs: 5, outputs: 7, hidden: 12)
    settings.kind = .resampler
    settings.queries = 3
    settings.hasOutputNorm = hasOutputNorm
    settings.epsilon = 0.0625
    let engine = Engine(threads: 2)
    let weights = ParameterSet(isTrained: true)
    let projector = try Projector(
      settings, WeightLoader(WeightStore(inventing: "noise"), engine, parameters: weights))
    var exact = ExactResampler(settings)
    for (index, parameter) in weights.all.enumerated() {
      let values = noise(parameter.values.count, 10 + UInt64(index))
      exact.weights[parameter.name] = values
      parameter.values.withMutable { for place in values.indices { $0[place] = Float(values[place]) } }
    }
    exact.pictures = [noise(4 * 5, 2), noise(7 * 5, 3)]
    let features = exact.pictures.map { picture in
      let rows = picture.count / 5
      let values = Tensor(rows: rows, columns: 5, values: picture.map { Float($0) })
      return (features: values, grid: VisualGrid(height: 1, width: rows))
    }

    let tape = Tape()
    let tokens = projector(features, engine.recording(on: tape))
    #expect(distance(tokens.values, exact.tokens) < 1e-5)
    let shares = noise(tokens.count, 4)
    tape.backward(
      from: tokens, gradient: Tensor(rows: tokens.rows, columns: 7, values: shares.map { Float($0) }))
    for parameter in weights.all {
      let found = try #require(parameter.gradient, "\(parameter.name) has no gradient").values
      let expected = differences(exact.weights[parameter.name] ?? []) { values in
        var changed = exact
        changed.weights[parameter.name] = values
        return zip(changed.tokens, shares).reduce(0) { $0 + $1.0 * $1.1 }
      }
      #expect(distance(found, expected) <= 1e-4, "\(parameter.name)")
    }
  }
}

/// A projector with a resampler in double precision, row by row.
private struct ExactResampler {
  typealias Row = [Double]

  let settings: ProjectorSettings
  var weights: [String: [Double]] = [:]
  /// The features of each.
  var pictures: [[Double]] = []

  init(_ settings: ProjectorSettings) { self.settings = settings }

  private func rows(_ values: [Double], _ width: Int) -> [Row] {
    stride(from: 0, to: values.count, by: width).map { Array(values[$0..<$0 + width]) }
  }

  private func linear(_ name: String, _ x: Row) -> Row {
    let bias = weights[name + ".bias"]
    return rows(weights[name + ".weight"] ?? [], x.count).enumerated().map { output, w in
      zip(w, x).reduce(bias?[output] ?? 0) { $0 + $1.0 * $1.1 }
    }
  }

  private func norm(_ name: String, _ x: Row) -> Row {
    let mean = x.reduce(0) { $0 + $1 * $1 } / Double(x.count)
    let scale = 1 / (mean + Double(settings.epsilon)).squareRoot()
    return zip(x, weights[name + ".weight"] ?? []).map { $0 * scale * $1 }
  }

  /// Heads of four.
  private func attend(_ query: Row, _ keys: [Row], _ values: [Row]) -> Row {
    stride(from: 0, to: query.count, by: 4).flatMap { head in
      let shares = keys.map { key in exp((head..<head + 4).reduce(0) { $0 + query[$1] * key[$1] } / 2) }
      return (head..<head + 4).map { column in
        zip(shares, values).reduce(0) { $0 + $1.0 * $1.1[column] } / shares.reduce(0, +)
      }
    }
  }

  /// The visual tokens of all pictures.
  var tokens: [Double] {
    let latents = rows(weights["latents"] ?? [], settings.hidden)
    return pictures.flatMap { picture in
      let seen = (rows(picture, settings.inputs).map { linear("linear_1", $0) } + latents)
        .map { norm("attention_norm", $0) }
      let (keys, values) = (seen.map { linear("key", $0) }, seen.map { linear("value", $0) })
      return zip(latents, seen.suffix(latents.count)).flatMap { latent, normed in
        let mixed = linear("output", attend(linear("query", normed), keys, values))
        let raw = zip(latent, mixed).map { $0 + $1 }
        let x = linear("linear_2", raw.map { 0.5 * $0 * (1 + erf($0 / 2.0.squareRoot())) })
        return settings.hasOutputNorm ? norm("norm", x) : x
      }
    }
  }
}
