/// What a configuration says about rotary positions, where they are plain or scaled linearly.
struct RotarySettings: Sendable, Equatable {
  let base: Double
  /// 1 without scaling.
  let factor: Double

  /// - Parameters:
  ///   - settings: `rope_parameters` or `rope_scaling`; nil for plain positions.
  ///   - model: what `settings` is part of.
  init(_ settings: ConfigReader?, of model: ConfigReader, base fallback: Double) throws(ModelError) {
    base = try settings?.number("rope_theta", default: fallback) ?? fallback
    guard base > 0 else { throw (settings ?? model).invalid("rope_theta", expected: "a number above 0") }
    guard let settings else {
      factor = 1
      return
    }
    var kind = try settings.text("rope_type")
    if kind == nil { kind = try settings.text("type") }
    switch kind ?? "default" {
    case "default": factor = 1
    case "linear":
      factor = try settings.number("factor")
      guard factor > 0 else { throw settings.invalid("factor", expected: "a number above 0") }
    default: throw settings.invalid("rope_type", expected: "\"default\" or \"linear\"")
    }
  }
}
