import Foundation
import Models
import Tensors

/// What a step of training counts.
package struct LossSettings: Sendable, Equatable {
  package var objective = Objective.nextToken
  /// The share of the answers' loss; 0 leaves the language model out.
  package var answers = 1.0
  /// The share of the loss of the tower's own lessons: what each visual token shows.
  package var cells = 0.0
  /// How many different things a visual token can show.
  package var cellKinds = 128

  package init() {}
}

/// What one step of training was like.
package struct StepReport: Sendable, Equatable {
  /// Counted from 1.
  package var step: Int
  /// Nats per answer token, before the step.
  package var loss: Double
  /// Nats per visual token of the tower's own lessons, and the share that it knew; nil without lessons.
  package var cells: CellReport?
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
  package let losses: LossSettings
  private let lessons: CellLessons?
  private let recomputes: Bool
  private let engine: Engine

  /// - Parameter recomputes: whether layers are computed again on the way back, which takes less memory and more time.
  package init(
    _ student: Student, losses: LossSettings = LossSettings(), optimizer: AdamW.Settings, schedule: Schedule,
    recomputes: Bool, _ engine: Engine
  ) {
    self.student = student
    self.losses = losses
    lessons = student.tower.flatMap { losses.cells > 0 ? CellLessons($0, kinds: losses.cellKinds) : nil }
    self.optimizer = AdamW(student.trained + (lessons?.parameters.all ?? []), optimizer)
    self.schedule = schedule
    self.recomputes = recomputes
    self.engine = engine
    keepTensorMemory(upTo: Int(ProcessInfo.processInfo.physicalMemory / 4))
  }

  /// One step on the mean over the answer tokens of all batches; each batch is computed on its own.
  package func step(_ batches: [[TrainingExample]]) throws(DivergedStep) -> StepReport {
    let examples = batches.flatMap { $0 }
    let answerTokens = examples.reduce(0) { $0 + $1.answer.count }
    let cells = examples.reduce(0) { $0 + (lessons?.count($1) ?? 0) }
    var sums = Sums()
    for batch in batches {
      sums += gatherGradients(
        batch, share: Float(losses.answers / Double(answerTokens)),
        cellShare: Float(losses.cells / Double(max(1, cells))))
    }
    let norm = optimizer.gradientNorm
    let report = StepReport(
      step: optimizer.step + 1, loss: sums.loss / Double(answerTokens),
      cells: lessons == nil
        ? nil
        : CellReport(loss: sums.cellLoss / Double(max(1, cells)), known: Double(sums.known) / Double(max(1, cells))),
      rate: schedule.rate(step: optimizer.step + 1), gradientNorm: norm,
      tokens: examples.reduce(0) { $0 + (losses.answers > 0 ? $1.rows : $1.cells?.count ?? 0) })
    guard report.loss.isFinite, norm.isFinite else {
      for parameter in optimizer.parameters { parameter.clearGradient() }
      throw DivergedStep(step: report.step, loss: report.loss, keys: examples.map(\.key))
    }
    optimizer.update(rate: report.rate, norm: norm, engine)
    return report
  }

  /// What the batches of a step add up to.
  struct Sums {
    /// Of the answers' tokens.
    var loss = 0.0
    /// Of the visual tokens.
    var cellLoss = 0.0
    /// Visual tokens that the tower knew.
    var known = 0

    static func += (left: inout Sums, right: Sums) {
      left.loss += right.loss
      left.cellLoss += right.cellLoss
      left.known += right.known
    }
  }

  /// The mean loss of some examples, without a step.
  package func loss(_ batch: [TrainingExample]) -> Double {
    guard let hidden = student.read(batch, engine).hidden else { return 0 }
    return lossAndGradient(hidden, batch, share: 1, nil) / Double(batch.reduce(0) { $0 + $1.answer.count })
  }

  /// Adds a batch's gradients to the parameters; returns the sums of its losses.
  func gatherGradients(_ batch: [TrainingExample], share: Float, cellShare: Float = 0) -> Sums {
    let tape = Tape(recomputes: recomputes)
    let reading = student.read(batch, onlyLooks: losses.answers == 0, engine.recording(on: tape))
    var sums = Sums()
    if let lessons, let features = reading.features {
      sums += lessons.gather(features, batch, share: cellShare, tape, engine)
      if reading.hidden == nil { tape.backward() }
    }
    if let hidden = reading.hidden { sums.loss = lossAndGradient(hidden, batch, share: share, tape) }
    return sums
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
      loss += losses.objective.losses(logits, goals[range], scale: share, engine).reduce(0, +)
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
