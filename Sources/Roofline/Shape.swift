import JSON
import Models

/// Model shapes by name: what their published `config.json` say about sizes.
package enum Shape {
  /// Every shape.
  package static let all: [(name: String, config: String)] = [
    (
      "gemma3-270m",
      """
      {"model_type":"gemma3_text","hidden_size":640,"intermediate_size":2048,"num_hidden_layers":18,
       "num_attention_heads":4,"num_key_value_heads":1,"head_dim":256,"vocab_size":262144,"sliding_window":512,
       "query_pre_attn_scalar":256,"max_position_embeddings":32768,"tie_word_embeddings":true}
      """
    ),
    (
      // No published model: as small as a drafter for the next.
      "qwen2-50m",
      """
      {"model_type":"qwen2","hidden_size":256,"intermediate_size":1024,"num_hidden_layers":4,
       "num_attention_heads":4,"num_key_value_heads":2,"vocab_size":151936,"tie_word_embeddings":true}
      """
    ),
    (
      // A drafter as it is trained from scratch: 28 million weights.
      "qwen2-28m",
      """
      {"model_type":"qwen2","hidden_size":512,"intermediate_size":1408,"num_hidden_layers":8,
       "num_attention_heads":8,"num_key_value_heads":4,"vocab_size":8192,"tie_word_embeddings":true}
      """
    ),
    (
      "qwen2-0.5b",
      """
      {"model_type":"qwen2","hidden_size":896,"intermediate_size":4864,"num_hidden_layers":24,
       "num_attention_heads":14,"num_key_value_heads":2,"vocab_size":151936,"tie_word_embeddings":true}
      """
    ),
    (
      "qwen2-1.5b",
      """
      {"model_type":"qwen2","hidden_size":1536,"intermediate_size":8960,"num_hidden_layers":28,
       "num_attention_heads":12,"num_key_value_heads":2,"vocab_size":151936,"tie_word_embeddings":true}
      """
    ),
    (
      "qwen2.5-vl-3b",
      """
      {"model_type":"qwen2_5_vl","hidden_size":2048,"intermediate_size":11008,"num_hidden_layers":36,
       "num_attention_heads":16,"num_key_value_heads":2,"vocab_size":151936,"tie_word_embeddings":true,
       "rope_scaling":{"type":"mrope","mrope_section":[16,24,24]},"vision_config":{"out_hidden_size":2048}}
      """
    ),
    (
      "qwen2.5-vl-7b",
      """
      {"model_type":"qwen2_5_vl","hidden_size":3584,"intermediate_size":18944,"num_hidden_layers":28,
       "num_attention_heads":28,"num_key_value_heads":4,"vocab_size":152064,"tie_word_embeddings":false,
       "rope_scaling":{"type":"mrope","mrope_section":[16,24,24]},"vision_config":{"out_hidden_size":3584}}
      """
    ),
  ]

  /// The configuration of a shape: one of the names, or a `config.json`.
  package static func config(_ name: String) throws -> ConfigReader {
    guard let shape = all.first(where: { $0.name == name }) else {
      if name.hasSuffix(".json") { return try ConfigReader(path: name) }
      let known = all.map(\.name).joined(separator: ", ")
      throw ModelError(
        "expected a shape (\(known)), a config.json, a model's folder or a .gguf file, found \"\(name)\"")
    }
    return ConfigReader(place: name, json: try JSONValue(parsing: Array(shape.config.utf8)))
  }
}
