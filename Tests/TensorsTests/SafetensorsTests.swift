import Foundation
import Tensors
import Testing

private func file(header: String, data: Int = 16, length: UInt64? = nil) -> [UInt8] {
  let bytes = Array(header.utf8)
  return withUnsafeBytes(of: (length ?? UInt64(bytes.count)).littleEndian, Array.init) + bytes
    + [UInt8](repeating: 0, count: data)
}

private func message(_ bytes: [UInt8]) throws -> String? {
  let path = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
  try Data(bytes).write(to: URL(fileURLWithPath: path))
  defer { try? FileManager.default.removeItem(atPath: path) }
  do {
    _ = try SafetensorsFile(path: path)
    return nil
  } catch {
    return error.message
  }
}

private let good = #"{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}"#

@Test func aSoundFileOpens() throws { #expect(try message(file(header: good)) == nil) }

private struct Hostile: CustomTestStringConvertible, Sendable {
  let bytes: [UInt8]
  let expected: String
  var testDescription: String { expected }
  init(_ bytes: [UInt8], _ expected: String) {
    self.bytes = bytes
    self.expected = expected
  }
}

@Test(arguments: [
  Hostile(file(header: good, length: 1 << 60), "header length"),
  Hostile(file(header: good, data: 8), "within the data"),
  Hostile(file(header: #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#), "within the data"),
  Hostile(file(header: #"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,16]}}"#), "takes 12 bytes"),
  Hostile(file(header: #"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,16]}}"#), "too large"),
  Hostile(file(header: #"{"a":{"dtype":"Q9","shape":[4],"data_offsets":[0,16]}}"#), "unknown element type"),
  Hostile(
    file(
      header:
        #"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},"b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}"#
    ), "overlap"
  ),
  Hostile(
    file(
      header:
        #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#
    ), "duplicate key"
  ),
  Hostile(file(header: String(repeating: "[", count: 5000)), "deeper than 64"),
  Hostile(file(header: "[]"), "expected a JSON object"),
])
private func aHostileFileIsAnErrorThatSaysWhy(hostile: Hostile) throws {
  let found = try #require(try message(hostile.bytes))
  #expect(found.contains(hostile.expected), "\(found)")
}

@Test func everyTruncationIsAnError() throws {
  let whole = file(header: good)
  for count in 0..<whole.count { #expect(try message(Array(whole[..<count])) != nil) }
}

/// What is said of a folder whose file has this header, and data of zeros.
private func folderMessage(_ header: String, data: Int) throws -> String? {
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent("massv-pipe-test-" + UUID().uuidString)
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  try Data(file(header: header, data: data)).write(to: folder.appendingPathComponent("model.safetensors"))
  do {
    _ = try WeightStore(folder: folder.path)
    return nil
  } catch {
    return error.message
  }
}

/// Tensors that do not belong together, `NAME TYPE SHAPE` each.
private struct Misfit: CustomTestStringConvertible, Sendable {
  let tensors: [String]
  let expected: String
  var testDescription: String { expected }

  init(_ tensors: String..., expected: String) {
    self.tensors = tensors
    self.expected = expected
  }

  /// The header with the tensors one behind the other, and how many bytes they take.
  var header: (text: String, data: Int) {
    let sizes = ["I8": 1, "U8": 1, "F32": 4, "I32": 4, "I64": 8]
    var at = 0
    var members: [String] = []
    for tensor in tensors {
      let words = tensor.split(separator: " ").map(String.init)
      let shape = words.dropFirst(2).compactMap { Int($0) }
      let end = at + (sizes[words[1]] ?? 0) * shape.reduce(1, *)
      members.append(#""\#(words[0])":{"dtype":"\#(words[1])","shape":\#(shape),"data_offsets":[\#(at),\#(end)]}"#)
      at = end
    }
    return ("{\(members.joined(separator: ","))}", at)
  }
}

@Test(arguments: [
  Misfit("w I8 2 64", "w_scale F32 3 1", expected: "scales of shape [3, 1] for [2, 64]"),
  Misfit("w I8 2 64", "w_scale F32 2 3", expected: "scales of shape [2, 3] for [2, 64]"),
  Misfit("w I8 2 64", "w_scale F32 2 0", expected: "scales of shape [2, 0] for [2, 64]"),
  Misfit("w I8 128", "w_scale F32 1", expected: "expected a matrix of whole numbers, found shape [128]"),
  Misfit("w I8 0 64", "w_scale F32 1", expected: "expected a matrix of whole numbers, found shape [0, 64]"),
  Misfit("w I8 2 64", "w_scale F32 2 1", "w_zero_point I8 2", expected: "expected zero points in I8 of shape [2, 1]"),
  Misfit("w I8 2 64", "w_scale F32 1", "w_g_idx I32 64", expected: "its columns stand in another order"),
  Misfit("w_packed I32 2 8", "w_scale F32 2 1", expected: "expected its shape, two numbers in I64"),
  Misfit(
    "w_packed I32 2 8", "w_scale F32 2 1", "w_shape I64 2",
    expected: "expected words of 0×0 weights of 4 or 8 bits, found 2×8"),
  Misfit("w_packed U8 2 8", "w_scale F32 2 1", expected: "expected I32 words of a matrix, found U8"),
])
private func wholeNumbersThatDoNotFitTheirScalesAreAnError(misfit: Misfit) throws {
  let header = misfit.header
  let found = try #require(try folderMessage(header.text, data: header.data))
  #expect(found.contains(misfit.expected) && found.contains("tensor \"w\""), "\(found)")
}
