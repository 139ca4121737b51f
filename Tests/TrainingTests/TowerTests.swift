import CKernels
import Foundation
import Models
import Tensors
import Testing

@testable import Training

/// Training a whole vision-language model: the loss falls along its gradient as fast as the gradient says.
@Suite struct TowerTests {
  static let models = ["Tests/Fixtures/models/random-target", "Tests/Fixtures/models/gemma3-hub"]

  private func student(_ model: String, _ parameters: ParameterSet, _ engine: Engine) throws -> Student {
    let files = try ModelFiles(path: root + "/" + model, engine: engine, parameters: parameters)
    let parts = try files.family.load(files)
    let tower = try #require(parts.vision as? any TrainableVision)
    return Student(language: parts.language, sight: .tower(tower), modelParameters: parameters)
  }

  /// Two pictures, of different sizes where the model allows that, and a text, with what their visual tokens show.
  private func examples(_ tower: any TrainableVision, _ model: String) -> [TrainingExample] {
    let grids =
      model.contains("gemma3")
      ? [PatchGrid(height: 4, width: 4), PatchGrid(height: 4, width: 4)]
      : [PatchGrid(height: 4, width: 6), PatchGrid(height: 10, width: 4)]
    var examples = grids.enumerated().map { index, grid in
      let count = tower.visualTokens(grid)
      let prompt = [5, 6] + Array(repeating: tower.imageToken, count: count) + [7, Int32(8 + index)]
      let width = tower.imagePlan.layout.width
      let values = (0..<grid.patches * width).map {
        Float(mp_mix(UInt64(index), UInt64($0)) >> 40) / Float(1 << 23) - 1
      }
      var example = TrainingExample(
        key: "\(index)", prompt: prompt, visual: 2..<2 + count,
        patches: (Tensor(rows: grid.patches, columns: width, values: values), grid),
        answer: [20, 21, Int32(30 + index)])
      let places = tower.positions(prompt, grid: grid)
      example.ownPositions = places.positions + [Position(places.next), Position(places.next + 1)]
      example.cells = (0..<Int32(count)).map { $0 % 5 - 1 }
      return example
    }
    examples.append(TrainingExample(key: "text", prompt: [9, 10], answer: [11, 12]))
    return examples
  }

  @Test(arguments: models) func theLossFallsAsItsGradientSays(model: String) throws {
    let engine = Engine(threads: 2)
    let parameters = ParameterSet()
    let student = try student(model, parameters, engine)
    student.train(Set(Student.Part.allCases))
    var losses = LossSettings()
    losses.cells = 0.5
    losses.cellKinds = 4
    let trainer = Trainer(
      student, losses: losses, optimizer: AdamW.Settings(),
      schedule: Schedule(peak: 0, shape: .constant, warmup: 0, steps: 1, least: 1), recomputes: false, engine)
    let batch = examples(try #require(student.tower), model)
    func total() -> Double {
      let sums = trainer.gatherGradients(batch, share: 1, cellShare: 0.5)
      return sums.loss + 0.5 * sums.cellLoss
    }
    _ = total()
    let gradients = trainer.optimizer.parameters.map { $0.gradient?.values ?? [] }
    #expect(gradients.allSatisfy { !$0.isEmpty })
    // Along the gradient of one part at a time, so that none hides behind another.
    let parts =
      model.contains("gemma3")
      ? [
        "patch_embedding", "position_embedding", "layer_norm", "encoder.layers", "post_layernorm", "projection_weight",
        "soft_emb_norm", "model.layers", "embed_tokens", "cells.",
      ] : ["visual.patch", "visual.blocks", "visual.merger", "model.layers", "embed_tokens", "cells."]
    for part in parts {
      let chosen = zip(trainer.optimizer.parameters, gradients).filter { $0.0.name.contains(part) }
      #expect(!chosen.isEmpty, "\(part)")
      let square = chosen.reduce(0) { $0 + $1.1.reduce(0) { $0 + Double($1) * Double($1) } }
      // The loss moves by a tenth: more would leave the slope, less would drown in rounding.
      let step = 0.1 / square
      func moved(_ sign: Double) -> Double {
        for (parameter, gradient) in chosen {
          parameter.values.withMutable { out in for i in gradient.indices { out[i] += Float(sign * step) * gradient[i] }
          }
        }
        return total()
      }
      let before = moved(-1)
      let after = moved(2)
      _ = moved(-1)
      let slope = (after - before) / (2 * step)
      print("\(part): \(slope) along the gradient, \(square) by its norm")
      #expect(abs(slope - square) < 0.02 * square, "\(part)")
    }
  }

  @Test func lessonsTeachTheTowerAlone() throws {
    let engine = Engine(threads: 2)
    let parameters = ParameterSet()
    let student = try student(Self.models[0], parameters, engine)
    student.train([.vision])
    var losses = LossSettings()
    (losses.answers, losses.cells, losses.cellKinds) = (0, 1, 4)
    let trainer = Trainer(
      student, losses: losses, optimizer: AdamW.Settings(),
      schedule: Schedule(peak: 0.003, shape: .constant, warmup: 0, steps: 1, least: 1), recomputes: false, engine)
    let before = parameters.all.map(\.values.values)
    let batch = examples(try #require(student.tower), Self.models[0])
    var known = 0.0
    for _ in 0..<120 { known = try trainer.step([batch]).cells?.known ?? 0 }
    #expect(known == 1)
    for (parameter, old) in zip(parameters.all, before) {
      let isTower = parameter.name.hasPrefix("visual.") && !parameter.name.contains("merger")
      #expect((parameter.values.values != old) == isTower, "\(parameter.name)")
    }
  }

  /// A larger model that shares a smaller one's tower begins with it; all else of it is random.
  @Test(arguments: models) func aModelWithoutWeightsBeginsWithAnothersTower(model: String) throws {
    let manager = FileManager.default
    let folder = manager.temporaryDirectory.path + "/massv-pipe-test-" + UUID().uuidString
    try manager.copyItem(atPath: root + "/" + model, toPath: folder)
    defer { try? manager.removeItem(atPath: folder) }
    func load(_ tower: String?) throws -> [Parameter] {
      let parameters = ParameterSet()
      let files = try ModelFiles(
        path: folder, engine: Engine(threads: 1), parameters: parameters, seed: 3, tower: tower)
      _ = try files.family.load(files)
      return parameters.all
    }
    #expect(throws: ModelError.self) { try load(root + "/" + model) }
    try manager.removeItem(atPath: folder + "/model.safetensors")
    let store = try WeightStore(folder: root + "/" + model)
    var same = 0
    for (parameter, random) in zip(try load(root + "/" + model), try load(nil)) {
      let isTower =
        parameter.name.hasPrefix("vision_tower.")
        || parameter.name.hasPrefix("visual.") && !parameter.name.hasPrefix("visual.merger.")
      if isTower {
        #expect(try parameter.values.values == store.tensor(parameter.name, shape: parameter.shape).values)
        same += 1
      } else {
        #expect(parameter.values.values == random.values.values, "\(parameter.name)")
      }
    }
    #expect(same > 20)
    let other = Self.models.first { $0 != model }
    #expect(throws: ModelError.self) { try load(other.map { root + "/" + $0 }) }
  }
}
