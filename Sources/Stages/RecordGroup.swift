import Pipeline
import Synchronization

/// Names what one stage makes for all records of a group together. Each stage that shares has one of its own, so that
/// two stages of a kind do not take each other's.
final class SharedWork: Sendable {}

/// Records that have something in common, such as their picture: what a stage makes of it for the first of them serves
/// the others too.
///
/// The records hold their group, and it goes with the last of them. What a stage has made goes sooner, once as many
/// records as there are have taken it.
final class RecordGroup: Sendable {
  private struct Made {
    /// Kept, so that no other work gets its identity meanwhile.
    let work: SharedWork
    let result: Result<any Sendable, StageFailure>
    /// Records that have not taken it yet.
    var waiting: Int
  }

  let members: Int
  private let made = Mutex<[ObjectIdentifier: Made]>([:])

  /// - Parameter members: how many records there are.
  init(members: Int) { self.members = members }

  /// What `body` made for the first record that came here with this work, or what it failed with.
  ///
  /// A stage's records come one after the other: nobody waits here for another's `body`.
  func once<Value: Sendable>(
    _ work: SharedWork, _ body: () throws(StageFailure) -> Value
  ) throws(StageFailure) -> Value {
    if let found = taken(work), let value = try found.get() as? Value { return value }
    let result: Result<Value, StageFailure>
    do throws(StageFailure) { result = .success(try body()) } catch { result = .failure(error) }
    if members > 1 {
      let entry = Made(work: work, result: result.map { $0 }, waiting: members - 1)
      made.withLock { $0[ObjectIdentifier(work)] = entry }
    }
    return try result.get()
  }

  private func taken(_ work: SharedWork) -> Result<any Sendable, StageFailure>? {
    made.withLock { made in
      let id = ObjectIdentifier(work)
      guard var entry = made[id] else { return nil }
      entry.waiting -= 1
      made[id] = entry.waiting > 0 ? entry : nil
      return entry.result
    }
  }
}

extension Record {
  /// What `body` makes of the record's picture, once for all records that have it.
  func oncePerPicture<Value: Sendable>(
    _ work: SharedWork, _ body: () throws(StageFailure) -> Value
  ) throws(StageFailure) -> Value {
    guard let group = self[Field.sampling]?.picture else { return try body() }
    return try group.once(work, body)
  }

  /// What `body` makes of the record's picture and question, once for all samples of the answer.
  func oncePerQuestion<Value: Sendable>(
    _ work: SharedWork, _ body: () throws(StageFailure) -> Value
  ) throws(StageFailure) -> Value {
    guard let group = self[Field.sampling]?.question else { return try body() }
    return try group.once(work, body)
  }
}
