import Evaluation
import Foundation
import JSON
import Speculation
import Testing

@Test func aBootstrapKnowsHowSureAMeanIs() throws {
  let values = (0..<100).map { Double($0 % 2) }
  func interval(_ seed: UInt64) -> (low: Double, high: Double)? {
    Bootstrap(seed: seed).interval([values]) { $0[0] / 100 }
  }
  let found = try #require(interval(1))
  // A mean of 0.5 with a standard error of 0.05.
  #expect(abs(found.low - 0.402) < 0.015 && abs(found.high - 0.598) < 0.015, "\(found)")
  let again = try #require(interval(1))
  #expect(found == again)
  let other = try #require(interval(2))
  #expect(found != other)
  let narrow = try #require(Bootstrap(seed: 1, confidence: 0.5).interval([values]) { $0[0] / 100 })
  #expect(narrow.low > found.low && narrow.high < found.high)
}

@Test func aBootstrapComparesRecordByRecord() throws {
  // Records of very different sizes, each exactly twice as large in the second column.
  let sizes = (1...30).map { Double($0 * $0 * $0) }
  let paired = try #require(Bootstrap(seed: 3).interval([sizes, sizes.map { 2 * $0 }]) { $0[1] / $0[0] })
  #expect(paired == (2, 2))
  #expect(Bootstrap(seed: 3).interval([[5]]) { $0[0] } == nil)
  #expect(Bootstrap(seed: 3).interval([]) { _ in 1 } == nil)
  #expect(Bootstrap(seed: 3).interval([[1, 2]]) { _ in nil } == nil)
  // Resamples that have no number are left out.
  let some = try #require(Bootstrap(seed: 3).interval([[0, 4]]) { $0[0] > 0 ? 1 / $0[0] : nil })
  #expect(some == (0.125, 0.25))
}

@Test func quantilesLieBetweenValues() {
  let values = [1.0, 2, 4, 8]
  let found = [0, 0.5, 0.75, 1].map { Bootstrap.quantile(values, $0) }
  #expect(found == [1, 3, 5, 8])
  #expect(Bootstrap.quantile([7], 0.3) == 7)
}

@Test func aHistogramHasAPlaceForEveryValue() {
  var histogram = Histogram()
  for value in [0, 0.049, 0.05, 0.5, 0.999, 1, -0.1, 1.5, .nan] { histogram.add(value) }
  #expect(histogram.counts.count == 20 && histogram.counts.reduce(0, +) == 9)
  #expect(histogram.counts[0] == 4 && histogram.counts[1] == 1 && histogram.counts[10] == 1)
  #expect(histogram.counts[19] == 3)
}

/// An answer whose rounds proposed and accepted so many; each that ended the answer with a proposal has no own token.
private func answer(_ rounds: [(proposed: Int, accepted: Int, tokens: Int)]) -> Answer {
  var answer = Answer()
  answer.log = rounds.map { Round(proposed: $0.proposed, accepted: $0.accepted, tokens: $0.tokens) }
  answer.rounds = rounds.count
  answer.drafted = rounds.reduce(0) { $0 + $1.proposed }
  answer.accepted = rounds.reduce(0) { $0 + $1.accepted }
  answer.tokens = (0...rounds.reduce(0) { $0 + $1.tokens }).map { Int32($0) }
  return answer
}

private func seconds(draft: Double, verify: Double) -> PhaseSeconds {
  var seconds = PhaseSeconds()
  (seconds.decode, seconds.encode, seconds.prefill) = (0.25, 0.25, 0.5)
  (seconds.draft, seconds.verify) = (draft, verify)
  return seconds
}

@Test func linesSumUpWhatWasCounted() throws {
  let plain = Setting(method: Setting.plain, gamma: 0, temperature: 1)
  let text = Setting(method: Setting.textOnly, gamma: 3, temperature: 1)
  let massv = Setting(method: "massv", gamma: nil, temperature: 1)
  var board = Scoreboard([plain, text, massv], Bootstrap(seed: 0))
  for record in 0..<2 {
    let own = answer(Array(repeating: (0, 0, 1), count: 6))
    board.add(Outcome(record: record, answer: own, seconds: seconds(draft: 0, verify: 6)), of: plain, task: "a")
  }
  board.add(
    Outcome(
      record: 1, answer: answer([(3, 1, 2), (3, 3, 4)]), seconds: seconds(draft: 1, verify: 2), isIdentical: false,
      distances: [0, 0.5, 1]), of: text, task: "a")
  board.add(
    Outcome(record: 0, answer: answer([(3, 3, 3)]), seconds: seconds(draft: 0.5, verify: 1)), of: massv, task: "a")
  board.add(Outcome(record: 7, answer: Answer(), seconds: PhaseSeconds()), of: massv, task: "b")
  let lines = try board.lines.map { try JSONValue(parsing: $0) }
  #expect(lines.map { $0["method"]?.string } == ["plain", "text-only", "massv", "massv"])
  #expect(lines.map { $0["task"]?.string } == ["a", "a", "a", "b"])
  #expect(lines.map { $0["identical"]?.bool } == [true, false, true, true])
  #expect(lines[2]["gamma"]?.string == "auto" && lines[1]["gamma"]?.int == 3)
  func numbers(_ line: Int, _ name: String) -> [Double]? { lines[line][name]?.array?.compactMap(\.double) }
  #expect(lines[0]["mal"]?.double == 0 && lines[0]["mal_with_bonus"]?.double == 1)
  #expect(lines[0]["records"]?.int == 2 && lines[0]["tokens"]?.int == 14 && lines[0]["tokens_per_s"]?.double == 1)
  #expect(lines[0]["tvd"]?.isNull == true && lines[0]["tvd_histogram"]?.isNull == true)
  #expect(lines[1]["mal"]?.double == 2 && lines[1]["mal_with_bonus"]?.double == 3)
  #expect(lines[1]["mal_ci"]?.isNull == true, "one record tells nothing about others")
  #expect(numbers(1, "examined_by_position") == [2, 2, 1] && numbers(1, "accepted_by_position") == [2, 1, 1])
  #expect(numbers(1, "acceptance_by_position") == [1, 0.5, 1])
  #expect(lines[1]["tvd"]?.double == 0.5 && numbers(1, "tvd_histogram")?.reduce(0, +) == 3)
  // Over the record that both have: 6 tokens in 3 seconds, not 6; 7 in 4, not 7.
  #expect(lines[1]["speed_vs_plain"]?.double == 2 && lines[1]["whole_speed_vs_plain"]?.double == 1.75)
  // A proposal that ended the answer: nothing behind it, and no token of the target's own.
  #expect(numbers(2, "examined_by_position") == [1, 1, 1])
  #expect(lines[2]["speed_vs_plain"]?.double == 2 && lines[2]["speed_vs_text_only"]?.isNull == true)
  #expect(lines[2]["seconds"]?["encode"]?.double == 0.25)
  #expect(lines[3]["mal"]?.isNull == true && lines[3]["tokens_per_s"]?.isNull == true)
}
