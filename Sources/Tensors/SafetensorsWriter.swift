import CKernels
import Foundation
import JSON

/// Writes a safetensors file tensor by tensor.
package enum SafetensorsWriter {
  /// A tensor to write.
  package struct Entry {
    let name: String
    let shape: [Int]
    let type: ElementType
    let values: Tensor

    /// - Parameter type: what the values are rounded to.
    package init(name: String, shape: [Int], type: ElementType, values: Tensor) {
      self.name = name
      self.shape = shape
      self.type = type
      self.values = values
    }

    fileprivate var byteCount: Int { values.count * type.size }
  }

  /// Writes all tensors and waits until the disk has them.
  package static func write(_ entries: [Entry], to path: String) throws(WeightError) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw failure(path) }
    defer { close(descriptor) }
    var header = header(of: entries)
    // Values begin at a multiple of 8, as the reference writer puts them.
    header += Array(repeating: UInt8(ascii: " "), count: (8 - header.count % 8) % 8)
    var length = UInt64(header.count).littleEndian
    try withUnsafeBytes(of: &length) { bytes throws(WeightError) in try write(bytes, to: descriptor, path) }
    try write(header, to: descriptor, path)
    for entry in entries { try write(entry, to: descriptor, path) }
    guard fsync(descriptor) == 0 else { throw failure(path) }
  }

  private static func header(of entries: [Entry]) -> [UInt8] {
    var writer = JSONWriter()
    writer.object { writer in
      writer.key("__metadata__")
      writer.object { writer in
        writer.key("format")
        writer.string("pt")
      }
      var place = 0
      for entry in entries {
        writer.key(entry.name)
        writer.object { writer in
          writer.key("dtype")
          writer.string(entry.type.rawValue)
          writer.key("shape")
          writer.array { writer in for size in entry.shape { writer.integer(size) } }
          writer.key("data_offsets")
          writer.array { writer in
            writer.integer(place)
            writer.integer(place + entry.byteCount)
          }
        }
        place += entry.byteCount
      }
    }
    return writer.bytes
  }

  private static func write(_ entry: Entry, to descriptor: Int32, _ path: String) throws(WeightError) {
    var result: Result<Void, WeightError> = .success(())
    entry.values.withValues { values in
      for first in stride(from: 0, to: entry.values.count, by: 1 << 16) {
        let count = min(1 << 16, entry.values.count - first)
        if case .failure = result { return }
        result = Result { () throws(WeightError) in
          try write(bytes(of: values + first, count, entry.type), to: descriptor, path)
        }
      }
    }
    try result.get()
  }

  private static func bytes(of values: UnsafePointer<Float>, _ count: Int, _ type: ElementType) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count * type.size) { buffer, filled in
      filled = count * type.size
      guard let out = UnsafeMutableRawPointer(buffer.baseAddress) else { return }
      switch type {
      case .f32: out.copyMemory(from: values, byteCount: filled)
      case .bf16: mp_narrow_bf16(values, out.assumingMemoryBound(to: UInt16.self), count)
      case .f16: mp_narrow_f16(values, out.assumingMemoryBound(to: UInt16.self), count)
      }
    }
  }

  private static func write(_ bytes: [UInt8], to descriptor: Int32, _ path: String) throws(WeightError) {
    var result: Result<Void, WeightError> = .success(())
    bytes.withUnsafeBytes { all in
      result = Result { () throws(WeightError) in try write(all, to: descriptor, path) }
    }
    try result.get()
  }

  private static func write(
    _ bytes: UnsafeRawBufferPointer, to descriptor: Int32, _ path: String
  ) throws(WeightError) {
    var written = 0
    while written < bytes.count {
      let count = Foundation.write(
        descriptor, bytes.baseAddress?.advanced(by: written), bytes.count - written)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw failure(path) }
      written += count
    }
  }

  private static func failure(_ path: String) -> WeightError {
    WeightError("\(path): cannot be written: \(String(cString: strerror(errno)))")
  }
}
