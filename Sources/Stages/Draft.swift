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
          "tokens", .integerOrAuto(0...64), default: "auto", "draft tokens a round; auto weighs cost and acceptance"),
      ])
  ) { inputs, context throws(RunFailure) in
    let drafter: DrafterResource = inputs.arguments.resource("model")
    let gamma = inputs.arguments.optionalInteger("tokens")
    guard let model = drafter.model, let proposer = drafter.proposer, gamma != 0 else { return inputs.upstream }
    let work = SharedWork()
    return Transform("draft", upstream: inputs.upstream, meter: context.meter) { record throws(StageFailure) in
      let prompt = try record.oncePerQuestion(work) { () throws(StageFailure) in
        try draftPrompt(record, model, target: drafter.target.target)
      }
      record[Field.drafting] = Drafting(proposer: proposer, prompt: prompt, gamma: gamma)
      record[Field.projected] = nil
    }
  }

  /// The target's prompt as the drafter sees it: visual tokens projected, or left out.
  private static func draftPrompt(
    _ record: Record, _ model: DraftModel, target: TargetModel
  ) throws(StageFailure) -> DraftPrompt {
    let prompt = record[Field.prompt]?.tokens ?? []
    guard let vision = target.vision, record[Field.features] != nil else {
      return DraftPrompt(tokens: prompt, embeddings: model.language.embed(prompt))
    }
    guard model.projector != nil else {
      let words = prompt.filter { !vision.imageMarkers.contains($0) }
      return DraftPrompt(tokens: words, embeddings: model.language.embed(words))
    }
    guard let visual = record[Field.projected] else {
      throw StageFailure(stage: "draft", message: "the drafter sees pictures: put \"project\" before \"draft\"")
    }
    let seen = record[Field.prompt]?.replacingVisualTokens(vision.imageToken, by: visual.rows) ?? prompt
    let embeddings = model.language.embed(seen, visual: visual, placeholder: vision.imageToken)
    return DraftPrompt(tokens: seen, embeddings: embeddings)
  }
}
