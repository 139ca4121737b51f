import Tensors

/// What the weights' authors set in `generation_config.json`.
package struct GenerationDefaults: Sendable, Equatable {
  /// Ids that end an answer.
  package var endOfSequence: Set<Int32> = []
  package var repetitionPenalty: Double = 1
  /// 0 where the authors decode greedily.
  package var temperature: Double = 0
  package var topK: Int = 0
  package var topP: Double = 1

  /// Greedy, without an end.
  init() {}

  /// Reads a model folder; `config.json` fills in where there is no `generation_config.json`.
  package init(folder: String, config: ConfigReader) throws(ModelError) {
    let generation = try ConfigReader.optional(path: folder + "/generation_config.json")
    let source = generation ?? config
    var ids = try source.integers("eos_token_id")
    if ids == nil { ids = try config.integers("eos_token_id") }
    if ids == nil { ids = try config.object("text_config")?.integers("eos_token_id") }
    endOfSequence = Set((ids ?? []).compactMap { Int32(exactly: $0) })
    guard let generation else { return }
    repetitionPenalty = try generation.number("repetition_penalty", default: 1)
    guard repetitionPenalty > 0 else { throw generation.invalid("repetition_penalty", expected: "a number above 0") }
    guard try generation.flag("do_sample", default: false) else { return }
    temperature = try generation.number("temperature", default: 1)
    topK = Int(min(max(0, try generation.number("top_k", default: 50).rounded()), 0x1p30))
    topP = try generation.number("top_p", default: 1)
    guard temperature >= 0 else { throw generation.invalid("temperature", expected: "a number from 0") }
    guard topP >= 0 else { throw generation.invalid("top_p", expected: "a number from 0") }
  }
}
