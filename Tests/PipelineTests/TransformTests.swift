import Pipeline
import Testing

private final class Source: Stage {
  private var left: [Record]
  init(_ records: [Record]) { left = records.reversed() }
  func next() throws(RunFailure) -> Record? { left.popLast() }
}

@Test func aFailureCostsItsRecordAlone() throws {
  let records = (0..<3).map { Record(key: "r\($0)", shard: "-", index: $0) }
  let slot = Slot<Int>("doubled")
  let stage = Transform("double", upstream: Source(records), meter: Meter()) { record throws(StageFailure) in
    if record.index == 1 { throw StageFailure(stage: "double", message: "odd one") }
    record[slot] = record.index * 2
  }
  var seen: [(Int?, String?)] = []
  while let record = try stage.next() { seen.append((record[slot], record.failure?.message)) }
  #expect(seen.map(\.0) == [0, nil, 4])
  #expect(seen.map(\.1) == [nil, "odd one", nil])
}
