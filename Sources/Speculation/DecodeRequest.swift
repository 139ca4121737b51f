import Models
import Tensors

/// How one answer is drawn where it is one of several to a prompt.
package struct AnswerSampling: Sendable {
  /// Which of the answers this is: it enters the noise.
  package var sample = 0
  /// nil for the decoder's own.
  package var temperature: Float?
  /// What fixes the noise in the record's key's place, nil for that key.
  package var noiseKey: String?

  package init(sample: Int = 0, temperature: Float? = nil, noiseKey: String? = nil) {
    self.sample = sample
    self.temperature = temperature
    self.noiseKey = noiseKey
  }
}

/// What is decoded: a prompt as the target sees it and, where there is a drafter, how it drafts.
package struct DecodeRequest: Sendable {
  /// Names the record: with seed and sample it fixes the noise.
  package var key: String
  /// The prompt's ids, for the repetition penalty.
  package var prompt: [Int32]
  /// The target's embeddings of the prompt, visual tokens in their places: [prompt, hidden].
  package var embeddings: Tensor
  package var positions: [Position]
  /// Rows of the prompt that see each other in both directions, nil for none.
  package var bidirectional: Range<Int>?
  /// Where generated text goes on.
  package var nextPosition: Int
  /// nil for plain decoding.
  package var drafting: Drafting?
  package var maximumTokens: Int
  package var sampling: AnswerSampling
  /// What answers to the same prompt share, nil for one alone. Where it holds the prompt, embeddings are not read.
  package var prefix: SharedPrefix?

  package init(
    key: String, prompt: [Int32], embeddings: Tensor, positions: [Position],
    bidirectional: Range<Int>? = nil, nextPosition: Int, drafting: Drafting? = nil, maximumTokens: Int,
    sampling: AnswerSampling = AnswerSampling(), prefix: SharedPrefix? = nil
  ) {
    self.sampling = sampling
    self.prefix = prefix
    self.bidirectional = bidirectional
    self.key = key
    self.prompt = prompt
    self.embeddings = embeddings
    self.positions = positions
    self.nextPosition = nextPosition
    self.drafting = drafting
    self.maximumTokens = maximumTokens
  }
}

/// How a target's tokens are chosen.
package struct ChoiceRules: Sendable {
  package var sampling: SamplingSettings
  package var acceptance: Acceptance
  package var seed: UInt64
  /// Ids that end an answer.
  package var stops: Set<Int32>
  /// How many of the likeliest tokens are kept of every place of an answer.
  package var kept = 0

  package init(sampling: SamplingSettings, acceptance: Acceptance = .gumbel, seed: UInt64, stops: Set<Int32>) {
    self.sampling = sampling
    self.acceptance = acceptance
    self.seed = seed
    self.stops = stops
  }
}
