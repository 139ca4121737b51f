import Foundation

/// What a configuration says about rotary positions.
package struct RotarySettings: Sendable, Equatable {
  package let base: Double
  package let scaling: RotaryScaling
  /// M-RoPE's sections, which sum to half the head's width; empty for plain positions.
  package let sections: [Int]

  package init(base: Double, scaling: RotaryScaling = .none, sections: [Int] = []) {
    self.base = base
    self.scaling = scaling
    self.sections = sections
  }

  /// The part of a configuration that says it: `rope_scaling`, which transformers prefers, or `rope_parameters`.
  static func section(of model: ConfigReader) -> ConfigReader? {
    if let settings = model.object("rope_scaling"), case .object(let members) = settings.json, !members.isEmpty {
      return settings
    }
    return model.object("rope_parameters")
  }

  /// - Parameters:
  ///   - settings: nil for plain positions.
  ///   - model: what `settings` is part of.
  ///   - base: where they name none.
  ///   - positions: what the model first learnt, where `settings` do not say.
  ///   - headWidth: where positions may have sections.
  init(
    _ settings: ConfigReader?, of model: ConfigReader, base fallback: Double, positions: Int, headWidth: Int? = nil
  ) throws(ModelError) {
    base = try settings?.number("rope_theta", default: fallback) ?? fallback
    guard base > 0 else { throw (settings ?? model).invalid("rope_theta", expected: "a number above 0") }
    guard let settings else {
      scaling = .none
      sections = []
      return
    }
    scaling = try Self.scaling(settings, positions: positions, isMultimodal: headWidth != nil)
    sections = try headWidth.map { width throws(ModelError) in try Self.sections(settings, headWidth: width) } ?? []
  }

  private static func sections(_ settings: ConfigReader, headWidth: Int) throws(ModelError) -> [Int] {
    let sections = try settings.integers("mrope_section") ?? []
    guard
      sections.isEmpty
        || (sections.allSatisfy { (1...headWidth).contains($0) } && sections.reduce(0, +) == headWidth / 2)
    else {
      throw settings.invalid("mrope_section", expected: "sizes that sum to half the head width, \(headWidth / 2)")
    }
    return sections
  }

  private static func scaling(
    _ settings: ConfigReader, positions: Int, isMultimodal: Bool
  ) throws(ModelError) -> RotaryScaling {
    let key = try settings.text("rope_type") == nil ? "type" : "rope_type"
    func above0(_ key: String, default fallback: Double? = nil) throws(ModelError) -> Double {
      let value = try settings.number(key, default: fallback)
      guard value > 0 else { throw settings.invalid(key, expected: "a number above 0") }
      return value
    }
    func original() throws(ModelError) -> Double {
      try above0("original_max_position_embeddings", default: Double(positions))
    }
    switch try settings.text(key) ?? "default" {
    case "default": return .none
    case "mrope" where isMultimodal: return .none
    case "linear": return .linear(factor: try above0("factor"))
    case "llama3":
      let (low, high) = (try above0("low_freq_factor"), try above0("high_freq_factor"))
      guard high > low else { throw settings.invalid("high_freq_factor", expected: "more than low_freq_factor") }
      return .llama3(factor: try above0("factor"), low: low, high: high, original: try original())
    case "yarn":
      let factor = try above0("factor", default: Double(positions) / original())
      return .yarn(
        factor: factor, fast: try above0("beta_fast", default: 32), slow: try above0("beta_slow", default: 1),
        original: try original(), isTruncated: try settings.flag("truncate", default: true),
        attention: try attention(settings, factor: factor))
    default: throw settings.invalid(key, expected: "\"default\", \"linear\", \"llama3\" or \"yarn\"")
    }
  }

  /// What YaRN multiplies cos and sin by.
  private static func attention(_ settings: ConfigReader, factor: Double) throws(ModelError) -> Double {
    if let attention = try settings.optionalNumber("attention_factor") { return attention }
    func scale(_ weight: Double) -> Double { factor <= 1 ? 1 : 0.1 * weight * log(factor) + 1 }
    let above = try settings.number("mscale", default: 0)
    let below = try settings.number("mscale_all_dim", default: 0)
    return above != 0 && below != 0 ? scale(above) / scale(below) : scale(1)
  }
}
