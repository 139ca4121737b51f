import Tensors
import Testing

/// What each row of a span sees.
enum Mask: CaseIterable, Sendable {
  case everything
  case causal
  /// The last four.
  case window
  /// Causal, but for rows 2 to 5, which see each other.
  case block

  func visible(_ spans: [Range<Int>], window: Int = 4) -> [Range<Int>]? {
    if self == .everything { return nil }
    return spans.flatMap { span in
      (0..<span.count).map { row in
        switch self {
        case .window: max(0, row + 1 - window)..<row + 1
        case .block where (2..<6).contains(row): 0..<min(6, span.count)
        default: 0..<row + 1
        }
      }
    }
  }
}

/// Attention of a training step's spans.
func attention(_ heads: AttentionHeads, _ spans: [Range<Int>], _ visible: [Range<Int>]?) -> Differentiable {
  let rows = spans.last?.upperBound ?? 0
  let (wide, narrow) = (heads.count * heads.width, heads.keyValueCount * heads.width)
  return Differentiable([(rows, wide), (rows, narrow), (rows, narrow)], magnitude: 2) { x, _, engine in
    attendWithin(
      spans, visible: visible, AttentionInput(query: (x[0], 0), key: (x[1], 0), value: (x[2], 0)), heads, engine)
  }
}

@Suite struct AttentionGradientTests {
  @Test(arguments: Mask.allCases) func spansOfSeveralLengths(mask: Mask) {
    let heads = AttentionHeads(count: 4, keyValueCount: 2, width: 6)
    let spans = [0..<9, 9..<10, 10..<27]
    let visible = mask.visible(spans)
    attention(heads, spans, visible).expect { exactAttention($0[0], $0[1], $0[2], heads, spans, visible) }
  }

  /// The way back takes 128 queries at a time; with a window, the second time begins behind the first slots.
  @Test(arguments: [Mask.everything, .causal, .window]) func aSpanLongerThanABlock(mask: Mask) {
    let heads = AttentionHeads(count: 2, keyValueCount: 1, width: 8, scale: 0.5)
    let spans = [0..<3, 3..<150]
    let visible = mask.visible(spans, window: 20)
    attention(heads, spans, visible).expect(sample: 40) {
      exactAttention($0[0], $0[1], $0[2], heads, spans, visible)
    }
  }

  /// Wider than a tile of a product.
  @Test func wideHeads() {
    let heads = AttentionHeads(count: 1, width: 72)
    attention(heads, [0..<11], nil).expect(sample: 200) { exactAttention($0[0], $0[1], $0[2], heads, [0..<11], nil) }
  }

  @Test func queriesThatAreTheirOwnKeysAndValues() {
    let heads = AttentionHeads(count: 2, width: 5)
    Differentiable([(7, 10)]) { x, _, engine in
      attendWithin(
        [0..<7], AttentionInput(query: (x[0], 0), key: (x[0], 0), value: (x[0], 0)), heads, engine)
    }.expect { exactAttention($0[0], $0[0], $0[0], heads, [0..<7], nil) }
  }
}
