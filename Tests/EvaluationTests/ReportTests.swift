import Evaluation
import Foundation
import JSON
import Speculation
import Testing

#if canImport(FoundationXML)
  import FoundationXML
#endif

/// What a page holds, as a reader of XML finds it.
private final class PageReader: NSObject, XMLParserDelegate {
  private(set) var elements: [(name: String, attributes: [String: String])] = []
  private(set) var text = ""
  /// Rows of the table, each with the text of its cells.
  private(set) var rows: [[String]] = []
  private(set) var bold: [String] = []
  private var path: [String] = []

  /// nil where the page is not well-formed.
  init?(_ page: String) {
    super.init()
    let parser = XMLParser(data: Data(page.utf8))
    parser.delegate = self
    guard parser.parse() else { return nil }
  }

  func parser(
    _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
    attributes: [String: String]
  ) {
    path.append(name)
    elements.append((name, attributes))
    if name == "tr" { rows.append([]) }
    if name == "td" || name == "th", !rows.isEmpty { rows[rows.count - 1].append("") }
    if name == "b" { bold.append("") }
  }

  func parser(_ parser: XMLParser, foundCharacters string: String) {
    if !path.contains("style") { text += string }
    if path.contains("table"), let row = rows.indices.last, let cell = rows[row].indices.last {
      rows[row][cell] += string
    }
    if path.last == "b", !bold.isEmpty { bold[bold.count - 1] += string }
  }

  func parser(_ parser: XMLParser, didEndElement name: String, namespaceURI: String?, qualifiedName: String?) {
    path.removeLast()
  }

  func count(_ name: String, class kind: String? = nil) -> Int {
    elements.count { $0.name == name && (kind == nil || $0.attributes["class"] == kind) }
  }

  /// The cells of a method's row, the nth of its name.
  func row(_ method: String, _ gamma: String) -> [String]? { rows.first { $0.prefix(2) == [method, gamma] } }
}

private let hostile = "<script>alert('x')</script> \"&amp;\" ]]>\u{0}\u{1B}\u{85}\u{FFFE}\u{202E}"

/// An answer of rounds that accept as many of γ proposals, over and over.
private func answer(gamma: Int, accepted: [Int]) -> Answer {
  var answer = Answer()
  answer.log = accepted.map { Round(proposed: gamma, accepted: $0, tokens: $0 + 1) }
  answer.rounds = accepted.count
  answer.drafted = gamma * accepted.count
  answer.accepted = accepted.reduce(0, +)
  answer.tokens = (0..<(1 + answer.accepted + answer.rounds)).map { Int32($0) }
  return answer
}

private func outcome(_ record: Int, _ setting: Setting, _ accepted: [Int], distance: Double?) -> Outcome {
  let answer = answer(gamma: setting.gamma ?? 4, accepted: accepted)
  var seconds = PhaseSeconds()
  (seconds.decode, seconds.encode, seconds.prefill) = (0.01, 0.02, 0.03)
  seconds.draft = 0.001 * Double(answer.drafted)
  seconds.verify = 0.012 * Double(answer.rounds)
  return Outcome(
    record: record, answer: answer, seconds: seconds, isIdentical: setting.method != "fixed",
    distances: distance.map { base in answer.tokens.map { min(1, base * Double($0 % 5) / 2) } })
}

/// Made-up outcomes of these methods at two temperatures.
private func board(_ methods: [String], tasks: [String] = ["questions", "captions"], gamma: Int = 5) -> Scoreboard {
  var settings: [Setting] = []
  for temperature in [0.0, 1] {
    for method in methods {
      let gammas: [Int?] = method == "plain" ? [0] : method == "massv" ? [gamma, 1, 3, nil] : [gamma, nil]
      settings += gammas.map { Setting(method: method, gamma: $0, temperature: temperature) }
    }
  }
  var board = Scoreboard(settings, Bootstrap(seed: 1, resamples: 50))
  for (number, task) in tasks.enumerated() {
    for record in 0..<4 {
      for setting in settings {
        let skill = ["plain": 0, "ngram": 1, "text-only": 2, "fixed": 2, "phase1": 3][setting.method] ?? 4
        let longest = setting.method == "plain" ? 0 : min(skill, setting.gamma ?? 4)
        let accepted = (0..<(6 + record)).map { longest - ($0 % 3 == 0 ? min(1, longest) : 0) }
        board.add(
          outcome(
            4 * number + record, setting, accepted,
            distance: ["plain", "ngram"].contains(setting.method) ? nil : 1 / Double(skill)), of: setting, task: task)
      }
    }
  }
  return board
}

private func head(_ target: String = "target", gamma: Int = 5) -> Report.Head {
  Report.Head(target: target, drafters: [("massv", "drafter")], gamma: gamma, threads: 2, facts: [("seed", "0")])
}

private func example(_ text: String = "red", picture: [UInt8] = [0xFF, 0xD8, 0xFF]) -> ReportExample {
  ReportExample(
    key: text, task: text, prompt: text, picture: picture, kind: "image/jpeg",
    answers: ["massv", "text-only"].map { method in
      ReportExample.Answer(method: method, pieces: [("a ", false), (text, true), ("", true), ("\n", false)], rounds: 2)
    })
}

private let all = ["plain", "ngram", "text-only", "text-only-tuned", "fixed", "phase1", "massv", "massv-wrong-picture"]

@Test func aPageHoldsEveryMethodAndStandsAlone() throws {
  let report = Report(head(), board(all).standings, examples: [example(), example("blue")])
  let page = try #require(PageReader(report.page))
  for method in all { #expect(page.text.contains(method), "\(method)") }
  // Distances of two tasks, positions at two temperatures and of the other task, bars, speed and break-even.
  #expect(page.count("svg", class: "plot") == 3 + 3 + 2 + 2)
  #expect(page.count("article") == 2 && page.count("img") == 2 && page.count("script") == 0)
  #expect(page.text.contains("captions, T = 0") && page.text.contains("4 captions, 4 questions"))
  for (name, attributes) in page.elements {
    for (key, value) in attributes where !key.hasPrefix("xmlns") {
      #expect(!value.contains("://"), "\(name) \(key)")
      #expect(!["href", "xlink:href", "srcset"].contains(key) && !key.hasPrefix("on"), "\(name) \(key)")
      if key == "src" { #expect(value.hasPrefix("data:image/jpeg;base64,")) }
    }
  }
  let names = page.elements.compactMap { $0.attributes["id"] }
  #expect(Set(names).count == names.count)
  #expect(!report.page.contains("@import") && !report.page.contains("NaN") && !report.page.contains("inf\""))
  let uses = page.elements.compactMap { $0.attributes["fill"] }.filter { $0.hasPrefix("url(#") }
  #expect(!uses.isEmpty && uses.allSatisfy { names.contains(String($0.dropFirst(5).dropLast())) })
}

@Test func theTableHasTheNumbersOfTheLines() throws {
  let board = board(all, tasks: ["captions"])
  let page = try #require(PageReader(Report(head(), board.standings).page))
  let lines = try board.lines.map { try JSONValue(parsing: $0) }.filter { $0["temperature"]?.double == 0 }
  #expect(lines.count == 1 + 6 * 2 + 4)
  // Lines are rounded to four decimals before: the last digit shown may differ by one.
  func shows(_ cell: String, _ name: String, _ line: JSONValue, _ decimals: Int) -> Bool {
    let expected = [line[name]?.double].compactMap { $0 } + (line[name + "_ci"]?.array ?? []).compactMap(\.double)
    let found = cell.split { " …".contains($0) }.compactMap { Double($0) }
    guard !expected.isEmpty else { return cell == "–" }
    let isWhole = found.count == expected.count || found.count == 1
    return isWhole && zip(found, expected).allSatisfy { abs($0 - $1) <= 0.501 * pow(10, -Double(decimals)) + 5e-5 }
  }
  for line in lines {
    let method = line["method"]?.string ?? ""
    let gamma = method == "plain" ? "–" : line["gamma"]?.int.map(String.init) ?? "auto"
    let row = try #require(page.row(method, gamma))
    #expect(row.count == 10 && row[2] == "4")
    #expect(shows(row[3], "mal", line, 2) && shows(row[4], "mal_with_bonus", line, 2), "\(row)")
    #expect(shows(row[5], "tvd", line, 3), "\(row)")
    #expect(shows(row[7], "speed_vs_plain", line, 2) && shows(row[8], "speed_vs_text_only", line, 2), "\(row)")
    #expect(row[4].contains("…") && row[7].contains("…"))
    #expect(row[9] == (method == "fixed" ? "NO" : "yes"))
  }
  let lengths = page.rows.filter { $0.count == 10 }.compactMap { Double($0[3]) }
  #expect(page.bold.contains(String(format: "%.2f", lengths.max() ?? 0)))
}

@Test func hostileTextStaysText() throws {
  let board = board(all, tasks: [hostile])
  let report = Report(head(hostile), board.standings, examples: [example(hostile)])
  let page = try #require(PageReader(report.page))
  #expect(page.count("script") == 0 && !report.page.contains("<script"))
  #expect(page.text.contains("<script>alert('x')</script> \"&amp;\" ]]>␀␛"))
  #expect(report.page.unicodeScalars.allSatisfy { $0.value >= 0x20 || $0 == "\n" })
  #expect(!report.page.unicodeScalars.contains { $0 == "\u{FFFE}" || $0 == "\u{85}" })
}

@Test func whatIsMissingLeavesNothingBehind() throws {
  func page(_ methods: [String], examples: [ReportExample] = []) throws -> PageReader {
    try #require(PageReader(Report(head(), board(methods, tasks: ["captions"]).standings, examples: examples).page))
  }
  let plain = try page(["plain"])
  #expect(plain.count("h2") == 2 && plain.count("svg", class: "plot") == 2, "table and bars alone")
  #expect(plain.text.contains("Where the time goes") && !plain.text.contains("TVD 0"))
  // No distances: neither column nor figure; no MASSV drafter: no curve, but a point for the break-even.
  let lookup = try page(["plain", "ngram"])
  #expect(!lookup.text.contains("How far drafters are") && lookup.count("svg", class: "plot") == 2 + 2 + 1)
  #expect(lookup.rows.first?.contains("TVD") == false)
  // Without plain decoding there is nothing to compare speeds with.
  #expect(try !page(["massv"]).text.contains("Where drafting gains"))
  let large = example(picture: Array(repeating: 0xFF, count: ReportExample.largestPicture + 1))
  #expect(try !page(["plain"], examples: [large]).text.contains("Examples"))
  let many = (0..<9).map { example("\($0)") }
  #expect(try page(["plain"], examples: many).count("article") == ReportExample.count)
  let none = try #require(PageReader(Report(head(), Scoreboard([], Bootstrap(seed: 0)).standings).page))
  #expect(none.text.contains("No record was judged") && none.count("h2") == 0 && none.count("svg") == 0)
}

@Test func manyTasksAreBounded() throws {
  let page = Report(head(), board(["plain", "massv"], tasks: (0..<60).map { "task \($0)" }).standings).page
  let read = try #require(PageReader(page))
  #expect(read.text.contains("Left out: 20 further tasks") && read.count("tbody") == 80)
  #expect(read.count("svg", class: "plot") == 7 + 7 + 2 + 2)
}

@Test func thePageIsTheSameTwice() {
  let first = Report(head(), board(all).standings, examples: [example()]).page
  let second = Report(head(), board(all).standings, examples: [example()]).page
  #expect(first == second)
}

@Test func oddNumbersStayWithinThePage() throws {
  let setting = Setting(method: "massv", gamma: 64, temperature: 1e9)
  let plain = Setting(method: "plain", gamma: 0, temperature: 1e9)
  var board = Scoreboard([plain, setting], Bootstrap(seed: 0))
  var slow = outcome(0, setting, [64, 0], distance: .nan)
  slow.seconds.draft = 1e12
  board.add(slow, of: setting, task: "")
  board.add(outcome(0, plain, [0, 0], distance: nil), of: plain, task: "")
  board.add(Outcome(record: 1, answer: Answer(), seconds: PhaseSeconds()), of: plain, task: "none")
  let page = Report(head("", gamma: 64), board.standings).page
  let read = try #require(PageReader(page))
  #expect(!page.contains("nan") && !page.contains("inf"))
  for (_, attributes) in read.elements {
    for name in ["x", "y", "cx", "cy"] {
      guard let value = attributes[name].flatMap(Double.init) else { continue }
      #expect((-100...2000).contains(value), "\(name) \(value)")
    }
  }
}
