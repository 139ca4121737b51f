import Foundation
import Images
import Messages
import Models
import PipeLanguage
import Pipeline
import Samples

/// `cache ( … )`: the frozen encoder's features from a file, by the picture's bytes; the branch makes what is not there.
enum Cache {
  static let definition = StageDefinition(
    StageDeclaration(
      "cache", .link, "visual features kept in a file; the branch makes those that are not there yet",
      reads: [Field.members.name], writes: [Field.features.name, "width", "height", "sha256"],
      parameters: [
        ParameterDeclaration("path", .path(optional: true), "the file that keeps them, or none"),
        ParameterDeclaration("model", .reference("model"), "the target whose encoder the branch runs"),
        ParameterDeclaration("field", .text, optional: true, "the member that is decoded; else jpg, jpeg, png or webp"),
        ParameterDeclaration(
          "max-bytes", .bytes, default: "16G", "bytes that the file may have; then nothing more is added"),
      ],
      branch: .links, rebuilds: .branch, keepsFile: true, faults: { faults($0) })
  ) { inputs, context throws(RunFailure) in
    try CacheStage(inputs, context)
  }

  /// A branch that makes no features, or those of another model than the file is for.
  private static func faults(_ bound: BoundCall) -> [Diagnostic] {
    let makers = (bound.branch ?? []).filter { $0.definition.declaration.writes.contains(Field.features.name) }
    let name = bound.call.name
    guard !makers.isEmpty else {
      return [
        Diagnostic(
          "\"cache\" keeps \"\(Field.features.name)\", which its branch does not write", at: name.origin,
          hint: "such as: cache path=FILE model=NAME ( decode | encode model=NAME )")
      ]
    }
    return makers.compactMap { maker in
      guard let own = reference(bound), let its = reference(maker), own != its else { return nil }
      return Diagnostic(
        "\"\(maker.call.name.text)\" has model \"\(its)\", \"cache\" around it \"\(own)\"", at: maker.call.name.origin)
    }
  }

  private static func reference(_ bound: BoundCall) -> String? {
    if case .reference(let name)? = bound.arguments.values["model"] { name } else { nil }
  }
}

private final class CacheStage: Stage {
  private let upstream: any Stage
  private let context: RunContext
  private let branch: BranchBuilder
  private let vision: any VisionModel
  private let fields: [String]
  /// nil where nothing is kept.
  private var store: ContentStore?
  private var found = 0
  private var made = 0
  private var hasNotedDamage = false

  init(_ inputs: StageInputs, _ context: RunContext) throws(RunFailure) {
    let resource: ModelResource = inputs.arguments.resource("model")
    let target = resource.target
    let vision = try resource.sight(for: "cache")
    guard let branch = inputs.branch else { throw RunFailure(.internal, "cache: its branch is missing") }
    upstream = inputs.upstream
    self.context = context
    self.branch = branch
    self.vision = vision
    fields = inputs.arguments.optionalText("field").map { [$0.lowercased()] } ?? PictureFormat.fields
    // What is wrong with the branch's links is said before the first record.
    _ = try branch(EndOfStream(), context.repeating)
    guard let path = inputs.arguments.optionalText("path") else { return }
    try context.files.write(path, by: "cache", shares: true)
    do {
      let fingerprint = try EncoderFingerprint.digest(
        path: target.folder, vision: resource.visionPath, weights: resource.weights,
        maximumPixels: resource.maximumPixels)
      let store = try ContentStore(
        path: path, fingerprint: fingerprint, maximumBytes: inputs.arguments.integer("max-bytes"))
      for note in store.notes { say(note) }
      self.store = store
    } catch {
      throw RunFailure(.unreadable, "cache: \(error)")
    }
  }

  private func say(_ note: String) { complain("cache: \(note)") }

  var isReady: Bool { upstream.isReady }

  func next() throws(RunFailure) -> Record? {
    guard let record = try upstream.next() else { return nil }
    defer { if store != nil { context.meter.note("cache", "\(found) found, \(made) made") } }
    let field = fields.first { record.bytes(of: $0) != nil }
    guard let store, record.failure == nil, let field, let bytes = record.bytes(of: field) else {
      return try throughBranch(record, hashed: field)
    }
    let started = ContinuousClock.now
    let key = ContentKey(of: bytes)
    let kept = find(key, in: store)
    context.meter.add(seconds: ContinuousClock.now - started, to: "cache")
    if let kept {
      found += 1
      return filled(record, kept.visual, ImageFacts(width: kept.width, height: kept.height, field: field))
    }
    guard let result = try throughBranch(record, hashed: field) else { return nil }
    if let visual = result[Field.features], let facts = result[Field.imageFacts] {
      made += 1
      keep(KeptFeatures(visual: visual, width: facts.width, height: facts.height), under: key, in: store)
    }
    return result
  }

  // MARK: The file

  private func find(_ key: ContentKey, in store: ContentStore) -> KeptFeatures? {
    var place: String?
    switch store.find(key) {
    case .nothing: return nil
    case .damaged(let offset): place = "the entry at byte \(offset)"
    case .content(let content):
      if let kept = KeptFeatures(head: content.head, body: content.body, of: vision) { return kept }
    }
    if !hasNotedDamage { say("\(place ?? "an entry") is damaged: its features are made again") }
    hasNotedDamage = true
    return nil
  }

  private func keep(_ kept: KeptFeatures, under key: ContentKey, in store: ContentStore) {
    let started = ContinuousClock.now
    defer { context.meter.add(seconds: ContinuousClock.now - started, to: "cache") }
    guard let head = kept.head, let note = kept.withBody({ store.add(key, head: head, body: $0) }) else { return }
    say(note)
  }

  // MARK: The branch

  /// The record with what a branch of its own makes of it.
  ///
  /// - Parameter field: the member under whose bytes the features are kept.
  private func throughBranch(_ record: Record, hashed field: String?) throws(RunFailure) -> Record? {
    // Each record has a chain of its own, which ends with it: whatever reads ahead in there waits for no other record.
    let chain = try branch(OneRecord(record), context.repeating)
    let first = try chain.next()
    let second = first == nil ? nil : try chain.next()
    guard let result = first, second == nil else {
      if context.isEnding { return nil }
      throw RunFailure(
        .usage,
        "cache: record \(record.key): its branch makes \(first == nil ? "no record" : "more than one record") of one")
    }
    if let failure = result.failure {
      var failed = record
      failed.failure = failure
      return failed
    }
    guard let visual = result[Field.features], let facts = result[Field.imageFacts] else { return record }
    guard store == nil || facts.field == field else {
      throw RunFailure(
        .usage,
        "cache: record \(record.key): \"decode\" reads its .\(facts.field), \"cache\" looks for "
          + "\(fields.map { "." + $0 }.joined(separator: ", ")); give both the same field=")
    }
    return filled(record, visual, facts)
  }

  /// A record is the same whether its features were found or made; the pixels are gone in both.
  private func filled(_ record: Record, _ visual: VisualFeatures, _ facts: ImageFacts) -> Record {
    var record = record
    record.footprint += visual.byteCount - (record[Field.image]?.rgb.count ?? 0)
    record[Field.features] = visual
    record[Field.imageFacts] = facts
    record[Field.image] = nil
    return record
  }
}

/// A stream of one record.
private final class OneRecord: Stage {
  private var record: Record?

  init(_ record: Record) { self.record = record }

  func next() throws(RunFailure) -> Record? {
    defer { record = nil }
    return record
  }
}
