import Tensors

/// What the weights' authors set in `generation_config.json`.
package struct GenerationDefaults: Sendable {
  /// Ids that end an answer.
  package var endOfSequence: Set<Int32> = []
  package var repetitionPenalty: Double = 1
  /// 0 where the authors decode greedily.
  package var temperature: Double = 0
  package var topK: Int = 0
  package var topP: Double = 1
  /// Settings that would change answers and are not heeded, with their file.
  package var unheeded: (file: String, keys: [String])?

  /// Settings beyond those above, and the values that say nothing.
  private static let others: [(key: String, without: [Double])] = [
    ("no_repeat_ngram_size", [0]), ("min_length", [0]), ("min_new_tokens", [0]), ("num_beams", [1]),
    ("suppress_tokens", []), ("begin_suppress_tokens", []), ("bad_words_ids", []), ("sequence_bias", []),
    ("forced_bos_token_id", []), ("forced_eos_token_id", []), ("encoder_repetition_penalty", [1]),
    ("encoder_no_repeat_ngram_size", [0]), ("exponential_decay_length_penalty", []), ("guidance_scale", [1]),
    ("min_p", [0]), ("typical_p", [1]), ("epsilon_cutoff", [0]), ("eta_cutoff", [0]),
  ]

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
    let keys = Self.others.filter { key, without in
      guard let value = generation.json[key], !value.isNull, value.array?.isEmpty != true else { return false }
      return !(value.double.map(without.contains) ?? false)
    }
    if !keys.isEmpty { unheeded = (generation.place, keys.map(\.key)) }
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
