import Models
import Tensors

/// A prompt that several answers go on from: read by the first of them, copied by the others.
///
/// A copy holds the values that reading the prompt again would give, to the bit, so that sharing changes no token. The
/// memory goes once the last answer has taken its copy, or with the last request that holds this.
///
/// It belongs to one decoder's thread, as sessions do; between threads it only travels.
package final class SharedPrefix: @unchecked Sendable {
  /// What the target has made of the prompt.
  private struct Target {
    let prompt: [Int32]
    let cache: KVCache
    /// Behind the prompt's last token: [1, vocabulary].
    let logits: Tensor
  }

  /// What the drafter has.
  private struct Draft {
    let proposer: any Proposer
    let prompt: [Int32]
    let state: any ProposalState
  }

  private var target: Target?
  private var draft: Draft?
  /// Answers that have not read or taken the prompt yet, by the target and by the drafter.
  private var waiting: Int
  private var waitingDrafts: Int

  /// - Parameters:
  ///   - answers: how many go on from the prompt.
  ///   - drafts: whether they share what the drafter has read of it, too.
  package init(answers: Int, drafts: Bool = true) {
    waiting = answers
    waitingDrafts = drafts ? answers : 0
  }

  /// Bytes that it keeps.
  package var byteCount: Int {
    (target.map { $0.cache.byteCount + $0.logits.count * 4 } ?? 0) + (draft?.state.byteCount ?? 0)
  }

  /// Whether this prompt has been read.
  package func holds(_ prompt: [Int32]) -> Bool { target?.prompt == prompt }

  // MARK: The target's

  /// A copy for a request whose prompt has been read.
  func take(for request: DecodeRequest) -> (cache: KVCache, logits: Tensor)? {
    waiting -= 1
    guard let target, holds(request.prompt) else { return nil }
    if waiting <= 0 { self.target = nil }
    return (target.cache.copy(capacity: request.prompt.count + request.maximumTokens), target.logits.rows(0..<1))
  }

  /// Keeps a copy of what has just been read, where somebody waits for it.
  func keep(_ cache: KVCache, logits: Tensor, for request: DecodeRequest) {
    guard waiting > 0, target == nil else { return }
    target = Target(
      prompt: request.prompt, cache: cache.copy(capacity: request.prompt.count + request.maximumTokens),
      logits: logits.rows(0..<1))
  }

  // MARK: The drafter's

  /// A copy for a request whose drafter has read the prompt.
  func takeDraft(for request: DecodeRequest) -> (any ProposalState)? {
    waitingDrafts -= 1
    guard let draft, let drafting = request.drafting, draft.proposer === drafting.proposer,
      draft.prompt == drafting.prompt.tokens
    else { return nil }
    if waitingDrafts <= 0 { self.draft = nil }
    return draft.state.copy(capacity: request.maximumTokens)
  }

  /// Keeps a copy of what the drafter has just read, where somebody waits for it.
  func keep(_ state: any ProposalState, for request: DecodeRequest) {
    guard waitingDrafts > 0, draft == nil, let drafting = request.drafting else { return }
    draft = Draft(
      proposer: drafting.proposer, prompt: drafting.prompt.tokens,
      state: state.copy(capacity: request.maximumTokens))
  }
}
