import PipeLanguage
import Testing

private func parse(_ text: String) -> (file: PipeFile, errors: [String]) {
  let (file, diagnostics) = PipeFile.parse(SourceText(name: "a.pipe", text: text))
  return (file, PipeErrors(diagnostics).diagnostics.map(\.description))
}

@Test func aWholePipeIsRead() throws {
  let (file, errors) = parse(
    """
    # a comment
    param top-p = 0.9  "mass that stays"
    param fields = [key, json.NAME, "a b"]
    let m = model path="a\\"b\\n"
    read shards=$s | tee@copy ( emit fields=[key] ) | emit fields=$fields
    """)
  #expect(errors.isEmpty)
  #expect(file.parameters.map(\.name.text) == ["top-p", "fields"])
  #expect(file.parameters[0].summary == "mass that stays")
  guard case .list(let fields) = file.parameters[1].value.kind, case .name("json.NAME") = fields[1].kind else {
    Issue.record("the list is not read")
    return
  }
  guard case .string("a\"b\n") = file.lets[0].call.arguments[0].value.kind else {
    Issue.record("the string is not read")
    return
  }
  #expect(file.chains.map { $0.calls.map(\.name.text) } == [["read", "tee", "emit"]])
  #expect(file.chains[0].calls[1].label?.text == "copy")
  #expect(file.chains[0].calls[1].branches.count == 1)
}

@Test func anErrorPointsAtItsPlace() {
  let (_, errors) = parse("read\n| decode max-pixels=12abc\n| emit")
  #expect(
    errors == [
      """
      a.pipe:2:21: error: "12abc" is no number
        | decode max-pixels=12abc
                            ^~~~~
        text that begins with a digit needs quotes
      """,
      """
      a.pipe:3:1: error: expected a value, found '|'
        | emit
        ^
      """,
    ])
}

@Test func everyErrorIsReportedInOneRun() {
  let (_, errors) = parse("param = 3\nlet x model\nread | | emit path=\"open\n| limit records=[,]\n| emit fields=[]")
  #expect(
    errors.map { String($0.prefix { $0 != "\n" }) } == [
      "a.pipe:1:7: error: expected the parameter's name, found '='",
      "a.pipe:2:7: error: expected '=' and what \"x\" is, found \"model\"",
      "a.pipe:3:8: error: expected a stage, found '|'",
      "a.pipe:3:20: error: a string without its closing quote",
      "a.pipe:4:18: error: expected a value, found ','",
    ])
}

@Test func columnsCountCharacters() {
  let (_, errors) = parse("read shards=\"äöü€😀\" ~")
  #expect(errors.first?.hasPrefix("a.pipe:1:21: error: unexpected character '~'") == true)
}

@Test func deepNestingIsAnErrorNotACrash() {
  let branches = String(repeating: "tee ( ", count: 100_000)
  #expect(parse("read | " + branches).errors.contains { $0.contains("nested deeper than 32 levels") })
  let lists = "read shards=" + String(repeating: "[", count: 100_000)
  #expect(parse(lists).errors.contains { $0.contains("nested deeper than 32 levels") })
}

@Test func pipeBlocksOfMarkdownKeepTheirLines() {
  let markdown = SourceText(
    name: "README.md", text: "# Title\n```pipe\nread | emti\n```\ntext\n```sh\nread | x\n```\n  ```pipe\nread\n```\n")
  let blocks = SourceText.pipeBlocks(ofMarkdown: markdown)
  #expect(blocks.count == 2)
  let call = PipeFile.parse(blocks[0]).file.chains[0].calls[1]
  guard case .source(let text, let range) = call.name.origin else { return }
  #expect(text.place(of: range.lowerBound) == (3, 8))
}

@Test(arguments: [
  ("decod", "decode"), ("tempreature", "temperature"), ("emti", "emit"), ("xyzzy", nil), ("max-token", "max-tokens"),
])
func theNearestNameIsSuggested(name: String, expected: String?) {
  #expect(nearestName(to: name, among: ["decode", "encode", "emit", "temperature", "max-tokens"]) == expected)
}
