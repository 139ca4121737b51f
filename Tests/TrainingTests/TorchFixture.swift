import Foundation
import JSON
import Models
import Tensors
import Testing

@testable import Training

let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent().path

/// What Tests/Fixtures/make_gradients.py found with PyTorch, for one drafter.
struct TorchFixture {
  let name: String
  let json: JSONValue
  let settings: JSONValue
  let file: SafetensorsFile

  init(_ name: String) throws {
    self.name = name
    let expected = root + "/Tests/Fixtures/expected/"
    let all = try JSONValue(parsing: Array(Data(contentsOf: URL(fileURLWithPath: expected + "gradients.json"))))
    json = try #require(all["drafters"]?[name])
    settings = try #require(all["adamw"])
    file = try SafetensorsFile(path: expected + (json["safetensors"]?.string ?? ""))
  }

  func tensor(_ name: String) throws -> [Float] {
    let entry = try #require(file.entries.first { $0.name == name }, "\(name)")
    return try file.tensor(entry).values
  }

  func number(_ value: JSONValue?) throws -> Double { try #require(value?.double) }

  private func ids(_ value: JSONValue?) -> [Int32] { (value?.array ?? []).compactMap(\.int).map { Int32($0) } }

  private func numbers(_ value: JSONValue) -> [Float] { (value.array ?? []).compactMap(\.double).map { Float($0) } }

  /// The drafter with its weights taken up to be trained.
  func student(updating language: Bool) throws -> Student {
    let folder = root + "/Tests/Fixtures/models/" + name
    let engine = Engine(threads: 2)
    let (words, visual) = (ParameterSet(isTrained: language), ParameterSet(isTrained: true))
    let files = try ModelFiles(path: folder, engine: engine, parameters: words)
    let model = try files.family.load(files).language
    let massv = try ConfigReader(path: folder + "/massv.json")
    let projector = try Projector(
      ProjectorSettings(massv, outputs: model.configuration.hidden),
      WeightLoader(WeightStore(folder: folder, name: "projector"), engine, parameters: visual))
    return Student(
      language: model, sight: .projector(projector), modelParameters: words, projectorParameters: visual)
  }

  /// The examples of a batch; `teacher` adds the kept distributions to the first.
  func batch(_ index: Int, teacher: Bool = false) throws -> [TrainingExample] {
    let examples = try #require(json["batches"]?.array?[index].array)
    return try examples.enumerated().map { place, example in
      var result = TrainingExample(
        key: "\(index)-\(place)", prompt: ids(example["prompt_ids"]), answer: ids(example["answer_ids"]))
      if let visual = example["visual"]?.array?.compactMap(\.int), let features = example["features"]?.string {
        result.visual = visual[0]..<visual[1]
        let values = try tensor(features)
        let rows = visual[1] - visual[0]
        result.features = (
          Tensor(rows: rows, columns: values.count / rows, values: values), VisualGrid(height: 1, width: rows)
        )
      }
      if teacher, let rows = json["kl"]?["teacher"]?.array?[place] {
        let (allIDs, shares) = (rows["ids"]?.array ?? [], rows["p"]?.array ?? [])
        result.teacher = allIDs.indices.map { TeacherRow(ids: ids(allIDs[$0]), probabilities: numbers(shares[$0])) }
      }
      return result
    }
  }
}
