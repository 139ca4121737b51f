/// How the number of objects is told.
enum CountSentences {
  /// Sentences of one object.
  static let one: Choices = [
    "there is one {thing} in {the} {picture}", "{the} {picture} {shows} one {thing}",
    "there is a single {thing} in {the} {picture}", "there is only one {thing} here",
    "one {thing} {appears} in {the} {picture}", "you can see just one {thing}", "it {shows} a single {thing}",
    "in this {picture} there is one {thing} alone", "nothing but one {thing} can be seen here",
    "{the} {picture} has room for a lone {thing}", "a single {thing} fills {the} {picture}",
    "what we have here is one {thing}", "I count one {thing} and no more", "this is {a picture} of one {thing}",
    "the eye meets a single {thing}", "exactly one {thing} has been drawn here",
  ]

  /// Sentences of several objects.
  static let many: Choices = [
    "there are {n} {things} in {the} {picture}", "{the} {picture} {shows} {n} {things}", "there are {n} {things}",
    "{the} {picture} {shows} {group} {things}", "you can see {n} {things} here",
    "{n} {things} {appear} in {the} {picture}",
    "it {shows} {group} {things}", "this {picture} holds {n} {things} in all", "we see {n} {things}",
    "here are {n} {things}", "in this {picture} there are exactly {n} {things}", "{group} {things} can be seen here",
    "{the} {picture} is made up of {n} {things}", "I count {n} {things} in {the} {picture}",
    "counting everything, there are {n} {things}", "what we have here is {group} {things}",
    "altogether {the} {picture} contains {n} {things}", "{n} different {things} can be made out",
    "someone has placed {n} {things} here", "the eye meets {n} {things}", "in total {n} {things} are present",
    "this is {a picture} of {n} {things}", "{the} {picture} brings together {n} separate {things}",
    "{group} {things} share {the} {picture}",
  ]

  /// Sentences that go on to the list of all objects.
  static let withList: Choices = [
    "there are {n} {things} in {the} {picture}: {list}", "{the} {picture} {shows} {n} {things}: {list}",
    "we see {group} {things}, namely {list}", "it {shows} {n} {things}, which are {list}",
  ]
}

extension Speaker {
  /// Slots that tell a number of things.
  func countSlots(_ count: Int) -> [String: String] {
    let group = count < Words.groups.count ? Words.groups[count] : ""
    return ["n": Words.number(count), "group": group.isEmpty ? Words.number(count) : group]
  }

  /// "There are three shapes in the picture."
  mutating func countSentence(_ count: Int) -> String {
    sentence(count == 1 ? CountSentences.one : CountSentences.many, countSlots(count))
  }
}
