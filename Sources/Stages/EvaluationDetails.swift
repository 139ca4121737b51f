import Evaluation
import JSON
import Models
import Pipeline
import Samples
import Speculation

/// A line of each record, method and temperature: what was answered, which tokens were proposals that stood, and the
/// counters that the results are computed from.
final class EvaluationDetails {
  private let file: RecordFile
  private let requests: TargetRequests

  init(_ file: RecordFile, _ requests: TargetRequests) {
    self.file = file
    self.requests = requests
  }

  /// Writes the line of what one setting made of a record.
  func write(_ verdict: Judge.Verdict, _ record: Record, task: String) throws(OutputFailure) {
    let (setting, outcome) = (verdict.setting, verdict.outcome)
    try file.append(
      JSONWriter.line { writer in
        for (name, text) in [
          ("key", record.key), ("task", task), ("prompt", record[Field.prompt]?.text ?? ""), ("method", setting.method),
        ] {
          writer.key(name)
          writer.string(text)
        }
        writer.key("index")
        writer.integer(record.index)
        writer.key("temperature")
        writer.number(setting.temperature)
        writer.key("gamma")
        setting.gamma.map { writer.integer($0) } ?? writer.string("auto")
        writeAnswer(outcome.answer, &writer)
        writer.key("identical")
        writer.bool(outcome.isIdentical)
        writer.key("tvd_by_token")
        outcome.distances.map { distances in
          writer.array { writer in for distance in distances { writer.number(distance, decimals: 4) } }
        } ?? writer.null()
        writer.key("seconds")
        writer.object { writer in
          for (name, path) in PhaseSeconds.names {
            writer.key(name)
            writer.number(outcome.seconds[keyPath: path])
          }
        }
      })
  }

  private func writeAnswer(_ answer: Answer, _ writer: inout JSONWriter) {
    writer.key("text")
    writer.string(requests.text(of: answer))
    let counts = [
      ("tokens", answer.tokens.count), ("rounds", answer.rounds), ("drafted", answer.drafted),
      ("accepted", answer.accepted),
    ]
    for (name, count) in counts {
      writer.key(name)
      writer.integer(count)
    }
    let lists = [
      ("token_ids", answer.tokens.map { Int($0) }), ("stood", answer.stood.map { $0 ? 1 : 0 }),
      ("proposed_by_round", answer.log.map(\.proposed)), ("accepted_by_round", answer.log.map(\.accepted)),
    ]
    for (name, values) in lists {
      writer.key(name)
      writer.array { writer in for value in values { writer.integer(value) } }
    }
    writer.key("pieces")
    var decoder = StreamingDecoder(requests.resource.target.tokenizer)
    writer.array { writer in for token in answer.tokens { writer.string(decoder.append(token)) } }
  }

  /// Writes what ends the file.
  func finish() throws(OutputFailure) { try file.finish() }
}
