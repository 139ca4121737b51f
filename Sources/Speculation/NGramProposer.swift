import Models
import Tensors

/// Prompt lookup: what followed the answer's last tokens where they occurred before, in prompt or answer, may follow
/// again. It needs no model and costs next to nothing.
package final class NGramProposer: Proposer {
  /// Tokens that are looked for at most; where so many did not occur before, fewer are, down to one.
  package static let longest = 4

  package init() {}

  private final class State: ProposalState {
    let prompt: [Int32]

    init(_ prompt: [Int32]) { self.prompt = prompt }

    /// Nothing was read of the answer: it is looked at anew each time.
    func rollBack(to answerTokens: Int) {}

    func copy(capacity: Int) -> any ProposalState { self }

    var byteCount: Int { prompt.count * MemoryLayout<Int32>.size }
  }

  package func memoryBytes(_ prompt: DraftPrompt, capacity: Int) -> Int {
    prompt.tokens.count * MemoryLayout<Int32>.size
  }

  package func begin(
    _ prompt: DraftPrompt, capacity: Int, _ reader: PromptReader, _ engine: Engine
  ) -> any ProposalState {
    State(prompt.tokens)
  }

  package func propose(_ plan: DraftPlan, for sessions: [Session], _ engine: Engine) -> Int {
    var most = 0
    for session in sessions {
      guard let state = session.proposalState as? State else { continue }
      let text = state.prompt + session.answer.tokens
      for token in Self.continuation(of: text, count: plan.most) where session.takesMore { session.propose(token) }
      most = max(most, session.drafts.count)
    }
    return most
  }

  /// What follows if the text goes on as it did behind the last place where its end stood before: `count` tokens, or
  /// none where not even its last token did.
  ///
  /// A repetition that reaches the end goes on into the guesses themselves.
  package static func continuation(of text: [Int32], count: Int) -> [Int32] {
    guard let source = lastOccurrence(ofTheEndOf: text) else { return [] }
    var copied: [Int32] = []
    for offset in 0..<max(0, count) {
      let place = source + offset
      copied.append(place < text.count ? text[place] : copied[place - text.count])
    }
    return copied
  }

  /// The place behind the last occurrence of the longest end, of at most `longest` tokens, that occurred before.
  private static func lastOccurrence(ofTheEndOf text: [Int32]) -> Int? {
    var best: (place: Int, length: Int)?
    // Backwards, so that the first of its length is the last in the text.
    for place in stride(from: text.count - 1, to: 0, by: -1) {
      let length = sharedEnd(text, place)
      if length > best?.length ?? 0 { best = (place, length) }
      if length == longest { break }
    }
    return best?.place
  }

  /// How many tokens before `place` are those at the text's end, `longest` at most.
  private static func sharedEnd(_ text: [Int32], _ place: Int) -> Int {
    var length = 0
    while length < min(longest, place), text[place - 1 - length] == text[text.count - 1 - length] { length += 1 }
    return length
  }
}
