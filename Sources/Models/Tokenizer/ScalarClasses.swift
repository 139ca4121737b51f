/// A set of characters of a tokenizer's Split pattern: Unicode categories, white space, ranges, or the negation.
struct ScalarSet: Sendable {
  /// Bits of `Unicode.GeneralCategory` in the order of `categoryIndex`.
  var categories: UInt32 = 0
  var includesWhiteSpace = false
  /// `\S` within brackets.
  var includesNonWhiteSpace = false
  var ranges: [ClosedRange<UInt32>] = []
  var isNegated = false
  /// The answers for ASCII, filled in by `prepare`.
  private var ascii: (UInt64, UInt64) = (0, 0)

  /// Fills in the answers for ASCII. Call it once the set is complete.
  mutating func prepare() {
    for value in 0..<UInt32(128) where answer(value) {
      if value < 64 { ascii.0 |= 1 << UInt64(value) } else { ascii.1 |= 1 << UInt64(value - 64) }
    }
  }

  @inline(__always) func contains(_ value: UInt32) -> Bool {
    if value < 64 { return ascii.0 >> UInt64(value) & 1 == 1 }
    if value < 128 { return ascii.1 >> UInt64(value - 64) & 1 == 1 }
    return answer(value)
  }

  private func answer(_ value: UInt32) -> Bool {
    let traits = ScalarTraits.of(value)
    var isMember = categories >> UInt32(traits & 31) & 1 == 1
    let isWhite = traits & 32 != 0
    isMember = isMember || (includesWhiteSpace && isWhite) || (includesNonWhiteSpace && !isWhite)
    isMember = isMember || ranges.contains { $0.contains(value) }
    return isMember != isNegated
  }

  /// Adds a general category (`Lu`) or a group of them (`L`); false where there is none of that name.
  mutating func add(category name: String) -> Bool {
    let matching = ScalarTraits.categoryNames.indices.filter { ScalarTraits.categoryNames[$0].hasPrefix(name) }
    for index in matching { categories |= 1 << UInt32(index) }
    return !matching.isEmpty && !name.isEmpty && name.count <= 2
  }
}

/// Category and white-space property of every scalar, one byte each.
enum ScalarTraits {
  static let categoryNames = [
    "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm",
    "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co", "Cn",
  ]

  private static let order: [Unicode.GeneralCategory] = [
    .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .nonspacingMark, .spacingMark,
    .enclosingMark, .decimalNumber, .letterNumber, .otherNumber, .connectorPunctuation, .dashPunctuation,
    .openPunctuation, .closePunctuation, .initialPunctuation, .finalPunctuation, .otherPunctuation, .mathSymbol,
    .currencySymbol, .modifierSymbol, .otherSymbol, .spaceSeparator, .lineSeparator, .paragraphSeparator, .control,
    .format, .surrogate, .privateUse, .unassigned,
  ]

  /// Planes 0 to 3 and 14, where everything but private use and unassigned scalars lies; about a quarter of a megabyte.
  private static let table: [UInt8] = (0..<UInt32(0x40000)).map(compute)

  /// The category's index, and 32 for white space.
  @inline(__always) static func of(_ value: UInt32) -> UInt8 {
    value < 0x40000 ? table[Int(value)] : compute(value)
  }

  private static func compute(_ value: UInt32) -> UInt8 {
    guard let scalar = Unicode.Scalar(value) else { return 29 }
    let category = order.firstIndex(of: scalar.properties.generalCategory) ?? 29
    return UInt8(category) | (scalar.properties.isWhitespace ? 32 : 0)
  }
}
