import CKernels
import Models
import Tensors

/// What a tower knew of the visual tokens of a step.
package struct CellReport: Sendable, Equatable {
  /// Nats per visual token.
  package var loss: Double
  /// The share whose likeliest kind was right.
  package var known: Double
}

/// A tower's own lessons: a linear layer that says of each visual token what it shows. It is there in training alone.
///
/// Answers teach a tower late: until the language model looks, their loss has nothing to say about the picture. What
/// each place shows is a lesson from the first step on.
struct CellLessons {
  let parameters = ParameterSet(isTrained: true)
  private let head: Linear

  init(_ tower: any TrainableVision, kinds: Int) {
    let weight = Tensor.zeros(rows: kinds, columns: tower.featureWidth)
    let bias = Tensor.zeros(rows: 1, columns: kinds)
    head = Linear(
      weight: Weight(parameters.take(StoredTensor(weight), name: "cells.weight", shape: [kinds, tower.featureWidth])),
      bias: WeightVector(
        parameters.take(StoredTensor(bias.reshaped(rows: kinds, columns: 1)), name: "cells.bias", shape: [kinds])))
  }

  /// Visual tokens of an example of which it is known what they show.
  func count(_ example: TrainingExample) -> Int { example.cells?.count { isKnown($0) } ?? 0 }

  private func isKnown(_ cell: Int32) -> Bool { (0..<head.weight.rows).contains(Int(cell)) }

  /// Adds the lessons' gradients to the head's and to that of the features.
  func gather(
    _ features: Tensor, _ batch: [TrainingExample], share: Float, _ tape: Tape, _ engine: Engine
  ) -> Trainer.Sums {
    var sums = Trainer.Sums()
    var rows: [Int] = []
    var goals: [Objective.Goal] = []
    var first = 0
    for example in batch {
      guard example.patches != nil else { continue }
      for (place, cell) in (example.cells ?? []).enumerated() where isKnown(cell) {
        rows.append(first + place)
        goals.append(Objective.Goal(token: cell, teacher: nil))
      }
      first += example.visual?.count ?? 0
    }
    if rows.isEmpty { return sums }
    let seen = features.gathering(rows)
    let inner = Tape()
    inner.watch(seen)
    let logits = head(seen, engine.recording(on: inner))
    logits.withValues { values in
      for (row, goal) in goals.enumerated() {
        if mp_argmax(values + row * logits.columns, logits.columns) == Int(goal.token) { sums.known += 1 }
      }
    }
    sums.cellLoss = Objective.nextToken.losses(logits, goals[...], scale: share, engine).reduce(0, +)
    inner.backward(from: logits, gradient: logits.copied())
    if let gradient = inner.gradient(of: seen) {
      tape.add(gradient.scattered(to: rows, of: features.rows), to: features)
    }
    return sums
  }
}
