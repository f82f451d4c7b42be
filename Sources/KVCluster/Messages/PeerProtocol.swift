/// The versions of what nodes say to each other.
///
/// Each node tells the range it speaks when a connection is made; both use the highest version in
/// both ranges. A node is sent only what its version knows, so clusters of mixed versions work and
/// nodes can be upgraded one by one. Two releases whose ranges do not meet do not talk.
///
/// | Version | Brought |
/// |---|---|
/// | 1 | the tags 1 to 19 and ring states of version 1 |
/// | 2 | tags above 19: comparing handoffs; ring states of version 2: locations |
/// | 3 | ring states of version 3: members whose shards are spread |
public enum PeerProtocol {
  /// The lowest version this release speaks, and what a node is taken to speak before it says more.
  public static let earliest: UInt16 = 1
  /// The highest version this release speaks.
  public static let latest: UInt16 = 3

  /// The version two nodes use, given the range of each; nil when they have none in common.
  public static func agreed(
    _ a: ClosedRange<UInt16>, _ b: ClosedRange<UInt16>
  ) -> UInt16? {
    a.overlaps(b) ? min(a.upperBound, b.upperBound) : nil
  }
}

extension PeerMessage {
  /// The first protocol version that knows the message.
  ///
  /// What only shards of one node say to each other needs no version: they run the same program.
  public var protocolVersion: UInt16 { tag <= 19 ? 1 : 2 }
}
