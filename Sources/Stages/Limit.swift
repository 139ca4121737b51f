import Pipeline

/// `limit`: the first records, and no more are asked for.
enum Limit {
  static let definition = StageDefinition(
    StageDeclaration(
      "limit", .link, "the first records alone",
      parameters: [ParameterDeclaration("records", .integer(0...(1 << 50)), "how many records pass")])
  ) { inputs, context throws(RunFailure) in
    LimitStage(inputs.upstream, inputs.arguments.integer("records"), context.passOver(reordering: false))
  }
}

private final class LimitStage: Stage {
  private let upstream: any Stage
  private let limit: Int
  private let passOver: PassOver
  private var passed: Int?

  init(_ upstream: any Stage, _ limit: Int, _ passOver: PassOver) {
    self.upstream = upstream
    self.limit = limit
    self.passOver = passOver
  }

  var isReady: Bool { upstream.isReady }

  func next() throws(RunFailure) -> Record? {
    // Records that a resumed run passes over have passed here in the run before.
    let count = passed ?? passOver.count
    guard count < limit, let record = try upstream.next() else { return nil }
    passed = count + 1
    return record
  }
}
