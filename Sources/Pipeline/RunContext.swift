import Synchronization

/// What all stages of one run share: its options, its counters, and the wish to end.
public final class RunContext: Sendable {
  /// The command line's options for a run.
  public struct Options: Sendable {
    public var resume = false
    public var limit: Int?
    /// Worker threads, 1 or more.
    public var threads = 1
    /// Bytes that records in flight may take, nil without bound.
    public var memory: Int?

    public init() {}
  }

  public let options: Options
  public let meter: Meter
  private let wantsEnd = Atomic<Bool>(false)
  private let passOver = Atomic<Int>(0)

  public init(options: Options, meter: Meter = Meter()) {
    self.options = options
    self.meter = meter
  }

  /// Whether a signal asked the run to end after the record in hand.
  public var isEnding: Bool { wantsEnd.load(ordering: .relaxed) }

  /// Asks the run to end after the record in hand. Safe to call from a signal handler's thread.
  public func end() { wantsEnd.store(true, ordering: .relaxed) }

  /// How many input records a resumed run passes over: set by `emit` when its file is opened, read by `read` at the
  /// first pull (stages are made from the source on, and nothing is pulled before all are made).
  public var recordsToPassOver: Int {
    get { passOver.load(ordering: .relaxed) }
    set { passOver.store(newValue, ordering: .relaxed) }
  }
}
