import Foundation

/// A weight file that cannot be used: which file, where in it, what was expected and what was found.
package struct WeightError: Error, Sendable, CustomStringConvertible {
  package let message: String

  package init(_ message: String) { self.message = message }

  package var description: String { message }
}

/// A file mapped read-only for as long as this object lives. Pages are read when they are touched.
package final class MappedFile: @unchecked Sendable {
  package let path: String
  /// The whole file. The memory never changes.
  package let bytes: UnsafeRawBufferPointer

  /// Maps a regular file.
  package init(path: String) throws(WeightError) {
    // What is no file, such as a pipe that nobody writes, is not waited for.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw WeightError("\(path): \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw WeightError("\(path): expected a regular file")
    }
    let size = Int(status.st_size)
    self.path = path
    guard size > 0 else {
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      return
    }
    guard let start = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), start != MAP_FAILED else {
      throw WeightError("\(path): cannot be mapped: \(String(cString: strerror(errno)))")
    }
    bytes = UnsafeRawBufferPointer(start: start, count: size)
  }

  /// Gives whole pages of a part back to the system: they are read again when touched.
  func letGo(_ part: UnsafeRawBufferPointer) {
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let start = Int(bitPattern: part.baseAddress)
    let first = (start + page - 1) / page * page
    let last = (start + part.count) / page * page
    if last > first { madvise(UnsafeMutableRawPointer(bitPattern: first), last - first, MADV_DONTNEED) }
  }

  deinit {
    if let start = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: start), bytes.count) }
  }
}
