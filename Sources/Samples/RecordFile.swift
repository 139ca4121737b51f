import Foundation

/// An output that could not be opened or written.
package struct OutputFailure: Error, Sendable, CustomStringConvertible {
  package let description: String
  /// Whether the reader of a pipe went away.
  package let isClosedPipe: Bool

  init(_ description: String, isClosedPipe: Bool = false) {
    self.description = description
    self.isClosedPipe = isClosedPipe
  }
}

/// A file that grows record by record, each of them written out before the next is begun.
///
/// A compressed file is a row of frames with `recordsPerFrame` records each, so that a torn file loses nothing but its
/// last piece, and a resumed one ends with the same bytes as an uninterrupted one.
///
/// What the file held before goes with the first write: a run that is refused before leaves it as it was.
package final class RecordFile {
  /// Records in one frame of a compressed file.
  static let recordsPerFrame = 256

  private let name: String
  private let descriptor: Int32
  private let closes: Bool
  private let encoder: (any FrameEncoder)?
  /// Records in the open frame, nil where none is open.
  private var inFrame: Int?
  private var isEmpty = true
  /// What an earlier run left; nil once the file has been cut to it.
  private var remains: Remains?
  /// Whether a write failed: what stands at the end is torn.
  private var isBroken = false

  /// Begins a file anew, whatever it held.
  package convenience init(path: String) throws(OutputFailure) {
    try self.init(path: path, resuming: nil)
  }

  /// Goes on behind what the remains say is kept; nil begins anew.
  package init(path: String, resuming remains: Remains?) throws(OutputFailure) {
    name = path
    closes = true
    if let ending = Compression.brokenPromise(of: path) {
      throw OutputFailure("\(path): files are compressed as .gz or .lz4, found \(ending)")
    }
    descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o666)
    encoder = Compression(path: path).makeEncoder()
    guard descriptor >= 0 else { throw Self.failure(path) }
    self.remains = remains ?? Remains()
  }

  /// Writes to an open descriptor, such as standard output; a regular file can be resumed.
  package init(descriptor: Int32, name: String, resuming remains: Remains?) throws(OutputFailure) {
    self.name = name
    self.descriptor = descriptor
    closes = false
    encoder = nil
    self.remains = remains
  }

  deinit {
    // A run that ended elsewhere leaves a file that unpacks whole.
    if inFrame != nil, !isBroken, let encoder { try? write(encoder.end()) }
    if closes, descriptor >= 0 { close(descriptor) }
  }

  private static func failure(_ name: String) -> OutputFailure {
    OutputFailure("\(name): \(String(cString: strerror(errno)))", isClosedPipe: errno == EPIPE)
  }

  /// Cuts the file to what stays of it.
  private func begin() throws(OutputFailure) {
    guard let remains else { return }
    self.remains = nil
    var status = stat()
    // A pipe or a device holds nothing.
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return }
    guard ftruncate(descriptor, off_t(remains.keptBytes)) == 0, lseek(descriptor, 0, SEEK_END) >= 0 else {
      throw Self.failure(name)
    }
    isEmpty = remains.keptBytes == 0
    for record in remains.openFrame { try append(record) }
  }

  /// Writes one record.
  package func append(_ bytes: [UInt8]) throws(OutputFailure) {
    try begin()
    guard let encoder else { return try write(bytes) }
    var output = inFrame == nil ? encoder.begin() : []
    output += encoder.append(bytes)
    let count = (inFrame ?? 0) + 1
    inFrame = count == Self.recordsPerFrame ? nil : count
    if inFrame == nil { output += encoder.end() }
    try write(output)
  }

  /// Writes what ends the file.
  ///
  /// - Parameter trailer: bytes behind the last record, such as a tar's end-of-archive marker.
  package func finish(trailer: [UInt8] = []) throws(OutputFailure) {
    try begin()
    guard let encoder else { return try write(trailer) }
    var output: [UInt8] = []
    if inFrame == nil, isEmpty || !trailer.isEmpty { output += encoder.begin() }
    if !trailer.isEmpty { output += encoder.append(trailer) }
    if inFrame != nil || isEmpty || !trailer.isEmpty { output += encoder.end() }
    inFrame = nil
    try write(output)
  }

  private func write(_ bytes: [UInt8]) throws(OutputFailure) {
    var written = 0
    while written < bytes.count {
      let count = bytes.withUnsafeBytes { all in
        let rest = UnsafeRawBufferPointer(rebasing: all[written...])
        return Foundation.write(descriptor, rest.baseAddress, rest.count)
      }
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else {
        isBroken = true
        throw Self.failure(name)
      }
      written += count
      isEmpty = false
    }
  }
}
