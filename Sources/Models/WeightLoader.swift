import Messages
import Tensors

/// Weights under the names a model asks for, in the format the engine computes with.
package struct WeightLoader: Sendable {
  /// What a weight is for: with q4, all but the layers' large products have q8.
  enum Part: Sendable {
    case layer
    /// A layer's products on which much depends beside what four bits would save.
    case sensitive
    /// The table of embeddings and the head.
    case table
    case vision
  }

  package let store: WeightStore
  /// The format to compute with, nil for as stored.
  package let format: WeightFormat?
  /// What caches of keys and values hold.
  let cacheType: ElementType
  /// nil where the weights' values are not wanted.
  private let engine: Engine?
  private let kept: PackedCache?
  /// How much columns count in four bits; nil where they are alike.
  private let importance: ColumnImportance?
  /// Where the weights are taken up to be trained; nil to compute with them alone.
  private let parameters: ParameterSet?
  /// Whether norms are stored with the 1 that Gemma adds to them.
  private let normsHoldOne: Bool
  /// Rewrites a published name into the one that this file uses.
  private let rename: @Sendable (String) -> String
  private var part = Part.layer

  /// Weights as they are stored; with `parameters`, taken up to be trained.
  package init(_ store: WeightStore, _ engine: Engine?, parameters: ParameterSet? = nil) {
    self.init(
      store, format: nil, cacheType: .f32, kept: nil, importance: nil, engine, parameters: parameters,
      normsHoldOne: false
    ) { $0 }
  }

  init(
    _ store: WeightStore, format: WeightFormat?, cacheType: ElementType, kept: PackedCache?,
    importance: ColumnImportance?, _ engine: Engine?, parameters: ParameterSet?, normsHoldOne: Bool,
    rename: @escaping @Sendable (String) -> String
  ) {
    self.store = store
    self.format = format
    self.cacheType = cacheType
    self.kept = kept
    self.importance = importance
    self.engine = engine
    self.parameters = parameters
    self.normsHoldOne = normsHoldOne
    self.rename = rename
  }

  /// Once the model has asked for all it needs: throws if any tensor was never asked for.
  func finish() throws(WeightError) {
    try store.finish()
    if let problem = kept?.save() { complain(problem) }
  }

  /// The loader for a part of the model.
  func loading(_ part: Part) -> WeightLoader {
    var copy = self
    copy.part = part
    return copy
  }

  /// The loader for what keys and values are made with: few weights where several heads share them.
  func keyValues(_ sizes: DecoderConfiguration) -> WeightLoader {
    sizes.keyValueHeads < sizes.heads ? loading(.sensitive) : self
  }

  /// The loader for the gate and what it lets through. Where most weights are the table's, with eight bits anyway, four save
  /// little here and cost most: of Gemma 3 270M's perplexity 4 %, for a twelfth of its bytes.
  func gates(_ sizes: DecoderConfiguration) -> WeightLoader {
    Double(sizes.vocabulary * sizes.hidden) > sizes.layerWeights ? loading(.sensitive) : self
  }

  /// The format for a part: four bits are for the layers' large products alone.
  private var partFormat: WeightFormat? { format == .q4 && part != .layer ? .q8 : format }

  /// A tensor of this shape as a matrix of its first dimension by the rest, as it is stored.
  func stored(_ name: String, _ shape: [Int]) throws(WeightError) -> StoredTensor {
    try store.tensor(rename(name), shape: shape)
  }

  /// A tensor of this shape, packed as a matrix of its first dimension by the rest.
  package func matrix(_ name: String, _ shape: [Int]) throws(WeightError) -> Weight {
    let stored = try stored(name, shape)
    if let parameters { return Weight(parameters.take(stored, name: rename(name), shape: shape)) }
    return packed(stored, name)
  }

  /// A matrix that is stored as [inputs, outputs]: → [outputs, inputs].
  func transposedMatrix(_ name: String, inputs: Int, outputs: Int) throws(WeightError) -> Weight {
    let stored = try stored(name, [inputs, outputs])
    guard let parameters else { return packed(stored.transposed(), name) }
    return Weight(
      parameters.take(stored.transposed(), name: rename(name), shape: [inputs, outputs], isTransposed: true))
  }

  /// A table whose rows are looked up and never multiplied, in f32.
  func lookup(_ name: String, _ shape: [Int]) throws(WeightError) -> Weight {
    let stored = try stored(name, shape)
    if let parameters { return Weight(parameters.take(stored, name: rename(name), shape: shape)) }
    return engine.map { Weight(stored, as: .f32, $0) } ?? Weight(weighing: stored, as: .f32)
  }

  /// The bias of a product, as floats or to be trained.
  func bias(_ name: String, _ count: Int) throws(WeightError) -> WeightVector { try weights(name, count) }

  /// Stored rows, packed; `name` is what they are kept under.
  func packed(_ stored: StoredTensor, _ name: String) -> Weight {
    guard let engine else { return Weight(weighing: stored, as: partFormat) }
    guard let format = partFormat, let kept else { return made(stored, name, engine) }
    return kept.weight(name, rows: stored.rows, columns: stored.columns, format: format) {
      made(stored, name, engine)
    }
  }

  private func made(_ stored: StoredTensor, _ name: String, _ engine: Engine) -> Weight {
    let columns = partFormat == .q4 && stored.nearestFormat != .q4 ? importance?.of(name) : nil
    let weight = Weight(
      stored, as: partFormat, importance: columns?.count == stored.columns ? columns : nil, engine)
    if part == .layer { engine.gauge?.watch(weight, as: name) }
    return weight
  }

  /// Marks a tensor as known though nothing computes with it.
  package func ignore(_ name: String) { store.ignore(rename(name)) }

  /// A vector as floats.
  package func vector(_ name: String, _ count: Int) throws(WeightError) -> [Float] {
    try stored(name, [count]).values
  }

  /// A vector of weights, with what is added to what is stored.
  private func weights(_ name: String, _ count: Int, offset: Float = 0) throws(WeightError) -> WeightVector {
    let stored = try stored(name, [count])
    guard let parameters else { return WeightVector(offset == 0 ? stored.values : stored.values.map { $0 + offset }) }
    return WeightVector(parameters.take(stored, name: rename(name), shape: [count]), offset: offset)
  }

  /// `NAME.weight` and, where asked for, `NAME.bias`.
  package func linear(_ name: String, _ outputs: Int, _ inputs: Int, bias: Bool) throws(WeightError) -> Linear {
    Linear(
      weight: try matrix(name + ".weight", [outputs, inputs]),
      bias: bias ? try weights(name + ".bias", outputs) : nil)
  }

  /// Whether the head is the embedding: where the configuration says so, unless another head is stored all the same, which
  /// then counts, as in transformers 5.
  func isHeadTied(_ name: String, to table: String, _ sizes: DecoderConfiguration) throws(WeightError) -> Bool {
    guard sizes.tiedHead, store.contains(rename(name)) else { return sizes.tiedHead }
    let shape = [sizes.vocabulary, sizes.hidden]
    return try stored(name, shape).holdsSame(as: stored(table, shape))
  }

  /// The head that turns hidden states into logits: its own weight, or the embedding where the two are tied, of which a
  /// stored copy is passed over.
  package func head(
    _ name: String, tiedTo embedding: Weight?, _ sizes: DecoderConfiguration
  ) throws(WeightError) -> Linear {
    guard let embedding else {
      return Linear(weight: try loading(.table).matrix(name, [sizes.vocabulary, sizes.hidden]), bias: nil)
    }
    store.ignore(rename(name))
    return Linear(weight: embedding, bias: nil)
  }

  /// `NAME.weight` and `NAME.bias` as a layer norm.
  package func layerNorm(_ name: String, _ width: Int, epsilon: Float) throws(WeightError) -> LayerNorm {
    LayerNorm(
      weight: try weights(name + ".weight", width), bias: try weights(name + ".bias", width), epsilon: epsilon)
  }

  /// `NAME.weight` as a root-mean-square norm whose weight is stored less 1, as in Gemma.
  package func offsetNorm(_ name: String, _ width: Int, epsilon: Float) throws(WeightError) -> RMSNorm {
    RMSNorm(weight: try weights(name + ".weight", width, offset: normsHoldOne ? 0 : 1), epsilon: epsilon)
  }

  /// `NAME.weight` as a root-mean-square norm.
  package func norm(_ name: String, _ width: Int, epsilon: Float) throws(WeightError) -> RMSNorm {
    RMSNorm(weight: try weights(name + ".weight", width), epsilon: epsilon)
  }
}
