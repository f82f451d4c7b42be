public import KVBase

/// One node's part in the cluster: who is a member, who owns what, who can be reached.
///
/// **Concurrency**: a value owned by the node's shard 0.
public struct Membership: Sendable {
  let configuration: MembershipConfiguration
  /// What the data path needs to know; a new value after each ``MembershipEffect/viewChanged``.
  public private(set) var view: ClusterView

  /// A member of its own new cluster, or of the one whose state an earlier run persisted.
  public init(
    configuration: MembershipConfiguration, restored: Bytes?
  ) throws(DecodingFailure) {
    self.configuration = configuration
    view = ClusterView(local: configuration.member, ringSize: configuration.ringSize)
  }

  /// When ``MembershipEvent/timer`` is due; ``Instant/distantFuture`` when nothing is.
  public var nextDeadline: Instant { .distantFuture }

  /// Takes one event and appends what is to be done.
  public mutating func step(
    _ event: MembershipEvent, at now: Now, into effects: inout [MembershipEffect]
  ) {
    if case .admin(let id, _) = event {
      effects.append(.adminReply(id: id, .refused("Try again in a few moments.")))
    }
  }
}
