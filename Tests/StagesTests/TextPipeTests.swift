import Foundation
import PipeLanguage
import Pipeline
import Stages
import Testing

private let models = Place.root + "/Tests/Fixtures/models/"

/// Runs the shipped pipe for text over these prompts; its lines' texts.
private func generate(_ prompts: [(String, [UInt8])], _ parameters: [String], _ scratch: Scratch) throws -> [String] {
  let shard = try scratch.shard("in.tar", prompts.enumerated().map { ("r\($0)", [$1]) })
  let text = try String(contentsOfFile: Place.root + "/pipelines/generate.pipe", encoding: .utf8)
  let pipe = try BoundPipe(
    SourceText(name: "generate.pipe", text: text), catalog: .standard,
    overrides: Overrides(
      parameters: parameters,
      settings: ["read.shards=\(shard)", "emit.path=\(scratch.file("out.jsonl"))"]))
  try Runner(pipe, context: RunContext(options: .init())).run()
  return try scratch.lines(of: "out.jsonl").map { $0["text"]?.string ?? $0["error"]?["message"]?.string ?? "" }
}

private let prompts = [
  ("txt", Array("What is red?\n".utf8)), ("json", Array(#"{"prompt": "Name three colours.", "id": 7}"#.utf8)),
  ("txt", Array("A small dog".utf8)), ("cls", Array("3".utf8)),
]

@Test(arguments: [
  ("qwen2-echo", "qwen2-text"), ("gemma3-text", "gemma3-text"), ("llama-text", "llama-text"),
  ("gguf/gemma3-text.gguf", "gemma3-text"), ("gguf/llama.gguf", "llama-text"),
])
func textPromptsAreAnsweredTheSameWithADrafterAndWithout(model: String, drafter: String) throws {
  let scratch = try Scratch()
  let parameters = ["model=\(models)\(model)", "max-tokens=40", "temperature=0.8", "seed=4"]
  let plain = try generate(prompts, parameters, scratch)
  #expect(plain.count == 4)
  #expect(plain[3].contains("expected a picture, a .txt or a \"prompt\" in .json"))
  #expect(Set(plain.prefix(3)).count == 3)
  for gamma in ["auto", "1", "5"] {
    let drafted = try generate(prompts, parameters + ["draft=\(models)\(drafter)", "gamma=\(gamma)"], scratch)
    #expect(drafted == plain, "γ \(gamma)")
  }
}

/// A .json that says no prompt, or says it otherwise than as text, is told from one that is not there.
@Test func aPromptThatCannotBeReadSaysWhy() throws {
  let scratch = try Scratch()
  let found = try generate(
    [
      #"{"prompt": 5}"#, #"{"prompt": ["a", "b"]}"#, "{bad", #"{"prompt": "a", "prompt": "b"}"#, #"{"prompt": null}"#,
      #"{"other": 1}"#,
    ].map { ("json", Array($0.utf8)) }, ["model=\(models)qwen2-echo", "max-tokens=2"], scratch)
  #expect(found[0] == #"r0.json: "prompt": expected a string, found 5"#)
  #expect(found[1] == #"r1.json: "prompt": expected a string, found a list of 2"#)
  #expect(found[2].hasPrefix("r2.json: byte 1: "))
  #expect(found[3].hasPrefix("r3.json: byte ") && found[3].contains("duplicate key"))
  #expect(found[4...].allSatisfy { $0 == "expected a picture, a .txt or a \"prompt\" in .json, found none" })
}

/// Where dividing by the temperature would overflow, the likeliest token alone is left.
@Test(arguments: ["1e-20", "1e-37", "1e-40", "1e-46"]) func temperaturesNextToZeroAreGreedy(temperature: String) throws
{
  let parameters = ["model=\(models)qwen2-echo", "max-tokens=12"]
  let greedy = try generate(prompts, parameters + ["temperature=0"], Scratch())
  #expect(try generate(prompts, parameters + ["temperature=\(temperature)"], Scratch()) == greedy)
}
