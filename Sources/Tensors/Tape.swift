import CKernels

/// What a training step has computed, and how gradients flow back through it: absent in inference.
///
/// Operations record themselves on the tape of their engine, where it has one. A tensor is known by its memory, so a
/// reshape is the same tensor, and an operation in place is recorded as from a tensor to itself. One owner at a time.
package final class Tape {
  private struct Entry {
    let output: Tensor
    let backward: (Tensor) -> Void
  }

  /// Whether layers are computed again on the way back instead of keeping what they computed.
  package let recomputes: Bool
  private var entries: [Entry] = []
  private var gradients: [ObjectIdentifier: Tensor] = [:]
  /// Tensors that a gradient is wanted of; they stay alive, so that their memory stays theirs.
  private var known: [ObjectIdentifier: Tensor] = [:]

  package init(recomputes: Bool = false) { self.recomputes = recomputes }

  /// Asks for the gradient of a tensor that no recorded operation made.
  package func watch(_ x: Tensor) { known[x.identity] = x }

  /// Whether a gradient of this tensor leads anywhere.
  func wants(_ x: Tensor) -> Bool { known[x.identity] != nil }

  /// Records an operation.
  ///
  /// - Parameter backward: takes the gradient of `output`, in its shape, and adds those of what it was made from.
  func record(_ output: Tensor, _ backward: @escaping (Tensor) -> Void) {
    known[output.identity] = output
    entries.append(Entry(output: output, backward: backward))
  }

  /// Adds to the gradient of a tensor, where one is wanted. A gradient that was handed over never changes.
  package func add(_ gradient: Tensor, to x: Tensor) {
    guard wants(x) else { return }
    if let other = gradients[x.identity] {
      gradients[x.identity] = sum(other, gradient)
    } else {
      gradients[x.identity] = gradient
    }
  }

  /// The gradient of a tensor that was watched, once `backward` has run; nil where none arrived.
  package func gradient(of x: Tensor) -> Tensor? {
    gradients[x.identity]?.reshaped(rows: x.rows, columns: x.columns)
  }

  /// Takes the gradient of `output`, and all that were added before, back to what was watched and to the parameters.
  package func backward(from output: Tensor, gradient: Tensor) {
    add(gradient, to: output)
    backward()
  }

  /// Takes the gradients that were added back to what was watched and to the parameters.
  package func backward() {
    while let entry = entries.popLast() {
      guard let gradient = gradients.removeValue(forKey: entry.output.identity) else { continue }
      entry.backward(gradient.reshaped(rows: entry.output.rows, columns: entry.output.columns))
    }
  }
}

/// x + y without a tape.
func sum(_ x: Tensor, _ y: Tensor) -> Tensor {
  let sum = Tensor(rows: x.rows, columns: x.columns)
  sum.withMutable { out in x.withValues { left in y.withValues { mp_sum(left, $0, out, sum.count) } } }
  return sum
}

/// Runs a part of a model; where the tape says so, what the part computed is not kept but computed again on the way
/// back.
///
/// - Parameter body: the part: it gets its input and the engine to compute on.
package func recomputed(
  _ x: Tensor, _ engine: Engine, _ body: @escaping (Tensor, Engine) -> Tensor
) -> Tensor {
  guard let tape = engine.tape, tape.recomputes else { return body(x, engine) }
  let result = body(x, engine.recording(on: nil))
  tape.record(result) { [unowned tape] gradient in
    let inner = Tape()
    inner.watch(x)
    let again = body(x, engine.recording(on: inner))
    inner.backward(from: again, gradient: gradient)
    if let gradient = inner.gradient(of: x) { tape.add(gradient, to: x) }
  }
  return result
}
