/// What things are called. In every list the first word is the usual one.
enum Words {
  /// A noun, and what it is called when there are several.
  struct Noun: Sendable {
    let one: String
    let many: String

    init(_ one: String, _ many: String? = nil) {
      self.one = one
      self.many = many ?? one + "s"
    }
  }

  /// In the order of `Shape`.
  static let shapes: [[Noun]] = [
    [Noun("circle"), Noun("disc")], [Noun("square"), Noun("box", "boxes")], [Noun("triangle")], [Noun("star")],
    [Noun("ring"), Noun("hoop")], [Noun("cross", "crosses"), Noun("plus sign")],
    [Noun("diamond"), Noun("rhombus", "rhombuses")], [Noun("heart")],
  ]

  /// In the order of `Colour`.
  static let colours = [
    ["red", "scarlet"], ["green"], ["blue"], ["yellow"], ["orange"], ["purple", "violet"], ["white"], ["black"],
    ["pink", "rose"],
  ]

  static let things = [
    Noun("shape"), Noun("object"), Noun("figure"), Noun("form"), Noun("item"), Noun("thing"), Noun("element"),
  ]

  static let pictures = ["picture", "image", "scene", "view", "frame"]

  static let numbers = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]

  /// Names of so many things together, from none on.
  static let groups = ["", "", "a pair of", "a trio of", "a quartet of", "a quintet of"]

  /// In the order of `ObjectSize`.
  static let sizes: [Choices] = [["small", "little", "tiny"], ["large", "big", "huge"]]

  /// In the order of `Texture`.
  static let textures: [Choices] = [
    ["plain", "solid"], ["striped", "lined"], ["dotted", "spotted"], ["checked", "checkered"],
  ]

  /// The same, said behind the noun.
  static let texturesBehind: [Choices] = [
    ["without a pattern", "with a plain surface"], ["with stripes", "with lines across it"],
    ["with dots", "covered in spots"], ["with checks", "with a pattern of checks"],
  ]

  /// Ways to name the nine places, row after row. A voice keeps to one of them.
  static let places = [
    [
      "at the top left", "at the top", "at the top right", "on the left", "in the centre", "on the right",
      "at the bottom left", "at the bottom", "at the bottom right",
    ],
    [
      "in the upper left corner", "in the upper middle", "in the upper right corner", "on the left side",
      "in the middle", "on the right side", "in the lower left corner", "in the lower middle",
      "in the lower right corner",
    ],
    [
      "in the top left corner", "at the top edge", "in the top right corner", "at the left edge",
      "in the very middle", "at the right edge", "in the bottom left corner", "at the bottom edge",
      "in the bottom right corner",
    ],
    [
      "near the upper left corner", "near the upper edge", "near the upper right corner", "near the left edge",
      "near the centre", "near the right edge", "near the lower left corner", "near the lower edge",
      "near the lower right corner",
    ],
    [
      "on the left of the top row", "in the middle of the top row", "on the right of the top row",
      "on the left of the middle row", "in the centre of the middle row", "on the right of the middle row",
      "on the left of the bottom row", "in the middle of the bottom row", "on the right of the bottom row",
    ],
  ]

  /// Slots that any sentence may have.
  static let choices: [String: Choices] = [
    "is": [
      "is", "sits", "lies", "appears", "can be seen", "stands", "is placed", "rests", "is found", "is located",
      "shows up",
      "has its place", "is drawn", "waits", "is positioned",
    ],
    "shows": [
      "shows", "contains", "has", "holds", "presents", "displays", "includes", "features", "depicts", "offers",
    ],
    "appear": ["appear", "are visible", "can be seen", "are shown", "stand out", "are arranged", "are spread out"],
    "appears": ["appears", "is visible", "can be seen", "is shown", "stands out"],
    "seen": ["there is", "you can see", "we see", "one finds", "you will notice", "I can make out"],
    "the": ["the", "this"],
    "also": ["also", "as well", "too"],
  ]

  /// What links a sentence to the one before it.
  static let links: Choices = [
    "", "in addition, ", "next, ", "also, ", "besides, ", "beyond that, ", "apart from that, ", "moreover, ",
  ]

  /// The same for the last of several sentences.
  static let lastLinks: Choices = ["", "finally, ", "lastly, ", "to finish, ", "and last, "]

  /// "two", "no".
  static func number(_ count: Int) -> String { count < numbers.count ? numbers[count] : String(count) }

  /// "two shapes", "one shape", "no shapes".
  static func counted(_ count: Int, _ one: String, _ many: String) -> String {
    number(count) + " " + (count == 1 ? one : many)
  }
}
