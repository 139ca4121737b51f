import CKernels
import Tensors
import Testing

/// An operation and the shapes of what it reads, which is noise: tensors that a gradient is asked of, and weights.
struct Differentiable {
  typealias Shape = (rows: Int, columns: Int)

  let tensors: [Shape]
  let weights: [Shape]
  /// The largest number of the inputs.
  let magnitude: Float
  let forward: ([Tensor], [Parameter], Engine) -> Tensor

  init(
    _ tensors: [Shape], weights: [Shape] = [], magnitude: Float = 1,
    _ forward: @escaping ([Tensor], [Parameter], Engine) -> Tensor
  ) {
    self.tensors = tensors
    self.weights = weights
    self.magnitude = magnitude
    self.forward = forward
  }

  /// What came out and the gradients of tensors and weights; nil where none arrived.
  struct Result: Equatable {
    var output: [Float]
    var gradients: [[Float]?]
  }

  /// The numbers that all inputs are made of.
  private var inputs: [[Float]] {
    (tensors + weights).enumerated().map { index, shape in
      noise(shape.rows * shape.columns, 100 + UInt64(index)).map { $0 * magnitude }
    }
  }

  /// What the outputs are weighed with, so that no two of them count alike.
  private func shares(_ count: Int) -> [Float] { noise(count, 99) }

  /// Forward and back.
  ///
  /// - Parameter watching: the one tensor that a gradient is asked of, with no weight in training; nil for all of them.
  func run(_ engine: Engine, recomputes: Bool = false, watching: Int? = nil) -> Result {
    let inputs = inputs
    let x = tensors.enumerated().map { Tensor(rows: $1.rows, columns: $1.columns, values: inputs[$0]) }
    let w = weights.enumerated().map { index, shape in
      let values = Tensor(rows: shape.rows, columns: shape.columns, values: inputs[tensors.count + index])
      return Parameter(name: "", shape: [shape.rows, shape.columns], values: values, isTrained: watching == nil)
    }
    let tape = Tape(recomputes: recomputes)
    for index in x.indices where watching ?? index == index { tape.watch(x[index]) }
    let output = forward(x, w, engine.recording(on: tape))
    // An operation may work in place: what it left is read before anything flows back.
    let values = output.values
    let gradient = Tensor(rows: output.rows, columns: output.columns, values: shares(output.count))
    tape.backward(from: output, gradient: gradient)
    return Result(output: values, gradients: x.map { tape.gradient(of: $0)?.values } + w.map { $0.gradient?.values })
  }

  /// Holds gradients against central differences of the same operation in double precision.
  ///
  /// - Parameters:
  ///   - sample: of how many elements of each input, where it has more.
  ///   - exact: the operation, of tensors and weights.
  func expect(sample: Int = .max, _ location: SourceLocation = #_sourceLocation, _ exact: ([Exact]) -> Exact) {
    let engine = Engine(threads: 2)
    let found = run(engine)
    var x = zip(tensors + weights, inputs).map { Exact($0.rows, $0.columns, values: $1) }
    let output = exact(x)
    #expect(relativeError(found.output, output.values) < 1e-5, "the output", sourceLocation: location)
    let shares = shares(output.values.count).map { Double($0) }
    func scalar() -> Double { zip(exact(x).values, shares).reduce(0) { $0 + $1.0 * $1.1 } }
    let step = 1e-5
    for index in x.indices {
      guard let gradient = found.gradients[index], gradient.count == x[index].values.count else {
        Issue.record("no gradient of input \(index)", sourceLocation: location)
        continue
      }
      let places = Self.places(x[index].values.count, sample)
      let expected = places.map { place in
        let before = x[index].values[place]
        defer { x[index].values[place] = before }
        x[index].values[place] = before + step
        let above = scalar()
        x[index].values[place] = before - step
        return (above - scalar()) / (2 * step)
      }
      let error = relativeError(places.map { gradient[$0] }, expected)
      #expect(error <= 1e-4, "the gradient of input \(index)", sourceLocation: location)
    }
    expectEachAlone(found, engine, location)
  }

  /// A gradient is the same whatever else one is asked of, and weights that are not trained gather none.
  private func expectEachAlone(_ all: Result, _ engine: Engine, _ location: SourceLocation) {
    for index in tensors.indices {
      let alone = run(engine, watching: index)
      let isSame = alone.gradients[index] == all.gradients[index]
      #expect(isSame, "input \(index) alone", sourceLocation: location)
      #expect(alone.gradients[tensors.count...].allSatisfy { $0 == nil }, sourceLocation: location)
    }
  }

  /// So many of the places below `count`, at random.
  private static func places(_ count: Int, _ sample: Int) -> [Int] {
    count <= sample ? Array(0..<count) : (0..<sample).map { Int(mp_mix(98, UInt64($0)) % UInt64(count)) }
  }
}
