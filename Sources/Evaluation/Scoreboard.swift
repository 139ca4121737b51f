import JSON

/// All outcomes, by setting and task, and the lines that sum them up.
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

  /// A JSON line for each task and setting that has answered anything.
  package var lines: [[UInt8]] {
    tasks.flatMap { task in
      settings.compactMap { setting in
        tallies[Place(setting: setting, task: task)].map { line($0, setting, task) }
      }
    }
  }

  private func line(_ tally: Tally, _ setting: Setting, _ task: String) -> [UInt8] {
    JSONWriter.line { writer in
      writer.key("method")
      writer.string(setting.method)
      writer.key("temperature")
      writer.number(setting.temperature)
      writer.key("task")
      writer.string(task)
      writer.key("gamma")
      setting.gamma.map { writer.integer($0) } ?? writer.string("auto")
      writeCounts(tally, &writer)
      writeAcceptance(tally, &writer)
      writeSpeed(tally, setting, task, &writer)
      writer.key("seconds")
      writer.object { writer in
        for (name, path) in PhaseSeconds.names {
          writer.key(name)
          writer.number(tally.seconds[keyPath: path])
        }
      }
      writer.key("identical")
      writer.bool(tally.isIdentical)
    }
  }

  private func writeCounts(_ tally: Tally, _ writer: inout JSONWriter) {
    let counts = [
      ("records", tally.samples.count), ("tokens", tally.tokens), ("rounds", tally.rounds), ("drafted", tally.drafted),
      ("accepted", tally.accepted),
    ]
    for (name, count) in counts {
      writer.key(name)
      writer.integer(count)
    }
  }

  private func writeAcceptance(_ tally: Tally, _ writer: inout JSONWriter) {
    write("mal", tally.ratio(\.accepted, by: \.rounds), &writer)
    write("mal_with_bonus", tally.ratio(\.acceptedWithBonus, by: \.rounds), &writer)
    writer.key("acceptance_by_position")
    writer.array { writer in for share in tally.acceptance { writer.number(share, decimals: 4) } }
    for (name, counts) in [("examined_by_position", tally.examinedAt), ("accepted_by_position", tally.acceptedAt)] {
      writer.key(name)
      writer.array { writer in for count in counts { writer.integer(count) } }
    }
    write("tvd", tally.ratio(\.distance, by: \.places), &writer)
    writer.key("tvd_histogram")
    if let histogram = tally.histogram {
      writer.array { writer in for count in histogram.counts { writer.integer(count) } }
    } else {
      writer.null()
    }
  }

  private func writeSpeed(_ tally: Tally, _ setting: Setting, _ task: String, _ writer: inout JSONWriter) {
    write("tokens_per_s", tally.ratio(\.roundTokens, by: \.decoding).value, &writer)
    write("whole_tokens_per_s", tally.ratio(\.tokens, by: \.whole).value, &writer)
    for (name, method) in [("plain", Setting.plain), ("text_only", Setting.textOnly)] {
      let other = baseline(method, of: setting, task)
      write("speed_vs_\(name)", other.map { tally.speed(over: $0, \.roundTokens, \.decoding) }, &writer)
      write("whole_speed_vs_\(name)", other.map { tally.speed(over: $0, \.tokens, \.whole) }, &writer)
    }
  }

  /// What a setting is compared with: the method at the same γ, else at its first.
  private func baseline(_ method: String, of setting: Setting, _ task: String) -> Tally? {
    let candidates = settings.filter { $0.method == method && $0.temperature == setting.temperature }
    let chosen = candidates.first { $0.gamma == setting.gamma } ?? candidates.first
    return chosen.flatMap { tallies[Place(setting: $0, task: task)] }
  }

  private func write(_ name: String, _ value: Double?, _ writer: inout JSONWriter) {
    writer.key(name)
    if let value { writer.number(value, decimals: 4) } else { writer.null() }
  }

  /// The number and its interval; null where there is none.
  private func write(_ name: String, _ estimate: Estimate?, _ writer: inout JSONWriter) {
    write(name, estimate?.value, &writer)
    writer.key(name + "_ci")
    if let estimate, let interval = bootstrap.interval(estimate.columns, statistic: estimate.statistic) {
      writer.array { writer in
        writer.number(interval.low, decimals: 4)
        writer.number(interval.high, decimals: 4)
      }
    } else {
      writer.null()
    }
  }
}

extension Tally.Sample {
  fileprivate var acceptedWithBonus: Double { accepted + rounds }
}
