import Foundation
import Testing

/// The example target with a piece of one of its files exchanged.
private func damaged(_ file: String, _ pattern: String, _ replacement: String, in scratch: ScratchFolder) throws {
  let folder = scratch.path + "/model"
  try? FileManager.default.removeItem(atPath: folder)
  try FileManager.default.copyItem(atPath: Command.root + "/Tests/Fixtures/models/random-target", toPath: folder)
  let text = try String(contentsOfFile: folder + "/" + file, encoding: .utf8)
  let changed = text.replacing(try Regex(pattern), with: replacement)
  #expect(changed != text, "\(file): \(pattern) is not there")
  try changed.write(toFile: folder + "/" + file, atomically: true, encoding: .utf8)
}

@Test(arguments: ["config.json", "tokenizer.json", "generation_config.json"])
func aModelsFileThatIsNoFileIsNotWaitedFor(file: String) throws {
  let scratch = try ScratchFolder()
  let script = """
    cp -r Tests/Fixtures/models/random-target $OUT/model; rm $OUT/model/\(file); mkfifo $OUT/model/\(file)
    timeout -k 2 20 $TOOL run pipelines/caption.pipe target=$OUT/model draft=none < Tests/Fixtures/shapes.tar
    """
  let outcome = try Command.shell(script, scratch: scratch.path)
  #expect(outcome.status == 66 && outcome.errors.contains("expected a regular file"), "\(outcome.errors)")
}

/// A template decides about a message alone.
@Test func aTemplateThatIsNoFileIsNotWaitedFor() throws {
  let scratch = try ScratchFolder()
  let script = """
    cp -r Tests/Fixtures/models/random-target $OUT/model; mkfifo $OUT/model/chat_template.jinja
    timeout -k 2 20 $TOOL run pipelines/caption.pipe target=$OUT/model draft=none max-tokens=2 --limit 1 \
      < Tests/Fixtures/shapes.tar > $OUT/a
    """
  let outcome = try Command.shell(script, scratch: scratch.path)
  #expect(outcome.status == 0 && outcome.errors == "", "\(outcome.errors)")
}

/// A drafter that computes no numbers changes no answer, and is said to be of no use.
@Test(arguments: ["temperature=0", "temperature=1", "temperature=0 gamma=3"])
func aDrafterOfNoNumbersIsNamed(settings: String) throws {
  let scratch = try ScratchFolder()
  let script = """
    cp -r Tests/Fixtures/models/random-massv $OUT/m; SIZE=$(stat -c %s $OUT/m/model.safetensors)
    tr '\\0' '\\377' < /dev/zero | head -c 60000 | dd of=$OUT/m/model.safetensors bs=1 seek=$((SIZE - 60000)) conv=notrunc 2> $OUT/dd
    RUN="$TOOL run pipelines/caption.pipe target=Tests/Fixtures/models/random-target max-tokens=6 --limit 2 \(settings)"
    $RUN draft=none < Tests/Fixtures/shapes.tar > $OUT/a; $RUN draft=$OUT/m < Tests/Fixtures/shapes.tar > $OUT/b
    """
  let outcome = try Command.shell(script, scratch: scratch.path)
  #expect(
    outcome.status == 0 && outcome.errors.contains("/m: the drafter's logits are no numbers"), "\(outcome.errors)")
  #expect(try scratch.bytes("a") == scratch.bytes("b"))
}

/// Settings that are no settings: each ends in an error that names the file, or does no harm.
@Test(arguments: [
  ("config.json", #""mrope_section": \[[^\]]*\]"#, #""mrope_section": [9223372036854775807, 9223372036854775807]"#),
  ("config.json", #""mrope_section": \[[^\]]*\]"#, #""mrope_section": 4611686018427387904"#),
  ("config.json", #""spatial_merge_size": 2"#, #""spatial_merge_size": 1073741824"#),
  ("config.json", #""patch_size": 14"#, #""patch_size": 1073741823"#),
  ("config.json", #""hidden_size": 64"#, #""hidden_size": 1073741824"#),
  ("config.json", #""num_attention_heads": 4"#, #""num_attention_heads": 0"#),
  ("config.json", #""max_position_embeddings": 128000"#, #""max_position_embeddings": 1073741824"#),
  ("config.json", #""rms_norm_eps": 1e-06"#, #""rms_norm_eps": "x""#),
  ("generation_config.json", #""repetition_penalty": 1.05"#, #""repetition_penalty": 1.05, "top_k": 1e300"#),
  ("generation_config.json", #""repetition_penalty": 1.05"#, #""repetition_penalty": 1.05, "top_k": -1e300"#),
  ("preprocessor_config.json", #""min_pixels": 3136"#, #""min_pixels": 1073741823, "x": 0"#),
  ("preprocessor_config.json", #""max_pixels": 62720"#, #""max_pixels": 0"#),
  ("tokenizer.json", #""Regex":.*?"\},"behavior""#, #""Regex":".*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*q"},"behavior""#),
  ("tokenizer.json", #""Regex":.*?"\},"behavior""#, #""Regex":"((((((((((((((((((((((((((((((((((a))))"},"behavior""#),
  ("tokenizer.json", #""Regex":.*?"\},"behavior""#, #""Regex":"\\\\k<x>"},"behavior""#),
])
func aHostileSettingIsAnErrorOrHarmless(file: String, pattern: String, replacement: String) throws {
  let scratch = try ScratchFolder()
  try damaged(file, pattern, replacement, in: scratch)
  let run =
    "timeout -k 2 30 $TOOL run pipelines/caption.pipe target=$OUT/model draft=none max-tokens=1000 temperature=0.5"
  let outcome = try Command.shell(
    "ulimit -v 12000000; \(run) temperature=0.5 --limit 1 --set verify.in-flight=64 < Tests/Fixtures/shapes.tar > $OUT/a",
    scratch: scratch.path)
  #expect([0, 1, 66].contains(outcome.status), "\(outcome.status): \(outcome.errors.prefix(300))")
  if outcome.status == 66 { #expect(outcome.errors.contains("/model/"), "\(outcome.errors)") }
}
