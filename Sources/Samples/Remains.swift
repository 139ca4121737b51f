import Foundation

/// What an interrupted run left in its output: which records are whole, and where the file goes on.
package struct Remains: Sendable, Equatable {
  /// Whole records.
  package var records = 0
  /// Bytes of the file that stay.
  package var keptBytes = 0
  /// Whole records of the last frame of a compressed file, which is written again.
  package var openFrame: [[UInt8]] = []
  /// The last whole record.
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
  /// - Parameter see: is shown every whole line.
  /// - Returns: nil where there is no such file, or where it is no regular file and cannot be read again.
  package static func read(
    path: String, layout: Layout, see: ([UInt8]) -> Void = { _ in }
  ) throws(OutputFailure) -> Remains? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      if errno == ENOENT { return nil }
      throw OutputFailure("\(path): \(String(cString: strerror(errno)))")
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
    guard let decoder = Compression(path: path).makeDecoder() else {
      return layout == .lines ? try lines(descriptor, path, see) : tar(descriptor, path)
    }
    return try compressed(descriptor, path, decoder, layout, see)
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
  private static func tar(_ descriptor: Int32, _ path: String) -> Remains {
    var remains = Remains()
    let limits = SampleLimits(memberBytes: .max >> 1, sampleBytes: .max >> 1)
    let reader = SampleReader(shard: path, descriptor: descriptor, closes: false, limits: limits)
    var last: Sample?
    while let sample = reader.next() {
      if sample.isOfShard { return remains }
      if let last { remains.keep(last, upTo: sample.offset) }
      if sample.problem != nil { return remains }
      last = sample
    }
    if let last, let marker = reader.markerOffset { remains.keep(last, upTo: marker) }
    return remains
  }

  private mutating func keep(_ sample: Sample, upTo offset: Int) {
    records += 1
    keptBytes = offset
    lastKey = sample.key
  }

  // MARK: Compressed files

  private static func compressed(
    _ descriptor: Int32, _ path: String, _ decoder: any FrameDecoder, _ layout: Layout, _ see: ([UInt8]) -> Void
  ) throws(OutputFailure) -> Remains {
    var frames = 0
    var frameStart = 0
    var offset = 0
    var content: [UInt8] = []
    var previous: (start: Int, content: [UInt8])?
    var isBroken = false
    try chunks(descriptor, path) { chunk in
      var rest = chunk
      while !rest.isEmpty, !isBroken {
        guard let step = decoder.decode(rest) else {
          isBroken = true
          return
        }
        content += step.output
        offset += step.used
        rest = UnsafeBufferPointer(rebasing: rest[step.used...])
        if step.endsFrame {
          frames += 1
          if layout == .lines { lines(of: content).forEach(see) }
          previous = (frameStart, content)
          frameStart = offset
          content = []
        }
      }
    }
    if layout == .lines { lines(of: content).forEach(see) }
    // The last frame with anything whole in it is written again, record by record.
    if content.isEmpty, frames > 0, let whole = previous {
      frames -= 1
      frameStart = whole.start
      content = whole.content
    }
    var remains = try reopened(frame: content, path, at: frameStart, after: frames, layout)
    remains.lastRecord = remains.lastRecord ?? previous.flatMap { Self.lines(of: $0.content).last }
    return remains
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
