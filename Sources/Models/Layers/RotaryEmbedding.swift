import Foundation
import Tensors

/// Where a token stands: time, height and width for M-RoPE; three equal numbers for plain text.
package struct Position: Sendable, Equatable {
  package var time: Int32
  package var height: Int32
  package var width: Int32

  package init(time: Int32, height: Int32, width: Int32) {
    self.time = time
    self.height = height
    self.width = width
  }

  /// A token of plain text.
  package init(_ index: Int) {
    let value = Int32(truncatingIfNeeded: index)
    self.init(time: value, height: value, width: value)
  }

  subscript(axis: Int) -> Int32 { axis == 0 ? time : axis == 1 ? height : width }
}

/// cos and sin of the angles that rows are turned by: [rows, width/2] each.
package typealias RotaryAngles = (cosine: Tensor, sine: Tensor)

/// Rotary position angles: frequency i is θ^(−2i/width), scaled where the model's positions are, in f32 as in the reference.
package struct RotaryEmbedding: Sendable {
  private let frequencies: [Float]
  /// What cos and sin are multiplied by.
  private let attention: Float
  /// Which coordinate turns each frequency; all 0 without M-RoPE.
  private let axes: [Int]
  /// cos and sin of the first positions, [positions, width/2]: the C library takes its time for each.
  private let cosines: Tensor
  private let sines: Tensor
  private static let known = 2048

  /// - Parameters:
  ///   - width: the head's width; frequencies are width/2.
  ///   - settings: base, scaling and sections.
  package init(width: Int, _ settings: RotarySettings) {
    let frequencies = settings.scaling.frequencies(width: width, base: settings.base)
    let attention = settings.scaling.attention
    (self.frequencies, self.attention) = (frequencies, attention)
    axes =
      settings.sections.isEmpty
      ? Array(repeating: 0, count: width / 2)
      : settings.sections.enumerated().flatMap { index, size in Array(repeating: index % 3, count: size) }
    func table(_ function: (Float) -> Float) -> Tensor {
      Tensor(
        rows: Self.known, columns: frequencies.count,
        values: (0..<Self.known).flatMap { position in frequencies.map { attention * function(Float(position) * $0) } })
    }
    (cosines, sines) = (table { cos($0) }, table { sin($0) })
  }

  /// cos and sin for each position: [positions, width/2].
  package func angles(_ positions: [Position]) -> RotaryAngles {
    let half = frequencies.count
    let cosine = Tensor(rows: positions.count, columns: half)
    let sine = Tensor(rows: positions.count, columns: half)
    fill(cosine, positions, from: cosines) { cos($0) }
    fill(sine, positions, from: sines) { sin($0) }
    return (cosine, sine)
  }

  private func fill(_ result: Tensor, _ positions: [Position], from table: Tensor, _ function: (Float) -> Float) {
    result.withMutable { out in
      table.withValues { known in
        var place = out
        for position in positions {
          for (i, axis) in axes.enumerated() {
            let turn = Int(position[axis])
            place[i] =
              (0..<Self.known).contains(turn)
              ? known[turn * axes.count + i] : attention * function(Float(position[axis]) * frequencies[i])
          }
          place += axes.count
        }
      }
    }
  }
}
