import JSON

/// A number that was computed from records, and how sure it is.
struct Measured: Sendable {
  /// nil where the records have none.
  var value: Double?
  /// nil where they are too few to tell.
  var interval: ClosedRange<Double>?
}

/// What a setting made of one task: what a line of the results says.
package struct Standing: Sendable {
  let setting: Setting
  let task: String
  let tally: Tally
  /// Proposals that stood, per call of the target.
  let accepted: Measured
  /// The same with the target's own token.
  let acceptedWithBonus: Measured
  /// How far the drafter is from the target, per token.
  let distance: Measured
  /// How many times as fast as plain decoding: the rounds alone, and all from the file on.
  let overPlain: Measured
  let wholeOverPlain: Measured
  /// How many times as fast as drafting without the picture.
  let overText: Measured
  let wholeOverText: Measured

  /// Tokens of the rounds in a second of them.
  var tokensPerSecond: Double? { tally.ratio(\.roundTokens, by: \.decoding).value }

  /// The JSON line.
  package var line: [UInt8] {
    JSONWriter.line { writer in
      writer.key("method")
      writer.string(setting.method)
      writer.key("temperature")
      writer.number(setting.temperature)
      writer.key("task")
      writer.string(task)
      writer.key("gamma")
      setting.gamma.map { writer.integer($0) } ?? writer.string("auto")
      writeCounts(&writer)
      writeAcceptance(&writer)
      writeSpeed(&writer)
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

  private func writeCounts(_ writer: inout JSONWriter) {
    let counts = [
      ("records", tally.samples.count), ("tokens", tally.tokens), ("rounds", tally.rounds), ("drafted", tally.drafted),
      ("accepted", tally.accepted),
    ]
    for (name, count) in counts {
      writer.key(name)
      writer.integer(count)
    }
  }

  private func writeAcceptance(_ writer: inout JSONWriter) {
    write("mal", accepted, &writer)
    write("mal_with_bonus", acceptedWithBonus, &writer)
    writer.key("acceptance_by_position")
    writer.array { writer in for share in tally.acceptance { writer.number(share, decimals: 4) } }
    for (name, counts) in [("examined_by_position", tally.examinedAt), ("accepted_by_position", tally.acceptedAt)] {
      writer.key(name)
      writer.array { writer in for count in counts { writer.integer(count) } }
    }
    write("tvd", distance, &writer)
    writer.key("tvd_histogram")
    if let histogram = tally.histogram {
      writer.array { writer in for count in histogram.counts { writer.integer(count) } }
    } else {
      writer.null()
    }
  }

  private func writeSpeed(_ writer: inout JSONWriter) {
    write("tokens_per_s", tokensPerSecond, &writer)
    write("whole_tokens_per_s", tally.ratio(\.tokens, by: \.whole).value, &writer)
    write("speed_vs_plain", overPlain, &writer)
    write("whole_speed_vs_plain", wholeOverPlain, &writer)
    write("speed_vs_text_only", overText, &writer)
    write("whole_speed_vs_text_only", wholeOverText, &writer)
  }

  private func write(_ name: String, _ value: Double?, _ writer: inout JSONWriter) {
    writer.key(name)
    if let value { writer.number(value, decimals: 4) } else { writer.null() }
  }

  /// The number and its interval; null where there is none.
  private func write(_ name: String, _ measured: Measured, _ writer: inout JSONWriter) {
    write(name, measured.value, &writer)
    writer.key(name + "_ci")
    if let interval = measured.interval {
      writer.array { writer in
        writer.number(interval.lowerBound, decimals: 4)
        writer.number(interval.upperBound, decimals: 4)
      }
    } else {
      writer.null()
    }
  }
}
