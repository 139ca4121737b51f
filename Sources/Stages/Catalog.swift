import Pipeline

extension Catalog {
  /// Every stage and every kind of `let`, in the order in which data passes them.
  package static let standard = Catalog(
    stages: [
      Read.definition,
      Scenes.definition,
      Repeat.definition,
      Shuffle.definition,
      Ask.definition,
      Cache.definition,
      Decode.definition,
      Encode.definition,
      Patch.definition,
      Project.definition,
      PromptStage.definition,
      Draft.definition,
      Verify.definition,
      Generate.definition,
      FactStage.definition,
      Label.definition,
      Batch.definition,
      Train.definition,
      Evaluate.definition,
      Emit.definition,
      Tee.definition,
      Limit.definition,
    ],
    resources: [
      ModelResource.definition,
      DrafterResource.definition,
      StudentResource.definition,
    ])
}
