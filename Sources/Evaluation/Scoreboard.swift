/// All outcomes, by setting and task, and what they come to.
package struct Scoreboard: Sendable {
  private struct Place: Hashable {
    let setting: Setting
    let task: String
  }

  private let settings: [Setting]
  private let bootstrap: Bootstrap
  /// In the order in which they came.
  private var tasks: [String] = []
  private var tallies: [Place: Tally] = [:]

  /// - Parameter settings: in the order of the lines.
  package init(_ settings: [Setting], _ bootstrap: Bootstrap) {
    self.settings = settings
    self.bootstrap = bootstrap
  }

  /// Takes in what a setting made of a record.
  package mutating func add(_ outcome: Outcome, of setting: Setting, task: String) {
    if !tasks.contains(task) { tasks.append(task) }
    tallies[Place(setting: setting, task: task), default: Tally()].add(outcome)
  }

  /// What every setting made of every task that it has answered anything of, in the order of the lines.
  package var standings: [Standing] {
    tasks.flatMap { task in
      settings.compactMap { setting in
        tallies[Place(setting: setting, task: task)].map { standing($0, setting, task) }
      }
    }
  }

  /// A JSON line for each of them.
  package var lines: [[UInt8]] { standings.map(\.line) }

  private func standing(_ tally: Tally, _ setting: Setting, _ task: String) -> Standing {
    let plain = baseline(Setting.plain, of: setting, task)
    let text = baseline(Setting.textOnly, of: setting, task)
    return Standing(
      setting: setting, task: task, tally: tally,
      accepted: measured(tally.ratio(\.accepted, by: \.rounds)),
      acceptedWithBonus: measured(tally.ratio(\.acceptedWithBonus, by: \.rounds)),
      distance: measured(tally.ratio(\.distance, by: \.places)),
      overPlain: measured(plain.map { tally.speed(over: $0, \.roundTokens, \.decoding) }),
      wholeOverPlain: measured(plain.map { tally.speed(over: $0, \.tokens, \.whole) }),
      overText: measured(text.map { tally.speed(over: $0, \.roundTokens, \.decoding) }),
      wholeOverText: measured(text.map { tally.speed(over: $0, \.tokens, \.whole) }))
  }

  private func measured(_ estimate: Estimate?) -> Measured {
    guard let estimate else { return Measured() }
    let interval = bootstrap.interval(estimate.columns, statistic: estimate.statistic)
    return Measured(value: estimate.value, interval: interval.map { $0.low...$0.high })
  }

  /// What a setting is compared with: the method at the same γ, else at its first.
  private func baseline(_ method: String, of setting: Setting, _ task: String) -> Tally? {
    let candidates = settings.filter { $0.method == method && $0.temperature == setting.temperature }
    let chosen = candidates.first { $0.gamma == setting.gamma } ?? candidates.first
    return chosen.flatMap { tallies[Place(setting: $0, task: task)] }
  }
}

extension Tally.Sample {
  fileprivate var acceptedWithBonus: Double { accepted + rounds }
}
