import Evaluation
import Messages
import Models
import Pipeline
import Speculation
import Tensors

/// A way of drafting that `evaluate` judges.
struct DraftingMethod {
  /// What a drafter sees of the picture.
  enum Sight {
    case nothing, picture
    /// The one before it in the stream.
    case otherPicture
  }

  let name: String
  /// nil for plain decoding.
  let drafter: DrafterResource?
  let sight: Sight
  /// Tokens proposed a round, nil to choose them.
  let gammas: [Int?]

  /// The methods that the arguments name; those whose drafter is none are left out.
  static func all(_ arguments: Arguments, _ target: ModelResource) throws(RunFailure) -> [DraftingMethod] {
    let gamma = arguments.integer("gamma")
    let auto: [Int?] = arguments.flag("auto") ? [nil] : []
    var curve: [Int?] = []
    for other in arguments.numbers("gammas").map({ Int($0) }) where other != gamma && !curve.contains(other) {
      curve.append(other)
    }
    let massv = try drafter("draft", arguments, target)
    if target.target.vision != nil, let model = massv?.model, model.projector == nil {
      complain("evaluate: draft: the drafter has no projector (massv.json): it does not see what \"massv\" is shown")
    }
    let lookup =
      arguments.flag("ngram") ? DrafterResource(model: nil, proposer: NGramProposer(), target: target) : nil
    let drafting = [
      DraftingMethod(name: "ngram", drafter: lookup, sight: .nothing, gammas: [gamma] + auto),
      DraftingMethod(
        name: Setting.textOnly, drafter: try drafter("text", arguments, target), sight: .nothing,
        gammas: [gamma] + auto),
      DraftingMethod(
        name: "text-only-tuned", drafter: try drafter("tuned", arguments, target), sight: .nothing,
        gammas: [gamma] + auto),
      DraftingMethod(
        name: "fixed", drafter: try drafter("fixed", arguments, target), sight: .picture, gammas: [gamma] + auto),
      DraftingMethod(
        name: "phase1", drafter: try drafter("phase1", arguments, target), sight: .picture, gammas: [gamma]),
      DraftingMethod(name: Setting.massv, drafter: massv, sight: .picture, gammas: [gamma] + curve + auto),
      DraftingMethod(
        name: "massv-wrong-picture", drafter: arguments.flag("wrong-picture") ? massv : nil, sight: .otherPicture,
        gammas: [gamma]),
    ]
    return [DraftingMethod(name: Setting.plain, drafter: nil, sight: .nothing, gammas: [0])]
      + drafting.filter { $0.drafter != nil }
  }

  private static func drafter(
    _ name: String, _ arguments: Arguments, _ target: ModelResource
  ) throws(RunFailure) -> DrafterResource? {
    guard let drafter: DrafterResource = arguments.optionalResource(name), drafter.proposer != nil else { return nil }
    guard drafter.target.target.folder == target.target.folder else {
      throw RunFailure(
        .usage,
        "evaluate: \(name): expected a drafter for \(target.target.folder), found one for "
          + drafter.target.target.folder)
    }
    return drafter
  }

  /// The prompt as the method's drafter sees it; nil where it lacks the picture that it is to be shown.
  ///
  /// - Parameters:
  ///   - visual: the record's picture, nil where it has none.
  ///   - other: the one before it.
  func prompt(
    _ prompt: Prompt, _ visual: VisualFeatures?, other: VisualFeatures?
  ) throws(StageFailure) -> DraftPrompt? {
    guard let drafter else { return nil }
    var shown: VisualFeatures?
    switch sight {
    case .nothing: break
    case .picture: shown = visual
    case .otherPicture:
      guard visual != nil, other != nil else { return nil }
      shown = other
    }
    var projected: Tensor?
    if let shown { projected = try drafter.projected(shown, stage: "evaluate") }
    return drafter.prompt(prompt, projected: projected)
  }
}

/// A method at one γ and temperature, with what it has learnt of its own costs.
struct Contestant {
  let setting: Setting
  /// The place of its method.
  let method: Int
  let decoder: BatchDecoder
}
