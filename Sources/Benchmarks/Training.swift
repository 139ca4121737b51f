import CKernels
import Foundation
import Models
import Roofline
import Tensors
import Training

/// A training step of a small Qwen2 on 16 sequences of 256 tokens, every token learnt; training.py is PyTorch's on the
/// same shapes. TORCH, a Python with torch and transformers, runs the two in turn, each in processes of its own.
func benchmarkTraining() throws {
  let environment = ProcessInfo.processInfo.environment
  if environment["TRAINING_SIDE"] != nil { return print(try TrainingBench().json(steps: 5)) }
  guard let torch = environment["TORCH"] else { return print(try TrainingBench().json(steps: 5)) }
  let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path + "/training.py"
  for round in 1...3 {
    for (name, command) in [
      ("massv-pipe", [CommandLine.arguments[0], "training"]), ("PyTorch", [torch, script]),
    ] {
      let process = Process()
      process.executableURL = URL(fileURLWithPath: command[0])
      process.arguments = Array(command.dropFirst())
      process.environment = environment.merging(["TRAINING_SIDE": "1"]) { $1 }
      print("round \(round), \(name): ", terminator: "")
      fflush(nil)
      try process.run()
      process.waitUntilExit()
    }
  }
}

private struct TrainingBench {
  private let trainer: Trainer
  private let batch: [TrainingExample]
  private let threads: Int

  init() throws {
    let environment = ProcessInfo.processInfo.environment
    threads = environment["THREADS"].flatMap(Int.init) ?? 2
    let engine = Engine(threads: threads)
    let words = ParameterSet(isTrained: true)
    let files = ModelFiles(shape: try Shape.config("qwen2-28m"), format: .f32, engine: engine, parameters: words)
    let student = Student(
      language: try files.family.load(files).language, sight: .none, modelParameters: words)
    let sequence = 256
    batch = (0..<16).map { row in
      let ids = (0...sequence).map { Int32(mp_mix(UInt64(row), UInt64($0)) % 8192) }
      return TrainingExample(key: "\(row)", prompt: [ids[0]], answer: Array(ids.dropFirst()))
    }
    trainer = Trainer(
      student, optimizer: AdamW.Settings(),
      schedule: Schedule(peak: 1e-3, shape: .constant, warmup: 0, steps: 1, least: 1),
      recomputes: environment["RECOMPUTE"] != nil, engine)
  }

  func json(steps: Int) throws -> String {
    _ = try trainer.step([batch])
    let seconds = try (0..<steps).map { _ in try timed { _ = try trainer.step([batch]) } }.sorted()
    let weights = trainer.optimizer.parameters.reduce(0) { $0 + $1.values.count }
    return "{\"parameters\": \(weights), \"threads\": \(threads), "
      + "\"seconds_per_step\": \(formatted(seconds[steps / 2], 3)), \"steps\": \(steps), \"peak_mb\": \(peak())}"
  }

  /// Megabytes that the process has had at most, by Linux's account.
  private func peak() -> Int {
    let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
    return (line?.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int($0) } ?? 0) / 1024
  }
}
