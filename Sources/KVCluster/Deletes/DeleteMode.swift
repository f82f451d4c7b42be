/// When tombstones are removed.
///
/// **Source**: Riak's `delete_mode`, reference section 3.9.
public enum DeleteMode: Hashable, Sendable {
  /// Never by themselves.
  case keep
  /// As soon as every primary holds the tombstone.
  case immediate
  /// The same, this long after the delete at the earliest.
  case delayed(Duration)

  /// How long a tombstone must stay; nil for ever.
  public var delay: Duration? {
    switch self {
    case .keep: nil
    case .immediate: .zero
    case .delayed(let delay): delay
    }
  }
}
