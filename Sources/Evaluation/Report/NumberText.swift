/// Numbers as a reader wants them: the same in every place and language.
enum NumberText {
  /// Stands where there is no number.
  static let none = "–"

  /// A number with as many decimals.
  static func fixed(_ value: Double?, _ decimals: Int) -> String {
    guard let value, value.isFinite else { return none }
    let scale = (0..<decimals).reduce(1.0) { scale, _ in scale * 10 }
    guard let whole = Int(exactly: (abs(value) * scale).rounded()) else { return "\(value)" }
    let digits = String(whole)
    let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
    let sign = value < 0 && whole != 0 ? "−" : ""
    guard decimals > 0 else { return sign + padded }
    return sign + padded.dropLast(decimals) + "." + padded.suffix(decimals)
  }

  /// A number with about three digits that count, as speeds and seconds are told.
  static func rounded(_ value: Double?) -> String {
    guard let value, value.isFinite else { return none }
    let size = abs(value)
    return fixed(value, size >= 100 || size == 0 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : size >= 0.1 ? 3 : 4)
  }

  /// A number without decimals that say nothing: 0, 0.7, 1.
  static func short(_ value: Double) -> String {
    var text = fixed(value, 3)
    guard text.contains(".") else { return text }
    while text.hasSuffix("0") { text.removeLast() }
    if text.hasSuffix(".") { text.removeLast() }
    return text
  }

  /// A place in a figure: as SVG reads numbers.
  static func place(_ value: Double) -> String {
    let tenths = (min(max(value.isFinite ? value : 0, -1e6), 1e6) * 10).rounded() / 10
    return Int(exactly: tenths).map(String.init) ?? "\(tenths)"
  }

  /// Text that is not longer than this.
  static func cut(_ text: String, _ length: Int) -> String {
    text.count <= length ? text : text.prefix(length - 1) + "…"
  }
}
