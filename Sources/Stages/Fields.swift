import Images
import Models
import Pipeline
import Samples
import Scenes
import Speculation
import Tensors
import Training

/// What stages leave in a record, under the names that declarations and graphs use.
enum Field {
  /// The record's files in the order of the archive.
  static let members = Slot<[SampleMember]>("members")
  /// What the record asks, where `ask` has said so.
  static let question = Slot<String>("question")
  /// How the answer is drawn, and what the record shares with its siblings.
  static let sampling = Slot<Sampling>("sampling")
  /// The decoded picture; `encode` takes it out.
  static let image = Slot<Picture>("image")
  /// Facts about the picture that stay when its pixels are gone.
  static let imageFacts = Slot<ImageFacts>("image-facts")
  /// The frozen encoder's output.
  static let features = Slot<VisualFeatures>("features")
  /// What a tower in training reads of the picture.
  static let patches = Slot<PicturePatches>("patches")
  /// Visual tokens at the drafter's width.
  static let projected = Slot<Tensor>("projected")
  static let prompt = Slot<Prompt>("prompt")
  static let drafting = Slot<Drafting>("draft")
  static let answer = Slot<FinishedAnswer>("text")
  /// What a student learns of the record.
  static let example = Slot<TrainingExample>("example")
  /// How much of a text about the picture is right.
  static let facts = Slot<Facts>("facts")
  static let batch = Slot<ExampleBatch>("batch")
  /// That the record had failed before the branch that it is in.
  static let failedBeforeBranch = Slot<Bool>("failed-before-branch")
}

/// A picture's size and the file it came from.
struct ImageFacts: Sendable {
  let width: Int
  let height: Int
  /// The member that holds it.
  let field: String
  /// Seconds that it took to decode; almost none where a sibling has paid them.
  var seconds = 0.0
}

/// What the target is asked.
struct Prompt: Sendable {
  /// The question, as the pipe or the record has it.
  let text: String
  /// The rendered template's ids, with one for every visual token.
  let tokens: [Int32]
  /// Where the visual tokens stand, nil where there is no picture.
  let visual: Range<Int>?

  /// The ids with another number of visual tokens: a drafter may see fewer than its target.
  func replacingVisualTokens(_ token: Int32, by count: Int) -> [Int32] {
    guard let visual, visual.count != count else { return tokens }
    return tokens[..<visual.lowerBound] + Array(repeating: token, count: count) + tokens[visual.upperBound...]
  }
}

/// What the target answered.
struct FinishedAnswer: Sendable {
  let text: String
  let answer: Answer
  /// Whether the answer ended itself, and was not cut off.
  let isWhole: Bool
  /// Which of the answers to its question it is, and what it was drawn with.
  let sample: Int
  let temperature: Double
  let seed: Int
  /// Wall-clock seconds from reading the prompt to the last token.
  let seconds: Double
}

extension Record {
  /// How the picture was cut up, once it was: for an encoder that stays, or for a tower in training.
  var patchGrid: PatchGrid? { self[Field.features]?.grid ?? self[Field.patches]?.grid }

  /// The bytes of the member with this field name.
  func bytes(of field: String) -> [UInt8]? {
    self[Field.members]?.first { $0.field == field }?.bytes
  }
}
