import Tensors

/// Sizes of a Qwen2 decoder, the language model of Qwen2.5-VL and of its drafters.
package struct DecoderConfiguration: Sendable, Equatable {
  package var vocabulary: Int
  package var hidden: Int
  package var layers: Int
  package var heads: Int
  package var keyValueHeads: Int
  package var headWidth: Int
  package var intermediate: Int
  package var epsilon: Float
  package var ropeBase: Double
  /// M-RoPE's sections, empty for plain rotary positions.
  package var ropeSections: [Int]
  package var tiedHead: Bool
  package var maximumPositions: Int

  /// Bytes of cached keys and values a token.
  package var cacheBytesPerToken: Int {
    KVCache.byteCount(layers: layers, heads: keyValueHeads, width: headWidth, capacity: 1)
  }

  /// An empty cache for a sequence of at most `capacity` tokens.
  package func makeCache(capacity: Int) -> KVCache {
    KVCache(layers: layers, heads: keyValueHeads, width: headWidth, capacity: capacity)
  }
}

/// Rows of one sequence within a pass: where they stand and the cache they read and extend.
package struct DecoderSpan {
  package let cache: KVCache
  package let positions: [Position]

  package init(cache: KVCache, positions: [Position]) {
    self.cache = cache
    self.positions = positions
  }
}

/// A decoder-only transformer with grouped-query attention, rotary positions and a gated SiLU feed-forward.
package struct Decoder: Sendable {
  struct Layer: Sendable {
    let inputNorm: RMSNorm
    let query: Linear
    let key: Linear
    let value: Linear
    let output: Linear
    let postNorm: RMSNorm
    let gate: Linear
    let up: Linear
    let down: Linear
  }

  package let configuration: DecoderConfiguration
  let embedding: Weight
  let layers: [Layer]
  let norm: RMSNorm
  let head: Linear
  private let rotary: RotaryEmbedding

  /// Loads the weights under `prefix` (`model.`), the head as `lm_head.weight` where it is not tied.
  package init(
    _ configuration: DecoderConfiguration, weights: WeightLoader, prefix: String, headName: String
  ) throws(WeightError) {
    self.configuration = configuration
    let hidden = configuration.hidden
    embedding = try weights.matrix(prefix + "embed_tokens.weight", [configuration.vocabulary, hidden])
    var layers: [Layer] = []
    for index in 0..<configuration.layers {
      layers.append(try Self.layer(configuration, weights, "\(prefix)layers.\(index)."))
    }
    self.layers = layers
    norm = try weights.norm(prefix + "norm", hidden, epsilon: configuration.epsilon)
    if configuration.tiedHead {
      head = Linear(weight: embedding, bias: nil)
      weights.store.ignore(headName)
    } else {
      head = Linear(weight: try weights.matrix(headName, [configuration.vocabulary, hidden]), bias: nil)
    }
    rotary = RotaryEmbedding(
      width: configuration.headWidth, base: configuration.ropeBase, sections: configuration.ropeSections)
  }

  private static func layer(
    _ sizes: DecoderConfiguration, _ weights: WeightLoader, _ prefix: String
  ) throws(WeightError) -> Layer {
    let queryWidth = sizes.heads * sizes.headWidth
    let keyWidth = sizes.keyValueHeads * sizes.headWidth
    let attention = prefix + "self_attn."
    let mlp = prefix + "mlp."
    return Layer(
      inputNorm: try weights.norm(prefix + "input_layernorm", sizes.hidden, epsilon: sizes.epsilon),
      query: try weights.linear(attention + "q_proj", queryWidth, sizes.hidden, bias: true),
      key: try weights.linear(attention + "k_proj", keyWidth, sizes.hidden, bias: true),
      value: try weights.linear(attention + "v_proj", keyWidth, sizes.hidden, bias: true),
      output: try weights.linear(attention + "o_proj", sizes.hidden, queryWidth, bias: false),
      postNorm: try weights.norm(prefix + "post_attention_layernorm", sizes.hidden, epsilon: sizes.epsilon),
      gate: try weights.linear(mlp + "gate_proj", sizes.intermediate, sizes.hidden, bias: false),
      up: try weights.linear(mlp + "up_proj", sizes.intermediate, sizes.hidden, bias: false),
      down: try weights.linear(mlp + "down_proj", sizes.hidden, sizes.intermediate, bias: false))
  }

  /// Embeddings of tokens: [tokens, hidden]. Ids beyond the table are the caller's mistake.
  package func embed(_ tokens: [Int32]) -> Tensor {
    let result = Tensor(rows: tokens.count, columns: configuration.hidden)
    result.withMutable { out in
      for (row, token) in tokens.enumerated() {
        embedding.copyRow(Int(token), to: out + row * configuration.hidden)
      }
    }
    return result
  }

  /// Embeddings of tokens with visual tokens in the places of their placeholder, in order: [tokens, hidden].
  package func embed(_ tokens: [Int32], visual: Tensor, placeholder: Int32) -> Tensor {
    let result = embed(tokens)
    var next = 0
    result.withMutable { out in
      visual.withValues { rows in
        for (row, token) in tokens.enumerated() where token == placeholder && next < visual.rows {
          (out + row * configuration.hidden).update(from: rows + next * visual.columns, count: visual.columns)
          next += 1
        }
      }
    }
    return result
  }

  /// Runs rows of one or several sequences through all layers and extends their caches.
  ///
  /// - Parameter x: embeddings [rows, hidden], the spans' rows one behind the other.
  /// - Returns: the normed last hidden states [rows, hidden].
  package func hiddenStates(_ x: Tensor, spans: [DecoderSpan], path: ProductPath, _ engine: Engine) -> Tensor {
    let angles = rotary.angles(spans.flatMap(\.positions))
    var x = x
    for (index, layer) in layers.enumerated() {
      let normed = layer.inputNorm(x)
      let query = layer.query(normed, path, engine)
      let key = layer.key(normed, path, engine)
      let value = layer.value(normed, path, engine)
      rotate(query, heads: configuration.heads, cosine: angles.cosine, sine: angles.sine)
      rotate(key, heads: configuration.keyValueHeads, cosine: angles.cosine, sine: angles.sine)
      let mixed = attention(query, key, value, layer: index, spans: spans, engine)
      x = adding(x, layer.output(mixed, path, engine))
      let inner = layer.postNorm(x)
      let gate = layer.gate(inner, path, engine)
      siluMultiply(gate, layer.up(inner, path, engine), engine)
      x = adding(x, layer.down(gate, path, engine))
    }
    for span in spans { span.cache.advance(by: span.positions.count) }
    return norm(x)
  }

  /// Logits of hidden states: [rows, vocabulary], always by the decoding path.
  package func logits(_ hidden: Tensor, _ engine: Engine) -> Tensor { head(hidden, .decode, engine) }

  /// Each row attends to its own sequence up to itself.
  private func attention(
    _ query: Tensor, _ key: Tensor, _ value: Tensor, layer: Int, spans: [DecoderSpan], _ engine: Engine
  ) -> Tensor {
    var rows: [(cache: KVCache, slot: Int)] = []
    key.withValues { keys in
      value.withValues { values in
        for span in spans {
          for offset in 0..<span.positions.count {
            let slot = span.cache.length + offset
            span.cache.write(
              layer: layer, slot: slot, keys: keys + rows.count * key.columns,
              values: values + rows.count * value.columns)
            rows.append((span.cache, slot))
          }
        }
      }
    }
    return attend(query, rows: rows, layer: layer, engine)
  }

  private func attend(
    _ query: Tensor, rows: [(cache: KVCache, slot: Int)], layer: Int, _ engine: Engine
  ) -> Tensor {
    let heads = configuration.heads
    let group = heads / configuration.keyValueHeads
    let width = configuration.headWidth
    let scale = 1 / Float(width).squareRoot()
    let mixed = Tensor(rows: query.rows, columns: query.columns)
    query.withValues { queries in
      mixed.withMutable { out in
        engine.parallel(rows.count * configuration.keyValueHeads) { task in
          let row = task / configuration.keyValueHeads
          let keyHead = task % configuration.keyValueHeads
          let keys = rows[row].cache.keys(layer: layer, head: keyHead)
          let values = rows[row].cache.values(layer: layer, head: keyHead)
          for head in keyHead * group..<(keyHead + 1) * group {
            let place = row * query.columns + head * width
            Tensors.attend(
              queries + place, keys: keys, keyStride: width, values: values, valueStride: width,
              count: rows[row].slot + 1, width: width, scale: scale, out: out + place)
          }
        }
      }
    }
    return mixed
  }
}
