/// A link that numbers what comes out of the one before it, which changed the order or number of records.
///
/// `Record.index` is a record's place among those that the outputs see. A resumed run's records are passed over here.
package final class Renumbered: Stage {
  private let upstream: any Stage
  private let passOver: PassOver
  private var index = 0

  /// Claims the passing over: to be made when the link before it is.
  package init(_ upstream: any Stage, _ context: RunContext) {
    self.upstream = upstream
    passOver = context.passOver(reordering: true)
  }

  package var isReady: Bool { upstream.isReady }

  package func next() throws(RunFailure) -> Record? {
    let done = passOver.count
    while var record = try upstream.next() {
      record.index = index
      try passOver.check(key: record.key, index: index)
      index += 1
      if index > done { return record }
    }
    try passOver.checkEnd(after: index)
    return nil
  }
}
