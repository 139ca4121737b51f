import Foundation
import JSON
import Models

/// The configuration beside saved weights: its source's, with what it says of how they are stored made true.
struct StoredConfiguration {
  private let source: ConfigReader

  /// - Parameter folder: where the model came from.
  init(folder: String) throws(ModelError) { source = try ConfigReader(path: folder + "/config.json") }

  /// What to write; nil where the source's own file says it.
  func bytes(_ storage: WeightStorage) throws -> [UInt8]? {
    guard case .object(var members) = source.json else { return nil }
    let count = members.count
    members.removeAll { $0.key == Self.key }
    var isChanged = members.count != count || storage == .q8
    if storage == .q8 { members.append((Self.key, try JSONValue(parsing: Array(Self.groups.utf8)))) }
    // What readers load the weights as, of a part of the model too.
    func state(_ members: inout [(key: String, value: JSONValue)]) {
      for index in members.indices {
        if ["torch_dtype", "dtype"].contains(members[index].key), let known = members[index].value.string {
          let type = storage == .f32 ? "float32" : "bfloat16"
          isChanged = isChanged || known != type
          members[index].value = .string(type)
        } else if case .object(var inner) = members[index].value, members[index].key.hasSuffix("_config") {
          state(&inner)
          members[index].value = .object(inner)
        }
      }
    }
    state(&members)
    guard isChanged else { return nil }
    return JSONWriter.line { writer in
      for (name, value) in members {
        writer.key(name)
        writer.value(value)
      }
    }
  }

  private static let key = "quantization_config"

  /// What compressed-tensors calls whole numbers with a scale for each 32 of a row, in the language model's layers.
  private static let groups = #"""
    {"quant_method": "compressed-tensors", "format": "int-quantized", "quantization_status": "compressed",
     "config_groups": {"group_0": {"targets": ["Linear"], "format": "int-quantized", "weights":
      {"num_bits": 8, "type": "int", "symmetric": true, "strategy": "group", "group_size": 32, "dynamic": false}}},
     "ignore": ["re:.*lm_head", "re:.*visual.*", "re:.*vision_tower.*", "re:.*multi_modal_projector.*"]}
    """#
}
