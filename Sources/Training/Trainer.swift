import Foundation
import Models
import Tensors

/// What one step of training was like.
package struct StepReport: Sendable, Equatable {
  /// Counted from 1.
  package var step: Int
  /// Nats per answer token, before the step.
  package var loss: Double
  package var rate: Double
  /// Of all gradients together, before clipping.
  package var gradientNorm: Double
  /// Rows that the language model computed.
  package var tokens: Int
}

/// A step that cannot be made: loss or gradients are no numbers. The weights are as the step before left them.
package struct DivergedStep: Error, Sendable {
  package let step: Int
  package let loss: Double
  /// Records of the step.
  package let keys: [String]
}

/// Trains a student step by step. The same examples in the same order give the same bits, on any number of threads.
package final class Trainer {
  package let student: Student
  package let optimizer: AdamW
  package let schedule: Schedule
  private let objective: Objective
  private let recomputes: Bool
  private let engine: Engine

  /// - Parameter recomputes: whether layers are computed again on the way back, which takes less memory and more time.
  package init(
    _ student: Student, objective: Objective, optimizer: AdamW.Settings, schedule: Schedule, recomputes: Bool,
    _ engine: Engine
  ) {
    self.student = student
    self.objective = objective
    self.optimizer = AdamW(student.trained, optimizer)
    self.schedule = schedule
    self.recomputes = recomputes
    self.engine = engine
    keepTensorMemory(upTo: Int(ProcessInfo.processInfo.physicalMemory / 4))
  }

  /// One step on the mean over the answer tokens of all batches; each batch is computed on its own.
  package func step(_ batches: [[TrainingExample]]) throws(DivergedStep) -> StepReport {
    let answerTokens = batches.joined().reduce(0) { $0 + $1.answer.count }
    var loss = 0.0
    for batch in batches { loss += gatherGradients(batch, share: 1 / Float(answerTokens)) }
    let norm = optimizer.gradientNorm
    let report = StepReport(
      step: optimizer.step + 1, loss: loss / Double(answerTokens), rate: schedule.rate(step: optimizer.step + 1),
      gradientNorm: norm, tokens: batches.joined().reduce(0) { $0 + $1.rows })
    guard report.loss.isFinite, norm.isFinite else {
      for parameter in optimizer.parameters { parameter.clearGradient() }
      throw DivergedStep(step: report.step, loss: report.loss, keys: batches.joined().map(\.key))
    }
    optimizer.update(rate: report.rate, norm: norm, engine)
    return report
  }

  /// The mean loss of some examples, without a step.
  package func loss(_ batch: [TrainingExample]) -> Double {
    let hidden = student.hiddenStates(of: batch, engine)
    let sum = lossAndGradient(hidden, batch, share: 1, nil)
    return sum / Double(batch.reduce(0) { $0 + $1.answer.count })
  }

  /// Adds a batch's gradients to the parameters; returns the sum of its losses.
  func gatherGradients(_ batch: [TrainingExample], share: Float) -> Double {
    let tape = Tape(recomputes: recomputes)
    let hidden = student.hiddenStates(of: batch, engine.recording(on: tape))
    return lossAndGradient(hidden, batch, share: share, tape)
  }

  /// Rows whose logits are there at once: a vocabulary is wide.
  private static let rowsTogether = 256

  /// The sum of the losses; where there is a tape, gradients flow back along it.
  private func lossAndGradient(
    _ hidden: Tensor, _ batch: [TrainingExample], share: Float, _ tape: Tape?
  ) -> Double {
    let (rows, goals) = goals(of: batch)
    var loss = 0.0
    var gradients: [Tensor] = []
    for first in stride(from: 0, to: rows.count, by: Self.rowsTogether) {
      let range = first..<min(rows.count, first + Self.rowsTogether)
      let part = hidden.gathering(Array(rows[range]))
      let inner = Tape()
      if tape != nil { inner.watch(part) }
      let logits = student.language.logits(part, engine.recording(on: tape == nil ? nil : inner))
      loss += objective.losses(logits, goals[range], scale: share, engine).reduce(0, +)
      if tape == nil { continue }
      inner.backward(from: logits, gradient: logits.copied())
      gradients.append(inner.gradient(of: part) ?? Tensor.zeros(rows: part.rows, columns: part.columns))
    }
    tape?.backward(from: hidden, gradient: Tensor.stacking(gradients).scattered(to: rows, of: hidden.rows))
    return loss
  }

  /// The rows that foresee answer tokens, and these.
  private func goals(of batch: [TrainingExample]) -> (rows: [Int], goals: [Objective.Goal]) {
    var rows: [Int] = []
    var goals: [Objective.Goal] = []
    var first = 0
    for example in batch {
      for (place, token) in example.answer.enumerated() {
        rows.append(first + example.prompt.count - 1 + place)
        goals.append(Objective.Goal(token: token, teacher: example.teacher?[place]))
      }
      first += example.rows
    }
    return (rows, goals)
  }
}
