extension Scheduler {
  /// What one pass of the target reads.
  package struct Load: Sendable {
    /// Answers that share the pass.
    package var answers: Int
    /// Rows of each, as they were meant to be: one more than γ.
    package var rows: Int
    /// Rows of all, as they are.
    package var total: Double
    /// Tokens in the caches of all.
    package var cached: Int

    /// - Parameter total: nil where every answer has its rows.
    package init(answers: Int, rows: Int, total: Double? = nil, cached: Int) {
      self.answers = answers
      self.rows = rows
      self.total = total ?? Double(answers * rows)
      self.cached = cached
    }

    /// Nearly the same amounts.
    var kind: Int { answers * 1000 + Int((total / Double(max(1, answers))).rounded()) }
    static func answers(ofKind kind: Int) -> Int { kind / 1000 }
    /// As many answers, with proposals or without.
    var group: Int { answers * 2 + (rows > 1 ? 1 : 0) }

    /// Rows: all, those of which many share their weights and so take less each than the first, those beyond the reach of
    /// few, of some and of many; keys and values that are read, and that are computed with.
    var amounts: [Double] {
      let count = total
      let thousands = Double(cached) / 1000
      return [
        1, count, min(48, count), max(0, count - 6), max(0, count - 24), max(0, count - 64), thousands,
        thousands * total / Double(max(1, answers)),
      ]
    }
  }
}
