import Foundation

/// What an interrupted run left in its output: which records are whole, and where the file goes on.
package struct Remains: Sendable, Equatable {
  /// Whole records.
  package var records = 0
  /// Bytes of the file that stay.
  package var keptBytes = 0
  /// Whole records of the last frame of a compressed file, which is written again.
  package var openFrame: [[UInt8]] = []
  /// The last whole record's line; of a tar, what a failed sample's says.
  package var lastRecord: [UInt8]?
  /// The last whole sample's key; tar only.
  package var lastKey: String?

  package init(records: Int = 0, keptBytes: Int = 0) {
    self.records = records
    self.keptBytes = keptBytes
  }

  /// How an output is cut into records.
  package enum Layout: Sendable {
    case lines, tar
  }

  /// Reads what a file holds.
  ///
  /// - Parameters:
  ///   - holdsNotes: whether other lines than this tool's may stand in it too.
  ///   - see: is shown every whole line; of a tar, what each failed sample says.
  /// - Returns: nil where there is no such file, or where it is no regular file and cannot be read again.
  package static func read(
    path: String, layout: Layout, holdsNotes: Bool = false, see: ([UInt8]) -> Void = { _ in }
  ) throws(OutputFailure) -> Remains? {
    // A pipe that nobody writes is not waited for.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      if errno == ENOENT { return nil }
      throw OutputFailure("\(path): \(String(cString: strerror(errno)))")
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
    guard status.st_size == 0 || holdsNotes || begins(descriptor, as: layout, Compression(path: path)) else {
      throw OutputFailure("\(path): cannot be resumed: it was not written by this tool")
    }
    guard let decoder = Compression(path: path).makeDecoder() else {
      return layout == .lines ? try lines(descriptor, path, see) : tar(descriptor, path, see)
    }
    return try compressed(descriptor, path, decoder, layout, see)
  }

  /// Whether a file begins as what this tool writes does: what does not is not taken for a torn first record.
  private static func begins(_ descriptor: Int32, as layout: Layout, _ compression: Compression) -> Bool {
    var head = [UInt8](repeating: 0, count: 512)
    let count = pread(descriptor, &head, head.count, 0)
    switch (compression, layout) {
    case (.gzip, _): return head.starts(with: [0x1F, 0x8B].prefix(max(1, count)))
    case (.lz4, _): return head.starts(with: [0x04, 0x22, 0x4D, 0x18].prefix(max(1, count)))
    case (.none, .lines): return head.starts(with: Array("{\"".utf8).prefix(max(1, count)))
    case (.none, .tar):
      // A name of up to a hundred bytes and zeros without line breaks, octal digits, and the format's name.
      let whole = head.prefix(max(0, count))
      return !whole.prefix(100).contains(UInt8(ascii: "\n"))
        && whole.dropFirst(100).prefix(6).allSatisfy { (0x30...0x37).contains($0) }
        && Array("ustar".utf8).starts(with: whole.dropFirst(257).prefix(5))
    }
  }

  // MARK: Plain files

  private static func lines(
    _ descriptor: Int32, _ path: String, _ see: ([UInt8]) -> Void
  ) throws(OutputFailure) -> Remains {
    var remains = Remains()
    var line: [UInt8] = []
    try chunks(descriptor, path) { chunk in
      for piece in chunk.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
        if piece.offset > 0 {
          see(line)
          remains.keep(line)
          line = []
        }
        line += piece.element
      }
    }
    return remains
  }

  private mutating func keep(_ line: [UInt8]) {
    records += 1
    keptBytes += line.count + 1
    lastRecord = line
  }

  private static func chunks(
    _ descriptor: Int32, _ path: String, _ body: (UnsafeBufferPointer<UInt8>) -> Void
  ) throws(OutputFailure) {
    let failed = withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 1 << 16) { buffer in
      while true {
        let count = Foundation.read(descriptor, buffer.baseAddress, buffer.count)
        if count < 0, errno == EINTR { continue }
        if count <= 0 { return count < 0 }
        body(UnsafeBufferPointer(rebasing: buffer[..<count]))
      }
    }
    if failed { throw OutputFailure("\(path): \(String(cString: strerror(errno)))") }
  }

  /// Whole samples of a tar that this tool wrote. The last one may lack members, so it counts only before a marker.
  private static func tar(_ descriptor: Int32, _ path: String, _ see: ([UInt8]) -> Void) -> Remains {
    var remains = Remains()
    func keep(_ sample: Sample, upTo offset: Int) {
      remains.records += 1
      remains.keptBytes = offset
      remains.lastKey = sample.key
      // A shard's name, under which a problem of the shard itself stands, has dots of its own.
      remains.lastRecord = sample.members.last { $0.field == "error.json" || $0.field.hasSuffix(".error.json") }?.bytes
      remains.lastRecord.map(see)
    }
    let limits = SampleLimits(memberBytes: .max >> 1, sampleBytes: .max >> 1, members: .max)
    let reader = SampleReader(shard: path, descriptor: descriptor, closes: false, limits: limits)
    var last: Sample?
    while let sample = reader.next() {
      if sample.isOfShard { return remains }
      if let last { keep(last, upTo: sample.offset) }
      if sample.problem != nil { return remains }
      last = sample
    }
    if let last, let marker = reader.markerOffset { keep(last, upTo: marker) }
    return remains
  }

  // MARK: Compressed files

  private static func compressed(
    _ descriptor: Int32, _ path: String, _ decoder: any FrameDecoder, _ layout: Layout, _ see: ([UInt8]) -> Void
  ) throws(OutputFailure) -> Remains {
    var frames = Frames(decoder: decoder)
    func show(_ content: [UInt8]) { if layout == .lines { lines(of: content).forEach(see) } }
    try chunks(descriptor, path) { frames.take($0, show) }
    if frames.isForeign, layout == .lines {
      throw OutputFailure("\(path): cannot be resumed: it was not written by this tool")
    }
    show(frames.content)
    // The last frame with anything whole in it is written again, record by record.
    let last = frames.content.isEmpty ? frames.previous : nil
    var remains = try reopened(
      frame: last?.content ?? frames.content, path, at: last?.start ?? frames.start,
      after: last == nil ? frames.count : frames.count - 1, layout)
    remains.lastRecord = remains.lastRecord ?? frames.previous.flatMap { lines(of: $0.content).last }
    return remains
  }

  /// The frames of a compressed file, as far as they are whole.
  private struct Frames {
    let decoder: any FrameDecoder
    /// Whole ones, and the last of them.
    var count = 0
    var previous: (start: Int, content: [UInt8])?
    /// Where the present one begins, and what it holds.
    var start = 0
    var content: [UInt8] = []
    /// Whether one holds more than this tool puts into a frame.
    var isForeign = false
    private var linesInFrame = 0
    private var offset = 0
    private var isBroken = false

    init(decoder: any FrameDecoder) { self.decoder = decoder }

    /// Takes the file's next bytes.
    ///
    /// - Parameter show: is called with what each whole frame holds.
    mutating func take(_ bytes: UnsafeBufferPointer<UInt8>, _ show: ([UInt8]) -> Void) {
      var rest = bytes
      while !rest.isEmpty, !isBroken, !isForeign {
        let step = decoder.decode(rest)
        isBroken = step.state == .broken
        if isBroken { return }
        content += step.output
        offset += step.used
        // What has more lines is not read into memory to its end.
        linesInFrame += step.output.count { $0 == UInt8(ascii: "\n") }
        isForeign =
          linesInFrame > RecordFile.recordsPerFrame || !content.starts(with: Array("{\"".utf8).prefix(content.count))
        rest = UnsafeBufferPointer(rebasing: rest[step.used...])
        if step.state == .ended { endFrame(show) }
      }
    }

    private mutating func endFrame(_ show: ([UInt8]) -> Void) {
      show(content)
      count += 1
      previous = (start, content)
      (start, content, linesInFrame) = (offset, [], 0)
    }
  }

  /// A frame whose records are to be written again.
  private static func reopened(
    frame: [UInt8], _ path: String, at start: Int, after frames: Int, _ layout: Layout
  ) throws(OutputFailure) -> Remains {
    var remains = Remains(records: frames * RecordFile.recordsPerFrame, keptBytes: start)
    guard layout == .lines else {
      throw OutputFailure("\(path): a compressed tar cannot be resumed; write a plain one")
    }
    let lines = lines(of: frame)
    remains.openFrame = lines.map { $0 + [UInt8(ascii: "\n")] }
    remains.lastRecord = lines.last
    remains.records += remains.openFrame.count
    guard remains.openFrame.count <= RecordFile.recordsPerFrame else {
      throw OutputFailure("\(path): cannot be resumed: it was not written by this tool")
    }
    return remains
  }

  /// Whole lines, without their ends.
  private static func lines(of bytes: [UInt8]) -> [[UInt8]] {
    bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).dropLast().map(Array.init)
  }
}
