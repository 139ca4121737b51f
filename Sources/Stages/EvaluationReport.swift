import Evaluation
import Images
import Models
import Pipeline
import Samples
import Speculation

/// The page that `evaluate` writes at the end: gathers what the scoreboard does not keep.
final class EvaluationReport {
  private let file: RecordFile
  private let requests: TargetRequests
  private var head: Report.Head
  /// What examples are of: drafting with and without the picture, at the lowest temperature and the γ compared at.
  private let shown: [Setting]
  private var examples: [ReportExample] = []

  init(_ file: RecordFile, _ judge: Judge, _ arguments: Arguments, threads: Int) {
    self.file = file
    requests = judge.requests
    let gamma = arguments.integer("gamma")
    let resource = judge.requests.resource
    head = Report.Head(
      target: Self.name(resource.target.folder), drafters: judge.drafters.map { ($0.method, Self.name($0.folder)) },
      gamma: gamma, threads: threads,
      facts: [
        ("weights", resource.weights), ("tokens at most", String(arguments.integer("max-tokens"))),
        ("seed", String(arguments.integer("seed"))),
      ] + Self.sampling(judge.rules[0].sampling))
    let coolest = judge.settings.map(\.temperature).min() ?? 0
    shown = [Setting.massv, Setting.textOnly].map { Setting(method: $0, gamma: gamma, temperature: coolest) }
  }

  /// What of the distributions counts, where it is not all of them.
  private static func sampling(_ settings: SamplingSettings) -> [(name: String, value: String)] {
    var facts: [(name: String, value: String)] = []
    if settings.topP < 1 { facts.append(("top-p", "\(settings.topP)")) }
    if settings.topK > 0 { facts.append(("top-k", "\(settings.topK)")) }
    if settings.repetitionPenalty != 1 { facts.append(("repetition penalty", "\(settings.repetitionPenalty)")) }
    return facts
  }

  /// The last part of a path: where a model lies is nobody else's business.
  private static func name(_ path: String) -> String { path.split(separator: "/").last.map(String.init) ?? path }

  /// Keeps a record as an example, while there are few and its picture is another one.
  func take(_ record: Record, _ verdicts: [Judge.Verdict], task: String) {
    guard examples.count < ReportExample.count, let facts = record[Field.imageFacts],
      let picture = record.bytes(of: facts.field), picture.count <= ReportExample.largestPicture,
      let format = PictureFormat(picture), !examples.contains(where: { $0.picture == picture })
    else { return }
    let answers = shown.compactMap { setting in
      verdicts.first { $0.setting == setting }.map { answer($0.outcome.answer, setting.method) }
    }
    guard answers.first?.method == Setting.massv else { return }
    examples.append(
      ReportExample(
        key: record.key, task: task, prompt: record[Field.prompt]?.text ?? "", picture: picture,
        kind: "image/" + format.rawValue.lowercased(), answers: answers))
  }

  /// The answer's tokens as text, without the one that ended it.
  private func answer(_ answer: Answer, _ method: String) -> ReportExample.Answer {
    let target = requests.resource.target
    var decoder = StreamingDecoder(target.tokenizer)
    var pieces = zip(answer.tokens, answer.stood).map { (text: decoder.append($0), isDrafted: $1) }
    if let last = answer.tokens.last, target.defaults.endOfSequence.contains(last), !pieces.isEmpty {
      pieces.removeLast()
    } else if let last = pieces.indices.last {
      pieces[last].text += decoder.finish()
    }
    return ReportExample.Answer(method: method, pieces: pieces, rounds: answer.rounds)
  }

  /// Writes the page.
  ///
  /// - Parameter failed: records that were left out.
  func finish(_ standings: [Standing], failed: Int) throws(OutputFailure) {
    if failed > 0 {
      head.facts.append(("left out", failed == 1 ? "1 record that failed" : "\(failed) records that failed"))
    }
    try file.append(Array(Report(head, standings, examples: examples).page.utf8))
    try file.finish()
  }
}
