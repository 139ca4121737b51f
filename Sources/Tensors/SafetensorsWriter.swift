import CKernels
import Foundation
import JSON

/// Writes a safetensors file tensor by tensor.
package enum SafetensorsWriter {
  /// A tensor to write.
  package struct Entry {
    let name: String
    let shape: [Int]
    /// The format's own name of the element type.
    let typeName: String
    let elementBytes: Int
    /// The bytes of some of the elements.
    let bytes: (Range<Int>) -> [UInt8]

    private init(
      _ name: String, _ shape: [Int], _ typeName: String, elementBytes: Int, bytes: @escaping (Range<Int>) -> [UInt8]
    ) {
      self.name = name
      self.shape = shape
      self.typeName = typeName
      self.elementBytes = elementBytes
      self.bytes = bytes
    }

    /// - Parameter type: what the values are rounded to.
    package init(name: String, shape: [Int], type: ElementType, values: Tensor) {
      self.init(name, shape, type.rawValue, elementBytes: type.size) { range in
        values.withValues { SafetensorsWriter.bytes(of: $0 + range.lowerBound, range.count, type) }
      }
    }

    /// A matrix in whole numbers, and the scales of its groups of 32 columns: `NAME` and `NAME_scale`, as
    /// compressed-tensors stores them. The columns are a multiple of 32.
    package static func grouped(name: String, shape: [Int], values: Tensor) -> [Entry] {
      precondition(shape.count == 2 && shape[1] % 32 == 0, "groups are whole")
      return [
        Entry(name, shape, "I8", elementBytes: 1) { range in
          values.withValues { all in
            stride(from: range.lowerBound, to: range.upperBound, by: 32).flatMap { wholeNumbers(all + $0) }
          }
        },
        Entry(name + "_scale", [shape[0], shape[1] / 32], "BF16", elementBytes: 2) { range in
          let scales = values.withValues { all in range.map { groupScale(all + 32 * $0) } }
          return scales.withUnsafeBufferPointer { buffer in
            buffer.baseAddress.map { SafetensorsWriter.bytes(of: $0, buffer.count, .bf16) } ?? []
          }
        },
      ]
    }

    fileprivate var count: Int { shape.reduce(1, *) }
    fileprivate var byteCount: Int { count * elementBytes }

    /// What one step of a group of 32 is: a bf16, since that is what is stored.
    private static func groupScale(_ group: UnsafePointer<Float>) -> Float {
      let largest = (0..<32).reduce(Float(0)) { max($0, abs(group[$1])) }
      var (scale, bits) = (largest / 127, UInt16(0))
      mp_narrow_bf16(&scale, &bits, 1)
      return Float(bitPattern: UInt32(bits) << 16)
    }

    private static func wholeNumbers(_ group: UnsafePointer<Float>) -> [UInt8] {
      let scale = groupScale(group)
      return (0..<32).map { index in
        let steps = (group[index] / scale).rounded(.toNearestOrEven)
        // Where nothing is but zeros, or what is no number, there are no steps.
        return steps.isFinite ? UInt8(bitPattern: Int8(max(-127, min(127, steps)))) : 0
      }
    }
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
          writer.string(entry.typeName)
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
    for first in stride(from: 0, to: entry.count, by: 1 << 16) {
      try write(entry.bytes(first..<min(first + 1 << 16, entry.count)), to: descriptor, path)
    }
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
