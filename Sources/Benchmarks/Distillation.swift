import Foundation
import Models
import Roofline
import Speculation
import Tensors

/// What four answers to a question about a picture cost before their first tokens, beside one: the picture is encoded
/// once and the prompt read once.
///
/// Random weights of a published shape (TARGET) in WEIGHTS; a picture of 448 by 448 pixels with 32 tokens of text.
func benchmarkDistillation() throws {
  let environment = ProcessInfo.processInfo.environment
  let engine = Engine(threads: ProcessInfo.processInfo.activeProcessorCount)
  let name = environment["TARGET"] ?? "qwen2.5-vl-3b"
  let format = environment["WEIGHTS"].flatMap(WeightFormat.init) ?? .q8
  let files = ModelFiles(shape: try Shape.config(name), format: format, engine: engine)
  let parts = try files.family.load(files)
  guard let vision = parts.vision else {
    throw ModelError("distillation: expected a shape that sees pictures, found \(name)")
  }
  let bench = try DistillationBench(language: parts.language, vision: vision, engine: engine)
  let seconds = try interleaved(3, [{ timed { bench.open(answers: 1) } }, { timed { bench.open(answers: 4) } }])
  print(
    "distillation: \(name) \(format.rawValue): encoding and reading the prompt takes \(formatted(seconds[0])) s for one "
      + "answer, \(formatted(seconds[1])) s for four, \(formatted(seconds[1] / seconds[0], 3)) times as long")
}

private struct DistillationBench {
  let language: any LanguageModel
  let vision: any VisionModel
  let engine: Engine
  let patches: Tensor
  let grid: PatchGrid
  let prompt: [Int32]

  init(language: any LanguageModel, vision: any VisionModel, engine: Engine) throws {
    self.language = language
    self.vision = vision
    self.engine = engine
    let layout = vision.imagePlan.layout
    let target = try vision.imagePlan.target(height: 448, width: 448)
    grid = PatchGrid(height: target.usedHeight / layout.size, width: target.usedWidth / layout.size)
    patches = Tensor(rows: grid.patches, columns: layout.width)
    patches.withMutable { [count = patches.count] in
      for index in 0..<count { $0[index] = Float(index % 97) / 97 - 0.5 }
    }
    let words = (0..<16).map { Int32(100 + $0) }
    prompt = words + Array(repeating: vision.imageToken, count: vision.visualTokens(grid)) + words
  }

  /// Encodes the picture once and opens so many answers, as the stages do.
  func open(answers: Int) {
    var settings = SamplingSettings(vocabulary: language.configuration.vocabulary)
    settings.temperature = 1
    settings.topP = 0.95
    let decoder = BatchDecoder(
      target: language, rules: ChoiceRules(sampling: settings, seed: 0, stops: []), engine: engine)
    let prefix = SharedPrefix(answers: answers)
    let features = vision.features(patches, grid: grid, engine)
    let places = vision.positions(prompt, grid: grid)
    let sessions = (0..<answers).map { sample in
      let embeddings =
        prefix.holds(prompt)
        ? Tensor(rows: 0, columns: 0)
        : language.embed(prompt, visual: vision.project(features, engine), placeholder: vision.imageToken)
      return decoder.open(
        DecodeRequest(
          key: "0", prompt: prompt, embeddings: embeddings, positions: places.positions, nextPosition: places.next,
          maximumTokens: 128, sampling: AnswerSampling(sample: sample), prefix: prefix))
    }
    precondition(decoder.promptsRead == 1, "the prompt was read more than once")
    withExtendedLifetime(sessions) {}
  }
}
