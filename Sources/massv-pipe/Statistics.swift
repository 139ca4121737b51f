import JSON
import Pipeline

/// What `--stats` writes: the run's counters, ratios computed from them, and seconds by stage.
func statsLine(_ reading: Meter.Reading) -> [UInt8] {
  JSONWriter.line { writer in
    for name in ["records", "failed", "tokens", "drafted", "accepted", "rounds"] {
      writer.key(name)
      writer.integer(reading[name])
    }
    for (name, sum) in [("mal", reading["accepted"]), ("mal_with_bonus", reading["accepted"] + reading["rounds"])] {
      writer.key(name)
      if let mean = meanAcceptedLength(sum, reading) { writer.number(mean, decimals: 4) } else { writer.null() }
    }
    writer.key("seconds")
    writer.object { writer in
      for (name, value) in reading.seconds.sorted(by: { $0.key < $1.key }) {
        writer.key(name)
        writer.number(value)
      }
    }
    for (name, text) in reading.notes.sorted(by: { $0.key < $1.key }) {
      writer.key(name)
      writer.string(text)
    }
  }
}

/// A mean over the target's calls, nil where there were none.
func meanAcceptedLength(_ sum: Int, _ reading: Meter.Reading) -> Double? {
  reading["rounds"] > 0 ? Double(sum) / Double(reading["rounds"]) : nil
}
