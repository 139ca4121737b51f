import Foundation
import Pipeline

/// `tee ( … )`: every record also goes through a branch; what the branch makes of it stays there.
enum Tee {
  static let definition = StageDefinition(
    StageDeclaration("tee", .link, "every record through a branch as well", branch: .links)
  ) { inputs, context throws(RunFailure) in
    let split = Split(inputs.upstream)
    guard let branch = try inputs.branch?(BranchEnd(split), context) else { return inputs.upstream }
    return TeeStage(split, branch: branch, context)
  }
}

/// One stream read at two places: what the branch reads early waits for the main line, and the other way round.
///
/// A branch that reads ahead does so on a thread of its own: one of the two is served at a time.
private final class Split {
  private let lock = NSLock()
  private let upstream: any Stage
  private var mainQueue: [Record] = []
  private var branchQueue: [Record] = []
  private var branchHasEnded = false

  init(_ upstream: any Stage) { self.upstream = upstream }

  var isReady: Bool { isReady { !mainQueue.isEmpty } }
  var branchIsReady: Bool { isReady { !branchQueue.isEmpty } }
  var branchIsBehind: Bool { lock.withLock { !branchQueue.isEmpty } }

  /// Set once the branch wants nothing more.
  var branchIsDone: Bool {
    get { lock.withLock { branchHasEnded } }
    set { lock.withLock { branchHasEnded = newValue } }
  }

  /// While the other one is waiting for input, nothing is ready.
  private func isReady(_ isWaiting: () -> Bool) -> Bool {
    guard lock.try() else { return false }
    defer { lock.unlock() }
    return isWaiting() || upstream.isReady
  }

  func nextForMain() throws(RunFailure) -> Record? {
    lock.lock()
    defer { lock.unlock() }
    if mainQueue.isEmpty {
      guard let record = try upstream.next() else { return nil }
      if !branchHasEnded { branchQueue.append(record) }
      return record
    }
    return mainQueue.removeFirst()
  }

  func nextForBranch() throws(RunFailure) -> Record? {
    lock.lock()
    defer { lock.unlock() }
    if branchQueue.isEmpty {
      guard let record = try upstream.next() else { return nil }
      mainQueue.append(record)
      return record
    }
    return branchQueue.removeFirst()
  }
}

private final class BranchEnd: Stage {
  private let split: Split

  init(_ split: Split) { self.split = split }

  var isReady: Bool { split.branchIsReady }

  func next() throws(RunFailure) -> Record? {
    guard var record = try split.nextForBranch() else { return nil }
    // Such a record is counted where the main line ends.
    if record.failure != nil { record[Field.failedBeforeBranch] = true }
    return record
  }
}

private final class TeeStage: Stage {
  private let split: Split
  private let branch: any Stage
  private let context: RunContext

  init(_ split: Split, branch: any Stage, _ context: RunContext) {
    self.split = split
    self.branch = branch
    self.context = context
  }

  var isReady: Bool { split.isReady }

  func next() throws(RunFailure) -> Record? {
    let record = try split.nextForMain()
    // The branch keeps step with the main line, and at the end of the stream goes to its own end.
    while !split.branchIsDone, record == nil || split.branchIsBehind {
      guard let done = try branch.next() else {
        split.branchIsDone = true
        break
      }
      if done.failure != nil, done[Field.failedBeforeBranch] == nil { context.meter.count("failed") }
    }
    return record
  }
}
