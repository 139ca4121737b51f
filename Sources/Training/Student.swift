import Models
import Tensors

/// A drafter in training: the language model and, unless it learns from text alone, the projector.
package struct Student: Sendable {
  package let language: any LanguageModel
  package let projector: Projector?
  package let languageParameters: ParameterSet
  package let projectorParameters: ParameterSet

  package init(
    language: any LanguageModel, projector: Projector?, languageParameters: ParameterSet,
    projectorParameters: ParameterSet
  ) {
    self.language = language
    self.projector = projector
    self.languageParameters = languageParameters
    self.projectorParameters = projectorParameters
  }

  /// What training changes.
  package var trained: [Parameter] { (projectorParameters.all + languageParameters.all).filter(\.isTrained) }

  /// Reads examples side by side, each a sequence of its own, without padding: → the last hidden states [rows, hidden].
  func hiddenStates(of batch: [TrainingExample], _ engine: Engine) -> Tensor {
    var tokens: [Int32] = []
    var places: [Int] = []
    var spans: [DecoderSpan] = []
    for example in batch {
      if let visual = example.visual { places += visual.map { tokens.count + $0 } }
      tokens += example.prompt + example.answer.dropLast()
      spans.append(DecoderSpan(cache: nil, positions: (0..<example.rows).map { Position($0) }))
    }
    var x = language.embed(tokens, engine)
    let pictures = batch.compactMap(\.features)
    if let projector, !pictures.isEmpty {
      let visual = projector(pictures.map { (features: $0.values, grid: $0.grid) }, engine)
      x = replacing(places, of: x, by: visual, engine)
    }
    return language.hiddenStates(x, spans: spans, engine)
  }
}
