import Pipeline

/// `repeat`: the whole stream again, epoch after epoch; the links before it are built anew for each.
enum Repeat {
  static let definition = StageDefinition(
    StageDeclaration(
      "repeat", .link, "the whole stream before it again, epoch after epoch",
      parameters: [
        ParameterDeclaration(
          "epochs", .integerOrAuto(1...(1 << 30)), "how often; auto for as long as the stages behind it want more")
      ],
      rebuilds: .upstream { $0.optionalInteger("epochs") })
  ) { inputs, context throws(RunFailure) in
    Renumbered(RepeatStage(inputs, context), context)
  }
}

private final class RepeatStage: Stage {
  private let context: RunContext
  /// nil for as many as are asked for.
  private let epochs: Int?
  private let rebuild: (() throws(RunFailure) -> any Stage)?
  private var upstream: any Stage
  private var epoch = 1
  private var isFinished = false
  /// Records of this epoch, and those among them that have not failed.
  private var records = 0
  private var soundRecords = 0

  init(_ inputs: StageInputs, _ context: RunContext) {
    self.context = context
    epochs = inputs.arguments.optionalInteger("epochs")
    rebuild = inputs.rebuildUpstream
    upstream = inputs.upstream
  }

  var isReady: Bool { upstream.isReady }

  func next() throws(RunFailure) -> Record? {
    while !isFinished {
      if var record = try upstream.next() {
        records += 1
        record.epoch = epoch
        if record.failure == nil { soundRecords += 1 }
        return record
      }
      // The stream also ends where the run does: that is no epoch's end.
      if context.isEnding { return nil }
      try beginEpoch()
    }
    return nil
  }

  private func beginEpoch() throws(RunFailure) {
    // Without an end that is set, an input in which nothing is sound would be read for ever.
    let isLast = epochs.map { epoch >= $0 || records == 0 } ?? (soundRecords == 0)
    // What the last epoch holds is let go before the next is built.
    upstream = EndOfStream()
    guard !isLast, let rebuild else {
      isFinished = true
      return
    }
    upstream = try rebuild()
    epoch += 1
    records = 0
    soundRecords = 0
  }
}
