import JSON
import Models
import Tensors
import Testing

@testable import Training

/// Losses and gradients against PyTorch in double precision, through whole tiny drafters of every family.
@Suite struct TorchTests {
  static let drafters = ["massv", "gemma3-massv", "llama-massv"]

  private func trainer(
    _ fixture: TorchFixture, language: Bool, objective: Objective = .nextToken, recomputes: Bool = false,
    threads: Int = 2
  ) throws -> Trainer {
    let settings = fixture.settings
    var losses = LossSettings()
    losses.objective = objective
    var optimizer = AdamW.Settings()
    optimizer.beta1 = try fixture.number(settings["beta1"])
    optimizer.beta2 = try fixture.number(settings["beta2"])
    optimizer.epsilon = try fixture.number(settings["eps"])
    optimizer.weightDecay = try fixture.number(settings["weight_decay"])
    optimizer.clip = try fixture.number(settings["clip"])
    let schedule = Schedule(
      peak: try fixture.number(settings["lr"]), shape: .cosine, warmup: 3, steps: 10,
      least: try fixture.number(settings["least"]))
    return Trainer(
      try fixture.student(updating: language), losses: losses, optimizer: optimizer, schedule: schedule,
      recomputes: recomputes, Engine(threads: threads))
  }

  /// ‖a − b‖ / ‖b‖.
  private func distance(_ a: [Float], _ b: [Float]) -> Double {
    let difference = zip(a, b).reduce(0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }
    return (difference / b.reduce(0) { $0 + Double($1) * Double($1) }).squareRoot()
  }

  private func check(_ parameters: ParameterSet, _ prefix: String, _ fixture: TorchFixture) throws {
    for parameter in parameters.all {
      let expected = try fixture.tensor(prefix + parameter.name)
      let found = try #require(parameter.gradient, "\(parameter.name) has no gradient").values
      #expect(found.count == expected.count)
      #expect(distance(found, expected) < 1e-4, "\(parameter.name)")
    }
  }

  @Test(arguments: drafters, [false, true])
  func everyGradientEqualsPyTorchs(name: String, recomputes: Bool) throws {
    let fixture = try TorchFixture(name)
    let trainer = try trainer(fixture, language: true, recomputes: recomputes)
    let batch = try fixture.batch(0)
    let tokens = batch.reduce(0) { $0 + $1.answer.count }
    let loss = trainer.gatherGradients(batch, share: 1 / Float(tokens)).loss / Double(tokens)
    let expected = try fixture.number(fixture.json["loss"])
    #expect(abs(loss - expected) < 1e-5 * expected)
    try check(trainer.student.modelParameters, "grad.language.", fixture)
    try check(trainer.student.projectorParameters, "grad.projector.", fixture)
    let norm = try fixture.number(fixture.json["grad_norm"])
    #expect(abs(trainer.optimizer.gradientNorm - norm) < 1e-4 * norm)
  }

  @Test(arguments: drafters) func distributionsOfTheTargetTeach(name: String) throws {
    let fixture = try TorchFixture(name)
    let trainer = try trainer(fixture, language: false, objective: .kl)
    let batch = try fixture.batch(0, teacher: true)
    let tokens = batch.reduce(0) { $0 + $1.answer.count }
    let loss = trainer.gatherGradients(batch, share: 1 / Float(tokens)).loss / Double(tokens)
    let expected = try fixture.number(fixture.json["kl"]?["loss"])
    #expect(abs(loss - expected) < 1e-4 * expected)
    try check(trainer.student.projectorParameters, "grad_kl.projector.", fixture)
  }

  @Test(arguments: drafters, [false, true])
  func tenStepsOfAdamWGoThePyTorchWay(name: String, language: Bool) throws {
    let fixture = try TorchFixture(name)
    let trainer = try trainer(fixture, language: language)
    let before = trainer.student.modelParameters.all.map(\.values.values)
    let run = fixture.json["steps"]?[language ? "projector+language" : "projector"]?["f64"]
    let steps = try #require(run?["steps"]?.array)
    for (index, expected) in steps.enumerated() {
      let report = try trainer.step([fixture.batch(index % 3)])
      let (loss, norm) = try (fixture.number(expected["loss"]), fixture.number(expected["grad_norm"]))
      #expect(abs(report.loss - loss) < 1e-4 * loss, "step \(report.step)")
      #expect(abs(report.gradientNorm - norm) < 1e-3 * norm, "step \(report.step)")
      #expect(abs(report.rate - (try fixture.number(expected["lr"]))) < 1e-9)
    }
    let after = try fixture.number(run?["loss_after"])
    #expect(abs(trainer.loss(try fixture.batch(0)) - after) < 1e-4 * after)
    // Phase 1 leaves the language model as it was, to the bit; phase 2 changes all of it.
    for (parameter, old) in zip(trainer.student.modelParameters.all, before) {
      #expect((parameter.values.values == old) != language, "\(parameter.name)")
    }
  }

  @Test func threadsAndAccumulationDoNotChangeABit() throws {
    let fixture = try TorchFixture("massv")
    func weights(threads: Int, recomputes: Bool) throws -> [[Float]] {
      let trainer = try trainer(fixture, language: true, recomputes: recomputes, threads: threads)
      for index in 0..<3 { _ = try trainer.step([fixture.batch(index)]) }
      return trainer.optimizer.parameters.map(\.values.values)
    }
    let one = try weights(threads: 1, recomputes: false)
    #expect(try weights(threads: 2, recomputes: false) == one)
    #expect(try weights(threads: 2, recomputes: true) == one)
  }
}
