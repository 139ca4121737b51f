import Models
import Tensors

/// One answer to learn: what the drafter reads, and what it should have written behind it.
package struct TrainingExample: Sendable {
  /// Names the record, for messages.
  package var key: String
  /// The prompt as the drafter sees it, with one id for each of its visual tokens.
  package var prompt: [Int32]
  /// Where in the prompt the visual tokens stand, nil where there is no picture.
  package var visual: Range<Int>?
  /// The target's features of the picture, and how they lie on it.
  package var features: (values: Tensor, grid: VisualGrid)?
  /// A picture's patches, for a model that is trained together with its tower.
  package var patches: (values: Tensor, grid: PatchGrid)?
  /// What a visual token shows, by number, for the tower's own lessons; -1 where nobody knows.
  package var cells: [Int32]?
  /// Positions of the rows where they do not simply count.
  package var ownPositions: [Position]?
  /// What is learnt: the loss is on these alone.
  package var answer: [Int32]
  /// The target's own distribution at each place of the answer, where it was kept.
  package var teacher: [TeacherRow]?

  package init(
    key: String, prompt: [Int32], visual: Range<Int>? = nil, features: (values: Tensor, grid: VisualGrid)? = nil,
    patches: (values: Tensor, grid: PatchGrid)? = nil, answer: [Int32], teacher: [TeacherRow]? = nil
  ) {
    self.key = key
    self.prompt = prompt
    self.visual = visual
    self.features = features
    self.patches = patches
    self.answer = answer
    self.teacher = teacher
  }

  /// Rows that the language model computes: the answer's last token is not read.
  package var rows: Int { prompt.count + answer.count - 1 }

  /// The rows' positions.
  var positions: [Position] { ownPositions ?? (0..<rows).map { Position($0) } }
}

/// The likeliest tokens at one place of an answer and their probabilities in the target.
package struct TeacherRow: Sendable, Equatable {
  package var ids: [Int32]
  package var probabilities: [Float]

  package init(ids: [Int32], probabilities: [Float]) {
    self.ids = ids
    self.probabilities = probabilities
  }
}
