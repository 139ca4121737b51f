import Speculation

/// Seconds of one record by phase.
package struct PhaseSeconds: Sendable, Equatable {
  package var decode = 0.0
  package var encode = 0.0
  package var prefill = 0.0
  /// The drafter's reading of the prompt included.
  package var draft = 0.0
  package var verify = 0.0

  package init() {}

  /// Seconds of the rounds alone.
  package var decoding: Double { draft + verify }
  /// From the record's file to the last token.
  package var whole: Double { decode + encode + prefill + decoding }

  /// The phases by name, in their order.
  package static var names: [(name: String, path: KeyPath<PhaseSeconds, Double>)] {
    [("decode", \.decode), ("encode", \.encode), ("prefill", \.prefill), ("draft", \.draft), ("verify", \.verify)]
  }

  /// Adds another record's.
  package mutating func add(_ other: PhaseSeconds) {
    decode += other.decode
    encode += other.encode
    prefill += other.prefill
    draft += other.draft
    verify += other.verify
  }
}

/// Who drafts how: what one line of the results is about, beside its task.
package struct Setting: Sendable, Hashable {
  package var method: String
  /// Tokens proposed a round, nil where that is chosen.
  package var gamma: Int?
  package var temperature: Double

  package init(method: String, gamma: Int?, temperature: Double) {
    self.method = method
    self.gamma = gamma
    self.temperature = temperature
  }

  /// The method that nothing is drafted by.
  package static let plain = "plain"
  /// The method that drafts without the picture.
  package static let textOnly = "text-only"
  /// The method that drafts with the picture, as trained on the target's own answers.
  package static let massv = "massv"
}

/// What a setting made of one record.
package struct Outcome: Sendable {
  /// The record's number: what other settings made of it has the same.
  package var record: Int
  package var answer: Answer
  package var seconds: PhaseSeconds
  /// Whether the tokens are those of plain decoding.
  package var isIdentical: Bool
  /// How far the drafter is from the target at the answer's places; nil where it has no distribution.
  package var distances: [Double]?

  package init(
    record: Int, answer: Answer, seconds: PhaseSeconds, isIdentical: Bool = true, distances: [Double]? = nil
  ) {
    self.record = record
    self.answer = answer
    self.seconds = seconds
    self.isIdentical = isIdentical
    self.distances = distances
  }
}
