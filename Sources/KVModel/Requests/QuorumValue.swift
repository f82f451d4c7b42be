/// How many replies a request or bucket asks for: a number or a word that depends on N.
public enum QuorumValue: Hashable, Sendable {
  /// 1.
  case one
  /// More than half of N.
  case quorum
  /// N.
  case all
  /// A literal number.
  case count(UInt32)

  /// The number for `n` replicas.
  ///
  /// A literal is returned as it is, also above `n`.
  public func resolved(n: Int) -> Int {
    switch self {
    case .one: 1
    case .quorum: n / 2 + 1
    case .all: n
    case .count(let value): Int(value)
    }
  }
}

/// Which replicas flush a write to disk before they acknowledge it.
public enum SyncOnWrite: UInt8, Hashable, Sendable {
  /// As the node is configured; by default each replica flushes.
  case backend = 0
  /// The coordinating replica only.
  case one = 1
  /// Every replica.
  case all = 2
}
