import Foundation
import Tensors
import Testing

@testable import Models

private let folder =
  URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().path
  + "/Fixtures/models/"

private func layers(_ name: String, threads: Int) throws -> [Weight] {
  let files = try ModelFiles(path: folder + name, format: .q4, engine: Engine(threads: threads))
  return try TargetModel(files).language.layerLinears.map(\.weight)
}

/// What columns count is measured with the model itself, and no more depends on the threads than anything else.
@Test(arguments: ["qwen2-text", "gemma3-text", "random-target"]) func fourBitsAreThoseOfAnyThreads(name: String) throws
{
  let (one, two) = (try layers(name, threads: 1), try layers(name, threads: 2))
  try #require(one.count == two.count && one.count > 6)
  for (a, b) in zip(one, two) { #expect(a.withBytes { Array($0) } == b.withBytes { Array($0) }) }
  // In the order of a layer's products: query, key, value, output, gate, up, down.
  let shares = try TargetModel(ModelFiles(path: folder + name)).language.configuration
  let keyValue: WeightFormat = shares.keyValueHeads < shares.heads ? .q8 : .q4
  #expect(one.prefix(7).map(\.format) == [.q4, keyValue, keyValue, .q4, .q4, .q4, .q4])
  // Without what was measured, down's scales are others.
  let exact = try TargetModel(ModelFiles(path: folder + name, format: .f32)).language.layerLinears[6].weight
  let values = Tensor(rows: exact.rows, columns: exact.columns, values: exact.values)
  #expect(Weight(StoredTensor(values), as: .q4, Engine(threads: 1)).values != one[6].values)
}

/// Where most weights are the table's, the gates have eight bits: sizes of Gemma 3 270M, and with a table as large as its layers.
@Test(arguments: [(262_144, WeightFormat.q8), (156_672, .q4)]) func gatesAreExactBesideALargeTable(
  vocabulary: Int, expected: WeightFormat
) throws {
  let sizes = DecoderConfiguration(
    vocabulary: vocabulary, hidden: 640, layers: 18, heads: 4, keyValueHeads: 1, headWidth: 256, intermediate: 2048,
    epsilon: 1e-6, tiedHead: true, maximumPositions: 32768, windows: [])
  let store = WeightStore(inventing: "zeros") { _, shape in
    StoredTensor(Tensor.zeros(rows: shape[0], columns: shape[1]))
  }
  let loader = WeightLoader(
    store, format: .q4, cacheType: .f32, kept: nil, importance: nil, nil, parameters: nil, normsHoldOne: false
  ) { $0 }
  #expect(try loader.gates(sizes).matrix("gate", [64, 64]).format == expected)
  #expect(try loader.matrix("down", [64, 64]).format == .q4)
}
