import Pipeline
import Testing

private final class Source: Stage {
  private var left: [Record]
  init(_ keys: [String]) { left = keys.reversed().map { Record(key: $0, shard: "-", index: 7) } }
  func next() throws(RunFailure) -> Record? { left.popLast() }
}

private func point(_ records: Int, _ key: String? = nil) -> ResumePoint {
  ResumePoint(output: "out", records: records, lastKey: key)
}

private func indices(_ stage: any Stage) throws -> [Int] {
  var found: [Int] = []
  while let record = try stage.next() { found.append(record.index) }
  return found
}

@Test func theLastStageThatChangesOrderPassesOver() throws {
  let context = RunContext(options: .init())
  let read = context.passOver(reordering: true)
  let shuffle = Renumbered(Source(["a", "b", "c", "d"]), context)
  let limit = context.passOver(reordering: false)
  context.add(point(3, "c"))
  context.add(point(2, "b"))
  #expect(read.count == 0 && limit.count == 2)
  #expect(try indices(shuffle) == [2, 3])
}

@Test func linksThatAreBuiltAgainPassOverNothing() throws {
  let context = RunContext(options: .init())
  _ = context.passOver(reordering: true)
  let shuffle = Renumbered(Source(["a", "b", "c"]), context)
  context.add(point(1, "a"))
  #expect(context.repeating.passOver(reordering: true).count == 0)
  #expect(context.repeating.passOver(reordering: false).count == 0)
  #expect(try indices(shuffle) == [1, 2])
}

@Test func outputsBesideAndBeforeAStageAreNotItsOwn() throws {
  let context = RunContext(options: .init())
  let read = context.passOver(reordering: true)
  // An output before the shuffle and one in a branch with a shuffle of its own, then the main line's.
  context.add(point(1, "x"))
  let branch = try context.aside { () throws(RunFailure) in
    let stage = Renumbered(Source(["b", "a", "c"]), context)
    context.add(point(2, "a"))
    return stage
  }
  context.add(point(3, "y"))
  #expect(read.count == 0)
  #expect(try indices(branch) == [2])
}

@Test func anotherLastRecordOrTooShortAStreamIsAnError() {
  let context = RunContext(options: .init())
  let stage = Renumbered(Source(["a", "b", "c"]), context)
  context.add(point(2, "c"))
  #expect(throws: RunFailure.self) { try indices(stage) }
  let short = RunContext(options: .init())
  let cut = Renumbered(Source(["a", "b"]), short)
  short.add(point(3, "c"))
  #expect(throws: RunFailure.self) { try indices(cut) }
}
