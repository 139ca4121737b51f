import Models
import Pipeline
import Speculation
import Tensors

/// `draft` drafts nothing itself: drafting and verifying alternate every round, so it puts into the record what is
/// needed to draft, and `verify` pulls proposals from that.
enum Draft {
  static let definition = StageDefinition(
    StageDeclaration(
      "draft", .link, "readies the drafter for the record; verify pulls proposals from it",
      reads: [Field.prompt.name], uses: [Field.projected.name, Field.sampling.name], writes: [Field.drafting.name],
      parameters: [
        ParameterDeclaration("model", .reference("drafter"), "the drafter"),
        ParameterDeclaration(
          "tokens", .integerOrAuto(0...64), default: "auto",
          "draft tokens a round; auto weighs cost and acceptance, and stops where the drafter is in doubt"),
      ])
  ) { inputs, context throws(RunFailure) in
    let drafter: DrafterResource = inputs.arguments.resource("model")
    let gamma = inputs.arguments.optionalInteger("tokens")
    guard let proposer = drafter.proposer, gamma != 0 else { return inputs.upstream }
    let work = SharedWork()
    return Transform("draft", upstream: inputs.upstream, meter: context.meter) { record throws(StageFailure) in
      let prompt = try record.oncePerQuestion(work) { () throws(StageFailure) in
        try draftPrompt(record, drafter)
      }
      record[Field.drafting] = Drafting(proposer: proposer, prompt: prompt, gamma: gamma)
      record[Field.projected] = nil
    }
  }

  private static func draftPrompt(_ record: Record, _ drafter: DrafterResource) throws(StageFailure) -> DraftPrompt {
    if record[Field.features] != nil, drafter.model?.projector != nil, record[Field.projected] == nil {
      throw StageFailure(stage: "draft", message: "the drafter sees pictures: put \"project\" before \"draft\"")
    }
    return drafter.prompt(record[Field.prompt], projected: record[Field.projected])
  }
}

extension DrafterResource {
  /// The target's prompt as the drafter sees it: visual tokens projected, or left out.
  ///
  /// - Parameter projected: the picture at the drafter's width, nil to draft from text alone.
  func prompt(_ prompt: Prompt?, projected: Tensor?) -> DraftPrompt {
    let tokens = prompt?.tokens ?? []
    guard let vision = target.target.vision, let place = prompt?.visual, !place.isEmpty else {
      return DraftPrompt(tokens: tokens, embeddings: embeddings(tokens))
    }
    guard let model, let projected else {
      let words = tokens.filter { !vision.imageMarkers.contains($0) }
      return DraftPrompt(tokens: words, embeddings: embeddings(words))
    }
    let seen = prompt?.replacingVisualTokens(vision.imageToken, by: projected.rows) ?? tokens
    return DraftPrompt(
      tokens: seen, embeddings: model.language.embed(seen, visual: projected, placeholder: vision.imageToken))
  }

  /// None for a drafter without a model.
  private func embeddings(_ tokens: [Int32]) -> Tensor {
    model?.language.embed(tokens) ?? Tensor(rows: 0, columns: 0)
  }
}
