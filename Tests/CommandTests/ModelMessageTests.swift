import Foundation
import Testing

/// What is said of a model whose files ask for more than is done, or hold something else.
private func errors(_ change: String, status: Int32 = 0) throws -> String {
  let scratch = try ScratchFolder()
  let outcome = try Command.shell(
    """
    cp -r Tests/Fixtures/models/random-target $OUT/m; cd $OUT/m; \(change); cd '\(Command.root)'
    $TOOL run pipelines/caption.pipe target=$OUT/m draft=none max-tokens=2 --limit 1 < Tests/Fixtures/shapes.tar > $OUT/a
    """, scratch: scratch.path)
  #expect(outcome.status == status, "\(outcome.errors)")
  return outcome.errors.replacing(scratch.path, with: "")
}

@Test func aTemplateThatIsNotAppliedIsSaid() throws {
  #expect(try errors(":") == "")
  let other = try errors("echo '{{ messages }}' > chat_template.jinja")
  #expect(
    other == "massv-pipe: prompt: /m/chat_template.jinja: its chat template is not applied: "
      + "prompts have the form that is usual with qwen2_5_vl\n")
}

@Test func settingsThatAreNotHeededAreSaid() throws {
  let change =
    "sed -i 's/^{/{\"no_repeat_ngram_size\": 3, \"num_beams\": 1, \"bad_words_ids\": [[1]],/' generation_config.json"
  let expected = "massv-pipe: verify: /m/generation_config.json: not heeded: no_repeat_ngram_size, bad_words_ids\n"
  #expect(try errors(change) == expected)
}

@Test(arguments: [
  (
    "printf 'version https://git-lfs.github.com/spec/v1\\noid sha256:00\\nsize 9\\n' > model.safetensors",
    "found a Git LFS pointer"
  ), ("truncate -s -100 model.safetensors", "is the file cut short?"),
  ("mv model.safetensors pytorch_model.bin", "found neither, but pytorch_model.bin"),
])
func weightsThatAreNotThereAreNamed(change: String, message: String) throws {
  #expect(try errors(change, status: 66).contains(message))
}

@Test func aTokenizerWithoutThePicturesTokenIsRefused() throws {
  #expect(
    try errors("sed -i 's/<|image_pad|>/<|picture|>/' tokenizer.json", status: 66).contains(
      "expected the tokenizer to read"))
}
