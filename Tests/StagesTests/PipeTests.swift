import Foundation
import PipeLanguage
import Pipeline
import Stages
import Testing

private func errors(_ text: String, _ overrides: Overrides = Overrides()) -> [String] {
  do throws(PipeErrors) {
    _ = try BoundPipe(SourceText(name: "a.pipe", text: text), catalog: .standard, overrides: overrides)
    return []
  } catch {
    return error.diagnostics.map(\.description)
  }
}

private let shipped: [String] = {
  let folder = Place.root + "/pipelines"
  let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
  return names.filter { $0.hasSuffix(".pipe") }.sorted().map { folder + "/" + $0 }
}()

@Test func everyShippedPipeIsSound() throws {
  #expect(!shipped.isEmpty)
  for path in shipped { #expect(errors(try String(contentsOfFile: path, encoding: .utf8)) == [], "\(path)") }
}

@Test func namesAndValuesAreCheckedWithSuggestions() {
  let found = errors(
    """
    param gamma = fast
    let m = modle path="x"
    let t = model path="x" weigths=f32
    let d = drafter path=none target=t
    read | decod | encode model=d | limit records=$count | draft model=d tokens=$gamma | emit fields=[key, txet]
    """)
  #expect(found.count == 7, "\(found)")
  #expect(found[0].contains("1:15: error: \"tokens\": expected a whole number from 0 to 64, or auto, found fast"))
  #expect(found[1].contains("2:9: error: unknown kind \"modle\"") && found[1].contains("did you mean \"model\"?"))
  #expect(found[2].contains("has no parameter \"weigths\"") && found[2].contains("did you mean \"weights\"?"))
  #expect(found[3].contains("unknown stage \"decod\"") && found[3].contains("did you mean \"decode\"?"))
  #expect(found[4].contains("expected a model, \"d\" is a drafter"))
  #expect(found[5].contains("the pipe has no parameter \"count\""))
  #expect(found[6].contains("unknown field \"txet\"") && found[6].contains("did you mean \"text\"?"))
}

@Test func whatIsWrongWithAValueHidesNothingElse() {
  let found = errors(
    """
    let m = model path="x"
    read shards=[] | encode model=m | decode limit=0 | verify model=m max-tokens=-1
    | emit fields=[kee, txet, text, text]
    """)
  #expect(found.count == 8, "\(found)")
  #expect(found[0].contains("\"shards\": expected text, or none, found an empty list"))
  #expect(found[1].contains("\"encode\" reads \"image\", which no earlier stage writes"))
  #expect(found[2].contains("\"decode\" has no parameter \"limit\""))
  #expect(found[3].contains("\"verify\" reads \"prompt\", which no earlier stage writes"))
  #expect(found[4].contains("\"max-tokens\": expected a whole number"))
  #expect(found[5].contains("unknown field \"kee\"") && found[6].contains("unknown field \"txet\""))
  #expect(found[7].contains("field \"text\" is named twice"))
  // Of a stage that is not known for what it is, nothing can be missing behind it.
  #expect(errors("read | decod | emit fields=[width]").count == 1)
}

@Test func wiresAreCheckedBeforeAnythingIsLoaded() {
  let missing = errors("let m = model path=\"nowhere\"\nread | encode model=m | emit fields=[key, text, width]")
  #expect(missing.count == 3)
  #expect(missing[0].contains("2:8: error: \"encode\" reads \"image\", which no earlier stage writes"))
  #expect(missing[0].contains("written by \"decode\""))
  #expect(missing[1].contains("2:43: error: \"emit\" reads \"text\""))
  #expect(errors("read\ndecode | emit fields=[key]").first?.contains("is a '|' missing before \"decode\"?") == true)
  #expect(errors("read | read | emit fields=[key]").first?.contains("it stands first in a chain") == true)
  #expect(errors("read | tee | emit fields=[key]").first?.contains("takes one branch") == true)
  #expect(errors("read | tee ( decode ) | emit fields=[width]").first?.contains("reads \"width\"") == true)
  #expect(errors("read ( scenes | decode ) | emit fields=[key]") == [])
  #expect(errors("read ( scenes | decode ) | emit fields=[width]").first?.contains("reads \"width\"") == true)
  #expect(errors("read ( decode ) | emit fields=[key]").first?.contains("needs records from a stage") == true)
  #expect(errors("read ( scenes ) ( scenes ) | emit fields=[key]").first?.contains("at most one branch") == true)
  let twice = errors("read | emit fields=[key]\nread | emit fields=[key]")
  #expect(twice.count == 1)
  #expect(twice.first?.contains("2:1: error: \"read\" reads standard input, which an earlier chain has read") == true)
  #expect(errors("read | emit fields=[key]\nread shards=a | emit fields=[key]") == [])
}

@Test func theCommandLineSetsParametersAndArguments() {
  let pipe = "param n = 3\nread | limit@first records=$n | limit records=2 | limit records=1 | emit fields=[key]"
  #expect(errors(pipe, Overrides(parameters: ["n=5"])) == [])
  #expect(errors(pipe, Overrides(settings: ["first.records=9", "emit.fields=[key,index]"])) == [])
  #expect(
    errors(pipe, Overrides(parameters: ["m=5"])).first?.contains("command line: m=5: error: the pipe has no parameter")
      == true)
  #expect(errors(pipe, Overrides(parameters: ["n=many"])).first?.contains("command line: n=many") == true)
  #expect(
    errors(pipe, Overrides(settings: ["limit.records=9"])).first?.contains("more than one stage is called") == true)
  #expect(errors(pipe, Overrides(settings: ["emitt.path=x"])).first?.contains("did you mean \"emit\"?") == true)
  #expect(errors(pipe, Overrides(settings: ["emit.pth=x"])).first?.contains("did you mean \"path\"?") == true)
  let distill = "param prompts = none\nread | ask prompts=$prompts | emit fields=[key]"
  #expect(errors(distill, Overrides(parameters: ["prompts="])) == [])
  for empty in ["emit fields=[]", "evaluate gammas=[]", "ask prompts=[]"] {
    #expect(errors("read | " + empty).first { $0.contains("found an empty list") } != nil, "\(empty)")
  }
  #expect(errors(pipe, Overrides(settings: ["emit.fields=[]"])).first?.contains("a list of key shard") == true)
  #expect(errors(distill, Overrides(parameters: ["prompts=[ ]"])).first?.contains("found \"[ ]\"") == true)
  let scenes = "param first = 0\nscenes first=$first | emit fields=[key]"
  #expect(
    errors(scenes, Overrides(parameters: ["first=9223372036854775800"])).first?.contains("number from 0 to 2^50")
      == true)
  #expect(errors("read max-bytes=512m | limit@a records=1 | limit records=2 | emit fields=[key]") == [])
  #expect(errors("read max-bytes=1.5 | emit fields=[key]").first?.contains("a count of bytes") == true)
  #expect(errors("read | limit@a records=1 | limit@a records=2").first?.contains("label \"a\" is given twice") == true)
  #expect(errors(pipe, Overrides(settings: ["emit"])).first?.contains("expected STAGE.ARG=VALUE") == true)
}

/// Truncations and random changes of every shipped pipe: each is sound or has an error with a place, and none traps.
@Test func brokenPipesHaveErrorsWithPlaces() throws {
  var random = SystemRandomNumberGenerator()
  let alphabet = Array("|@=[](),$\"#\\-. \n\tparamletread09äé\u{0}\u{7f}".utf8) + [0xFF, 0xC3, 0xEF, 0xBB]
  var broken = 0
  for path in shipped {
    let bytes = try read(path)
    var texts = bytes.indices.map { Array(bytes[..<$0]) }
    for _ in 0..<4000 {
      var text = bytes
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let at = Int.random(in: 0..<text.count, using: &random)
        switch Int.random(in: 0..<4, using: &random) {
        case 0: text[at] = alphabet.randomElement(using: &random) ?? 0
        case 1: text.insert(alphabet.randomElement(using: &random) ?? 0, at: at)
        case 2: text.removeSubrange(at..<min(text.count, at + Int.random(in: 1...30, using: &random)))
        default: text.insert(contentsOf: text[at..<min(text.count, at + 40)], at: at)
        }
        if text.isEmpty { text = [0x20] }
      }
      texts.append(text)
    }
    for text in texts {
      do throws(PipeErrors) {
        _ = try BoundPipe(SourceText(name: "a.pipe", bytes: text), catalog: .standard)
      } catch {
        broken += 1
        #expect(!error.diagnostics.isEmpty)
        for diagnostic in error.diagnostics {
          let line = diagnostic.description.prefix { $0 != "\n" }
          #expect(line.wholeMatch(of: /a\.pipe:\d+:\d+: error: .+/) != nil, "\(line)")
        }
      }
    }
  }
  #expect(broken > 2000 * shipped.count / 2)
}

@Test(arguments: GraphFormat.allCases) func aGraphShowsEveryStage(format: GraphFormat) throws {
  let source = SourceText(
    name: "a.pipe",
    text:
      "let m = model path=\"a \\\"b\\\"\"\nread | tee@x ( emit fields=[key] ) | decode | encode model=m | limit records=1"
  )
  let text = PipeGraph(try BoundPipe(source, catalog: .standard)).rendered(as: format)
  for word in ["read", "tee@x", "emit", "decode", "encode", "limit"] { #expect(text.contains(word), "\(text)") }
  #expect(text.hasSuffix("\n"))
  if format == .dot { #expect(text.hasPrefix("digraph") && text.contains("->")) }
  if format == .mermaid { #expect(text.hasPrefix("flowchart LR") && text.contains("-->")) }
}
