import CKernels
import Foundation
import JSON
import Synchronization

/// All tensors of a model, by name, and which of them a model has asked for.
///
/// A model asks with the shape that it needs; a missing or misshapen tensor is an error that names it, and `finish`
/// names what nobody asked for.
package final class WeightStore: Sendable {
  /// A tensor that can be had.
  package struct Place: Sendable {
    /// The file it is in, for messages.
    package let path: String
    package let shape: [Int]
    /// How it is stored: the format's name and its bytes.
    package let format: String
    package let byteCount: Int
    package let load: @Sendable () throws(WeightError) -> StoredTensor

    /// Whether weights stand in blocks or whole numbers there; what is no weight, such as a table of positions, may be
    /// whole numbers of other kinds.
    fileprivate var isQuantised: Bool {
      ElementType(rawValue: format) == nil
        && !["F64", "I64", "I32", "I16", "U64", "U32", "U16", "U8", "BOOL"].contains(format)
    }

    package init(
      path: String, shape: [Int], format: String, byteCount: Int,
      load: @escaping @Sendable () throws(WeightError) -> StoredTensor
    ) {
      self.path = path
      self.shape = shape
      self.format = format
      self.byteCount = byteCount
      self.load = load
    }
  }

  /// The folder or file, for messages.
  package let folder: String
  private let places: [String: Place]
  /// Makes up a tensor of a shape, where there is no file.
  private let inventing: (@Sendable (_ name: String, _ shape: [Int]) throws(WeightError) -> StoredTensor)?
  private let used = Mutex<Set<String>>([])

  /// Tensors from wherever they are.
  package init(folder: String, places: [String: Place]) {
    self.folder = folder
    self.places = places
    inventing = nil
  }

  /// Small random weights of whatever names and shapes a model asks for, to measure with.
  package convenience init(inventing name: String) {
    self.init(inventing: name) { _, shape in
      let columns = shape.dropFirst().reduce(1, *)
      let pattern = Tensor(rows: 64, columns: columns)
      pattern.withMutable { out in
        // A sum of four uniform numbers, of deviation 0.02.
        for index in 0..<pattern.count {
          let bits = mp_mix(1, UInt64(index))
          let sum = (0..<4).reduce(0) { $0 + Int(bits >> (16 * UInt64($1)) & 0xFFFF) }
          out[index] = (Float(sum) / 65536 - 2) * 0.0346
        }
      }
      return StoredTensor(repeating: pattern, rows: shape[0])
    }
  }

  /// Tensors made up one by one, as a model asks for them.
  package init(
    inventing folder: String,
    _ make: @escaping @Sendable (_ name: String, _ shape: [Int]) throws(WeightError) -> StoredTensor
  ) {
    self.folder = folder
    places = [:]
    inventing = make
  }

  /// Opens `NAME.safetensors`, or the shards that `NAME.safetensors.index.json` lists.
  package convenience init(folder: String, name: String = "model") throws(WeightError) {
    let single = folder + "/\(name).safetensors"
    let index = single + ".index.json"
    let manager = FileManager.default
    if manager.fileExists(atPath: single) {
      self.init(folder: folder, places: try Self.places(of: Self.collect([single])))
    } else if manager.fileExists(atPath: index) {
      self.init(folder: folder, places: try Self.places(of: Self.openShards(index: index, folder: folder)))
    } else {
      let files = ((try? manager.contentsOfDirectory(atPath: folder)) ?? []).sorted()
      let others = files.filter { $0.hasSuffix(".safetensors") || $0.hasSuffix(".bin") }.prefix(3)
      let found = others.isEmpty ? "neither" : "neither, but \(others.joined(separator: ", "))"
      throw WeightError("\(folder): expected \(name).safetensors or \(name).safetensors.index.json, found \(found)")
    }
  }

  private static func collect(_ paths: [String]) throws(WeightError) -> [String: CompressedTensor.Part] {
    var parts: [String: CompressedTensor.Part] = [:]
    for path in paths {
      let file = try SafetensorsFile(path: path)
      for entry in file.entries {
        if let other = parts.updateValue(.init(file: file, entry: entry), forKey: entry.name) {
          throw WeightError("\(path): tensor \"\(entry.name)\" is also in \(other.path)")
        }
      }
    }
    return parts
  }

  /// What can be had of what is stored: whole numbers and their scales are one tensor.
  private static func places(of parts: [String: CompressedTensor.Part]) throws(WeightError) -> [String: Place] {
    var places: [String: Place] = [:]
    var folded: Set<String> = []
    for scale in parts.keys where scale.hasSuffix("_scale") {
      let name = String(scale.dropLast("_scale".count))
      guard let tensor = try CompressedTensor(name, in: parts) else { continue }
      folded.formUnion(tensor.parts)
      places[name] = Place(
        path: tensor.path, shape: tensor.shape, format: tensor.format, byteCount: tensor.byteCount
      ) { () throws(WeightError) in try tensor.load() }
    }
    for (name, part) in parts where !folded.contains(name) {
      places[name] = Place(
        path: part.path, shape: part.entry.shape, format: part.entry.typeName, byteCount: part.entry.bytes.count
      ) { () throws(WeightError) in try part.file.tensor(part.entry) }
    }
    return places
  }

  private static func openShards(
    index: String, folder: String
  ) throws(WeightError) -> [String: CompressedTensor.Part] {
    let file = try MappedFile(path: index)
    let json: JSONValue
    do { json = try JSONValue(parsing: file.bytes) } catch { throw WeightError("\(index): \(error)") }
    guard case .object(let members)? = json["weight_map"] else {
      throw WeightError("\(index): expected an object \"weight_map\"")
    }
    var shards: Set<String> = []
    for (name, value) in members {
      guard let shard = value.string, !shard.contains("/"), shard != "..", !shard.isEmpty else {
        throw WeightError("\(index): tensor \"\(name)\": expected a file name, found \(value.kind)")
      }
      shards.insert(shard)
    }
    let parts = try collect(shards.sorted().map { folder + "/" + $0 })
    for (name, value) in members {
      guard let part = parts[name], part.path == folder + "/" + (value.string ?? "") else {
        throw WeightError("\(index): tensor \"\(name)\" is not in \(value.string ?? "")")
      }
    }
    return parts
  }

  /// The files that the tensors are in.
  package var files: [String] { Set(places.values.map(\.path)).sorted() }

  /// Names of all tensors.
  package var names: [String] { places.keys.sorted() }

  /// Bytes of all tensors as they are stored.
  package var byteCount: Int { places.values.reduce(0) { $0 + $1.byteCount } }

  /// Whether any weights are stored in blocks or whole numbers.
  package var isQuantised: Bool { places.values.contains(where: \.isQuantised) }

  /// Stored formats and how many elements each holds.
  package var formats: [String: Int] {
    places.values.reduce(into: [:]) { $0[$1.format, default: 0] += $1.shape.reduce(1, *) }
  }

  package func contains(_ name: String) -> Bool { places[name] != nil }

  /// The shape of a tensor, nil where there is none of that name.
  package func shape(of name: String) -> [Int]? { places[name]?.shape }

  /// The tensor of this name and shape, as a matrix of its first dimension by the rest.
  package func tensor(_ name: String, shape: [Int]) throws(WeightError) -> StoredTensor {
    if let inventing { return try inventing(name, shape) }
    guard let place = places[name] else {
      throw WeightError("\(folder): tensor \"\(name)\" of shape \(shape) is missing")
    }
    guard place.shape == shape else {
      throw WeightError("\(place.path): tensor \"\(name)\": expected shape \(shape), found \(place.shape)")
    }
    _ = used.withLock { $0.insert(name) }
    return try place.load()
  }

  /// Marks a tensor as known though no model computes with it, such as a stored copy of a tied head.
  package func ignore(_ name: String) {
    _ = used.withLock { $0.insert(name) }
  }

  /// Throws if any tensor was never asked for.
  package func finish() throws(WeightError) {
    let known = used.withLock { $0 }
    // Older files keep the frequencies of rotary positions, which the configuration gives.
    let surplus = places.keys.filter { !known.contains($0) && !$0.hasSuffix("rotary_emb.inv_freq") }.sorted()
    guard let first = surplus.first else { return }
    let more = surplus.count > 1 ? " and \(surplus.count - 1) more" : ""
    throw WeightError("\(folder): tensor \"\(first)\"\(more) belongs to no part of this model")
  }
}
