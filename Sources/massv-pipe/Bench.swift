import ArgumentParser
import CKernels
import Foundation
import JSON
import Messages
import Models
import Roofline
import Tensors

/// `massv-pipe bench`: this machine's roofline and the engine's place under it.
struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "This machine's roofline and the engine's place under it.",
    discussion: """
      A shape is measured with random weights, a model with its own. Passes over 1 to 16 rows are timed behind 512 tokens
      with the logits of all rows, in turn, and the medians printed.
      """)

  @Option(
    help: ArgumentHelp(
      "A shape (\(Shape.all.map(\.name).joined(separator: ", "))), a config.json, a model's folder or a .gguf file.",
      valueName: "shape"))
  var shape: [String] = []
  @Option(help: "Formats: f32 f16 bf16 q8 q4; of a model also stored.") var weights: [String] = []
  @Option(help: "Worker threads; by default one a processor.") var threads: Int?
  @Option(help: "The largest instruction set to use: generic, avx2, avx512 or neon.") var instructions: Instructions?
  @Option(help: "About how long the passes of each shape and format are timed.") var seconds: Double = 20
  @Flag(help: "One JSON object instead of a table.") var json = false

  enum Instructions: String, ExpressibleByArgument, CaseIterable {
    case generic, avx2, avx512, neon

    var level: Int32 {
      switch self {
      case .generic: MP_GENERIC
      case .avx2: MP_AVX2
      case .avx512: MP_AVX512
      case .neon: MP_NEON
      }
    }
  }

  func validate() throws {
    if let threads, !(1...1024).contains(threads) {
      throw ValidationError("--threads: expected a number from 1 to 1024, found \(threads)")
    }
    guard seconds > 0, seconds <= 3600 else {
      throw ValidationError("--seconds: expected a number up to 3600, found \(seconds)")
    }
    for name in weights where name != "stored" && WeightFormat(rawValue: name) == nil {
      let known = WeightFormat.allCases.map(\.rawValue).joined(separator: " ")
      throw ValidationError("--weights: expected stored or one of \(known), found \"\(name)\"")
    }
  }

  func run() throws {
    if let instructions { mp_limit_instructions(instructions.level) }
    let engine = Engine(threads: threads ?? ProcessInfo.processInfo.activeProcessorCount)
    let formats = weights.isEmpty ? ["bf16", "q8", "q4"] : weights
    // What cannot be read is said before anything is measured.
    let models = try shape.flatMap { name in
      try formats.map { format in (name, format, try orExit { try files(name, format, engine) }) }
    }
    let machine = Machine(engine)
    if !json { try say(table(machine)) }
    var timings: [ModelTiming] = []
    for (name, format, files) in models {
      let timing = try orExit {
        ModelTiming(
          shape: (name as NSString).lastPathComponent, weights: format, try files.family.load(files), seconds: seconds,
          engine)
      }
      timings.append(timing)
      if !json { try say(table(timing, machine)) }
    }
    if json { try say(String(decoding: line(machine, timings), as: UTF8.self)) }
  }

  private func orExit<R>(_ body: () throws -> R) throws -> R {
    do { return try body() } catch {
      complain("\(error)")
      throw ExitCode(66)
    }
  }

  private func files(_ name: String, _ format: String, _ engine: Engine) throws -> ModelFiles {
    let chosen = WeightFormat(rawValue: format)
    var isFolder: ObjCBool = false
    let exists = FileManager.default.fileExists(atPath: name, isDirectory: &isFolder)
    if name.hasSuffix(".gguf") || (exists && isFolder.boolValue) {
      return try ModelFiles(path: name, format: chosen, engine: engine)
    }
    let config = try Shape.config(name)
    guard let chosen else { throw ModelError("\(name): a shape has no stored weights, expected another --weights") }
    return ModelFiles(shape: config, format: chosen, engine: engine)
  }

  // MARK: Table

  private func table(_ machine: Machine) -> String {
    String(
      format: "%d threads, %@: reads %.1f GB/s, f32 %.0f GFLOP/s, fork and join %.2f µs\n", machine.threads,
      machine.instructions, machine.readBandwidth, machine.arithmetic, machine.forkJoin * 1e6)
  }

  private func table(_ timing: ModelTiming, _ machine: Machine) -> String {
    var text = String(
      format:
        "\n%@ %@: %.1f tokens/s, %.0f %% of %.1f GB/s; a prompt of 512 %.1f tokens/s, %.0f %% of the f32 peak",
      timing.shape, timing.weights, 1 / timing.token, 100 * timing.roof, timing.readBandwidth, timing.prefill,
      100 * timing.prefillShare(machine))
    if let vision = timing.vision { text += String(format: "; a picture of 448×448 %.2f s", vision) }
    let first = timing.forward[0].milliseconds
    text += "\n  rows  " + timing.forward.map { String(format: "%6d", $0.rows) }.joined()
    text += "\n  ms    " + timing.forward.map { String(format: "%6.1f", $0.milliseconds) }.joined()
    text += "\n  ratio " + timing.forward.map { String(format: "%6.2f", $0.milliseconds / first) }.joined()
    return text + "\n"
  }

  // MARK: JSON

  private func line(_ machine: Machine, _ timings: [ModelTiming]) -> [UInt8] {
    JSONWriter.line { all in
      all.key("machine")
      all.object { object in
        object.key("read_gbs")
        object.number(machine.readBandwidth, decimals: 1)
        object.key("f32_gflops")
        object.number(machine.arithmetic, decimals: 1)
        object.key("threads")
        object.integer(machine.threads)
        object.key("instructions")
        object.string(machine.instructions)
        object.key("fork_join_us")
        object.number(machine.forkJoin * 1e6, decimals: 2)
      }
      all.key("models")
      all.array { array in for timing in timings { array.object { write(timing, machine, &$0) } } }
    }
  }

  private func write(_ timing: ModelTiming, _ machine: Machine, _ object: inout JSONWriter) {
    object.key("shape")
    object.string(timing.shape)
    object.key("weights")
    object.string(timing.weights)
    object.key("decode_tps")
    object.number(1 / timing.token, decimals: 2)
    object.key("decode_roof")
    object.number(timing.roof, decimals: 3)
    object.key("read_gbs")
    object.number(timing.readBandwidth, decimals: 1)
    object.key("forward_ms")
    object.object { passes in
      for pass in timing.forward {
        passes.key("\(pass.rows)")
        passes.number(pass.milliseconds, decimals: 3)
      }
    }
    object.key("prefill512_tps")
    object.number(timing.prefill, decimals: 2)
    object.key("prefill_peak")
    object.number(timing.prefillShare(machine), decimals: 3)
    if let vision = timing.vision {
      object.key("vision448_s")
      object.number(vision, decimals: 3)
    }
  }
}
