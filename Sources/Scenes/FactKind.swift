/// What a statement about a picture can be right or wrong about.
package enum FactKind: String, CaseIterable, Sendable {
  case count, shape, colour, place, size, texture, background, light, relation
  /// Which object: its colour and shape.
  case object
  /// Yes or no.
  case truth
}
