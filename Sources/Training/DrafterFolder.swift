import Foundation
import JSON
import Models
import Tensors

/// How far a training run is: what `training/state.json` of a drafter's folder says.
package struct TrainingState: Sendable, Equatable {
  package var step = 0
  /// Records of the input that went into the steps, failed ones included.
  package var records = 0
  /// The last of them.
  package var lastKey: String?
  /// What is made small; nil in states that do not say.
  package var objective: Objective?

  package init(step: Int = 0, records: Int = 0, lastKey: String? = nil, objective: Objective? = nil) {
    self.step = step
    self.records = records
    self.lastKey = lastKey
    self.objective = objective
  }
}

/// How saved weights are stored.
package enum WeightStorage: String, Sendable, CaseIterable {
  case f32, bf16
  /// Matrices of the language model's layers in whole numbers with a scale for 32 of them, all else in bf16.
  case q8
}

/// A folder that a drafter is saved to: the drafter as it is loaded, and under `training/` what a run goes on from.
///
/// A state is written beside the folder and put in its place when all of it is on the disk: whatever happens, the folder
/// holds one whole state.
package struct DrafterFolder: Sendable {
  package let path: String
  /// Where the language model came from: its configuration and tokenizer are copied.
  private let source: String
  /// The target's `model_type`, and its folder.
  private let target: (family: String, folder: String)

  package init(path: String, source: String, target: TargetModel) {
    self.path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    self.source = source
    self.target = (target.family.modelType, target.folder)
  }

  private var statePath: String { path + "/training/state.json" }
  private var optimizerPath: String { path + "/training/optimizer.safetensors" }

  /// Throws where the path is something that this must not replace, or where weights cannot be stored in this way.
  package func check(_ student: Student, _ storage: WeightStorage) throws {
    let matrices = student.modelParameters.all.filter(Student.isLayerMatrix)
    if storage == .q8, let odd = matrices.first(where: { $0.shape[1] % 32 != 0 }) {
      throw ModelError(
        "\(source): storage=q8: tensor \"\(odd.name)\": expected columns in whole groups of 32, found shape \(odd.shape)"
      )
    }
    putBack()
    let manager = FileManager.default
    guard manager.fileExists(atPath: path) else {
      let parent = URL(fileURLWithPath: path).deletingLastPathComponent().path
      guard manager.fileExists(atPath: parent) else { throw ModelError("\(path): there is no folder \(parent)") }
      return
    }
    let isEmpty = (try? manager.contentsOfDirectory(atPath: path).isEmpty) ?? false
    guard manager.fileExists(atPath: statePath) || isEmpty else {
      throw ModelError("\(path): is there already and holds no training state: choose another name for what is saved")
    }
  }

  // MARK: Saving

  /// Writes the drafter and the run's state.
  ///
  /// - Parameter storage: what the weights are rounded to; the run goes on from its own numbers.
  package func save(_ student: Student, _ optimizer: AdamW, _ state: TrainingState, storage: WeightStorage) throws {
    let fresh = path + ".partial"
    let manager = FileManager.default
    try? manager.removeItem(atPath: fresh)
    do {
      try manager.createDirectory(atPath: fresh + "/training", withIntermediateDirectories: true)
      try copyFiles(to: fresh, withWeights: !student.changesModel)
      if student.changesModel {
        try write(student.modelParameters, to: fresh + "/model.safetensors", storage)
        if let configuration = try StoredConfiguration(folder: source).bytes(storage) {
          try durably(configuration, to: fresh + "/config.json")
        }
      }
      if let projector = student.projector {
        try write(student.projectorParameters, to: fresh + "/projector.safetensors", storage)
        try durably(massv(projector), to: fresh + "/massv.json")
      }
      try write(optimizer, to: fresh + "/training/optimizer.safetensors")
      try durably(json(state), to: fresh + "/training/state.json")
      for folder in [fresh + "/training", fresh] { try Self.synchronise(folder) }
      try exchange(fresh)
    } catch {
      try? manager.removeItem(atPath: fresh)
      throw error is WeightError || error is ModelError
        ? error : ModelError("\(path): cannot be saved: \(error.localizedDescription)")
    }
  }

  /// Everything that says what the language model is; its weights too where they are as they were.
  private func copyFiles(to fresh: String, withWeights: Bool) throws {
    let manager = FileManager.default
    for name in try manager.contentsOfDirectory(atPath: source).sorted() {
      let isWeights = name.hasSuffix(".safetensors") || name.hasSuffix(".safetensors.index.json")
      let isOurs = name == "massv.json" || name.hasPrefix("projector.") || name == "training"
      let isText = [".json", ".txt", ".model", ".jinja", ".md"].contains { name.hasSuffix($0) }
      guard !isOurs, isWeights ? withWeights : isText else { continue }
      let from = URL(fileURLWithPath: source + "/" + name).resolvingSymlinksInPath().path
      try manager.copyItem(atPath: from, toPath: fresh + "/" + name)
      try Self.synchronise(fresh + "/" + name)
    }
  }

  private func write(_ parameters: ParameterSet, to path: String, _ storage: WeightStorage) throws(WeightError) {
    let type: ElementType = storage == .f32 ? .f32 : .bf16
    let entries = parameters.all.flatMap { parameter in
      storage == .q8 && Student.isLayerMatrix(parameter)
        ? SafetensorsWriter.Entry.grouped(name: parameter.name, shape: parameter.shape, values: parameter.values)
        : [.init(name: parameter.name, shape: parameter.shape, type: type, values: parameter.storedValues)]
    }
    try SafetensorsWriter.write(entries, to: path)
  }

  private func write(_ optimizer: AdamW, to path: String) throws(WeightError) {
    let entries = zip(optimizer.parameters, optimizer.moments).flatMap { parameter, moments in
      [("value.", parameter.values), ("first.", moments.first), ("second.", moments.second)].map {
        SafetensorsWriter.Entry(name: $0.0 + parameter.name, shape: parameter.shape, type: .f32, values: $0.1)
      }
    }
    try SafetensorsWriter.write(entries, to: path)
  }

  private func durably(_ bytes: [UInt8], to path: String) throws {
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    try Self.synchronise(path)
  }

  /// Waits until a file, or what a folder lists, is on the disk.
  private static func synchronise(_ path: String) throws {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw ModelError("\(path): \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    // Some file systems have nothing to wait for.
    guard fsync(descriptor) == 0 || errno == EINVAL else {
      throw ModelError("\(path): \(String(cString: strerror(errno)))")
    }
  }

  private func massv(_ projector: Projector) -> [UInt8] {
    JSONWriter.line { writer in
      writer.key("format")
      writer.integer(1)
      writer.key("family")
      writer.string(target.family)
      writer.key("vision_width")
      writer.integer(projector.settings.inputs)
      writer.key("projector")
      writer.object { projector.settings.write(to: &$0) }
      writer.key("trained_for")
      writer.string(URL(fileURLWithPath: target.folder).lastPathComponent)
    }
  }

  private func json(_ state: TrainingState) -> [UInt8] {
    JSONWriter.line { writer in
      writer.key("format")
      writer.integer(1)
      writer.key("step")
      writer.integer(state.step)
      writer.key("records")
      writer.integer(state.records)
      if let key = state.lastKey {
        writer.key("last_key")
        writer.string(key)
      }
      if let objective = state.objective {
        writer.key("objective")
        writer.string(objective.rawValue)
      }
    }
  }

  /// Puts the new folder in the old one's place in one step of the file system, where that can.
  private func exchange(_ fresh: String) throws {
    let manager = FileManager.default
    let parent = URL(fileURLWithPath: path).deletingLastPathComponent().path
    guard manager.fileExists(atPath: path) else {
      try manager.moveItem(atPath: fresh, toPath: path)
      // The state is in its place: where its folder cannot be waited for, nothing is wrong with it.
      try? Self.synchronise(parent)
      return
    }
    if Self.exchanged(fresh, path) {
      try? Self.synchronise(parent)
      try? manager.removeItem(atPath: fresh)
    } else {
      try? manager.removeItem(atPath: old)
      try manager.moveItem(atPath: path, toPath: old)
      try manager.moveItem(atPath: fresh, toPath: path)
      try? Self.synchronise(parent)
      try? manager.removeItem(atPath: old)
    }
  }

  /// Where the folder stands for a moment, on file systems that cannot exchange two.
  private var old: String { path + ".replaced" }

  /// Puts a folder back that a kill left between two moves.
  private func putBack() {
    let manager = FileManager.default
    // Between the two, the new one stands beside it.
    if !manager.fileExists(atPath: path), manager.fileExists(atPath: path + ".partial"),
      manager.fileExists(atPath: old + "/training/state.json")
    {
      try? manager.moveItem(atPath: old, toPath: path)
    }
  }

  /// Linux's renameat2 with RENAME_EXCHANGE, which Swift's headers leave out; false where it cannot.
  private static func exchanged(_ one: String, _ other: String) -> Bool {
    typealias Rename = @convention(c) (Int32, UnsafePointer<CChar>, Int32, UnsafePointer<CChar>, UInt32) -> Int32
    guard let symbol = dlsym(nil, "renameat2") else { return false }
    return unsafeBitCast(symbol, to: Rename.self)(AT_FDCWD, one, AT_FDCWD, other, 2) == 0
  }

  // MARK: Going on

  /// The state that an earlier run left; nil where there is none.
  package func state() throws -> TrainingState? {
    guard let file = try ConfigReader.optional(path: statePath) else { return nil }
    guard try file.count("format") == 1 else { throw file.invalid("format", expected: "1") }
    guard let step = try file.integers("step")?.first, let records = try file.integers("records")?.first, step >= 0,
      records >= 0
    else { throw file.invalid("step", expected: "whole numbers of steps and records") }
    return TrainingState(
      step: step, records: records, lastKey: try file.text("last_key"),
      objective: try file.text("objective").flatMap { Objective(rawValue: $0) })
  }

  /// The name of the target that the drafter was trained for where it is another than this one's; nil else.
  package func otherTarget() throws(ModelError) -> String? {
    let known = try ConfigReader.optional(path: path + "/massv.json")?.text("trained_for")
    return known == URL(fileURLWithPath: target.folder).lastPathComponent ? nil : known
  }

  /// Puts weights and moments of the saved state into their places.
  package func restore(_ optimizer: AdamW, _ state: TrainingState) throws(WeightError) {
    let file = try SafetensorsFile(path: optimizerPath)
    let entries = Dictionary(file.entries.map { ($0.name, $0) }) { first, _ in first }
    guard entries.count == 3 * optimizer.parameters.count else {
      throw WeightError(
        "\(optimizerPath): expected \(3 * optimizer.parameters.count) tensors, found \(entries.count): "
          + "the run that is resumed trained other parts")
    }
    for (parameter, moments) in zip(optimizer.parameters, optimizer.moments) {
      let places = [("value.", parameter.values), ("first.", moments.first), ("second.", moments.second)]
      for (prefix, place) in places {
        let name = prefix + parameter.name
        guard let entry = entries[name], entry.shape == parameter.shape else {
          throw WeightError(
            "\(optimizerPath): tensor \"\(name)\": expected shape \(parameter.shape), found "
              + "\(entries[name].map { "\($0.shape)" } ?? "none")")
        }
        let values = try file.tensor(entry).values
        place.withMutable { out in
          values.withUnsafeBufferPointer { if let from = $0.baseAddress { out.update(from: from, count: place.count) } }
        }
      }
    }
    optimizer.step = state.step
  }
}
