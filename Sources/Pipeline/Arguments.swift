/// The checked arguments of one call, with defaults filled in.
///
/// Every accessor answers for a parameter that the declaration names with that type; the binder has checked values
/// before, so asking for a parameter that was never declared is a programming error and ends in an internal error.
public struct Arguments: Sendable {
  // Filled by the binder: see Binding.
  public init() {}
}
