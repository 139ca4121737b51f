import CKernels
import Foundation
import Tensors

/// What training makes small: a loss in nats per answer token.
package enum Objective: String, Sendable, CaseIterable {
  /// The negative log-likelihood of the answer's tokens: the paper's.
  case nextToken = "next-token"
  /// Σ p (log p − log q) over the tokens that the target's distribution was kept of.
  case kl

  /// What one row of logits should have foreseen.
  struct Goal {
    let token: Int32
    let teacher: TeacherRow?

    fileprivate var ids: [Int32] { [token] + (teacher?.ids ?? []) }
  }

  /// Losses of all rows, in double precision; their gradient, times `scale`, takes the logits' place.
  func losses(_ logits: Tensor, _ goals: ArraySlice<Goal>, scale: Float, _ engine: Engine) -> [Double] {
    let goals = Array(goals)
    precondition(
      goals.allSatisfy { $0.ids.allSatisfy { (0..<logits.columns).contains(Int($0)) } }, "a goal without a logit")
    return logits.withMutable { values in
      engine.map(goals.count, work: 16 * logits.count) { row in
        let place = values + row * logits.columns
        let loss = loss(place, logits.columns, goals[row])
        mp_scale(place, scale, logits.columns)
        return loss
      }
    }
  }

  /// A row's loss; its gradient takes the row's place.
  private func loss(_ row: UnsafeMutablePointer<Float>, _ columns: Int, _ goal: Goal) -> Double {
    guard self == .kl, let teacher = goal.teacher else {
      let own = row[Int(goal.token)]
      let total = mp_softmax(row, columns)
      row[Int(goal.token)] -= 1
      return Double(total) - Double(own)
    }
    let own = teacher.ids.map { row[Int($0)] }
    let total = mp_softmax(row, columns)
    // What the kept tokens leave of the target's mass counts for nothing.
    mp_scale(row, teacher.probabilities.reduce(0, +), columns)
    var loss = 0.0
    for ((id, p), logit) in zip(zip(teacher.ids, teacher.probabilities), own) where p > 0 {
      row[Int(id)] -= p
      loss += Double(p) * (log(Double(p)) - (Double(logit) - Double(total)))
    }
    return loss
  }
}
