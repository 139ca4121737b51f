import Foundation
import JSON
import Synchronization

/// All tensors of a model folder, by name, and which of them a model has asked for.
///
/// A model asks with the shape that it needs; a missing or misshapen tensor is an error that names it, and `finish`
/// names what nobody asked for.
package final class WeightStore: Sendable {
  private struct Place: Sendable {
    let file: SafetensorsFile
    let entry: SafetensorsFile.Entry
  }

  /// The folder, for messages.
  package let folder: String
  private let places: [String: Place]
  private let used = Mutex<Set<String>>([])

  /// Opens `NAME.safetensors`, or the shards that `NAME.safetensors.index.json` lists.
  package init(folder: String, name: String = "model") throws(WeightError) {
    self.folder = folder
    let single = folder + "/\(name).safetensors"
    let index = single + ".index.json"
    let manager = FileManager.default
    if manager.fileExists(atPath: single) {
      places = try Self.collect([single])
    } else if manager.fileExists(atPath: index) {
      places = try Self.openShards(index: index, folder: folder)
    } else {
      throw WeightError("\(folder): expected \(name).safetensors or \(name).safetensors.index.json, found neither")
    }
  }

  private static func collect(_ paths: [String]) throws(WeightError) -> [String: Place] {
    var places: [String: Place] = [:]
    for path in paths {
      let file = try SafetensorsFile(path: path)
      for entry in file.entries {
        if let other = places.updateValue(Place(file: file, entry: entry), forKey: entry.name) {
          throw WeightError("\(path): tensor \"\(entry.name)\" is also in \(other.file.file.path)")
        }
      }
    }
    return places
  }

  private static func openShards(index: String, folder: String) throws(WeightError) -> [String: Place] {
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
    let places = try collect(shards.sorted().map { folder + "/" + $0 })
    for (name, value) in members {
      guard let place = places[name], place.file.file.path == folder + "/" + (value.string ?? "") else {
        throw WeightError("\(index): tensor \"\(name)\" is not in \(value.string ?? "")")
      }
    }
    return places
  }

  /// Names of all tensors.
  package var names: [String] { places.keys.sorted() }

  /// Bytes of all tensors as they are stored.
  package var byteCount: Int { places.values.reduce(0) { $0 + $1.entry.bytes.count } }

  /// Stored formats and how many elements each holds.
  package var formats: [ElementType: Int] {
    places.values.reduce(into: [:]) { counts, place in
      guard let type = place.entry.type else { return }
      counts[type, default: 0] += place.entry.bytes.count / type.size
    }
  }

  package func contains(_ name: String) -> Bool { places[name] != nil }

  /// The tensor of this name and shape, as a matrix of its first dimension by the rest.
  package func weight(_ name: String, shape: [Int]) throws(WeightError) -> Weight {
    guard let place = places[name] else {
      throw WeightError("\(folder): tensor \"\(name)\" of shape \(shape) is missing")
    }
    guard place.entry.shape == shape else {
      throw WeightError(
        "\(place.file.file.path): tensor \"\(name)\": expected shape \(shape), found \(place.entry.shape)")
    }
    _ = used.withLock { $0.insert(name) }
    return try place.file.weight(place.entry)
  }

  /// Marks a tensor as known though no model computes with it, such as a stored copy of a tied head.
  package func ignore(_ name: String) {
    _ = used.withLock { $0.insert(name) }
  }

  /// Throws if any tensor was never asked for.
  package func finish() throws(WeightError) {
    let known = used.withLock { $0 }
    let surplus = places.keys.filter { !known.contains($0) }.sorted()
    guard let first = surplus.first else { return }
    let more = surplus.count > 1 ? " and \(surplus.count - 1) more" : ""
    throw WeightError("\(folder): tensor \"\(first)\"\(more) belongs to no part of this model")
  }
}
