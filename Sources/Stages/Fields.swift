import Images
import Models
import Pipeline
import Samples
import Speculation
import Tensors

/// What stages leave in a record, under the names that declarations and graphs use.
enum Field {
  /// The record's files in the order of the archive.
  static let members = Slot<[SampleMember]>("members")
  /// The decoded picture; `encode` takes it out.
  static let image = Slot<Picture>("image")
  /// Facts about the picture that stay when its pixels are gone.
  static let imageFacts = Slot<ImageFacts>("image-facts")
  /// The frozen encoder's output.
  static let features = Slot<VisualFeatures>("features")
  /// Visual tokens at the drafter's width.
  static let projected = Slot<Tensor>("projected")
  static let prompt = Slot<Prompt>("prompt")
  static let drafting = Slot<Drafting>("draft")
  static let answer = Slot<FinishedAnswer>("text")
}

/// A picture's size and the file it came from.
struct ImageFacts: Sendable {
  let width: Int
  let height: Int
  /// The member that holds it.
  let field: String
}

/// A picture as the target's frozen encoder sees it.
struct VisualFeatures: Sendable {
  /// [visual tokens, featureWidth].
  let features: Tensor
  let grid: PatchGrid

  /// Bytes that the features take.
  var byteCount: Int { features.count * MemoryLayout<Float>.size }
}

/// What the target is asked.
struct Prompt: Sendable {
  /// The question, as the pipe or the record has it.
  let text: String
  /// The rendered template's ids, with one for every visual token.
  let tokens: [Int32]
  /// Where the visual tokens stand, nil where there is no picture.
  let visual: Range<Int>?
}

/// What the target answered.
struct FinishedAnswer: Sendable {
  let text: String
  let answer: Answer
  /// Wall-clock seconds from reading the prompt to the last token.
  let seconds: Double
}

extension Record {
  /// The bytes of the member with this field name.
  func bytes(of field: String) -> [UInt8]? {
    self[Field.members]?.first { $0.field == field }?.bytes
  }
}
