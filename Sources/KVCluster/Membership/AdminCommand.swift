/// What an operator can ask of the cluster through one of its nodes.
///
/// **Source**: reference sections 7.3 and 7.4.
public enum AdminCommand: Hashable, Sendable {
  /// Stage this node's join to the cluster that the node at the endpoint belongs to.
  case join(Endpoint)
  /// Stage the departure of a member (nil: this node).
  case leave(String?)
  /// Stage the removal of a member whose data is given up.
  case forceRemove(String)
  /// Stage the replacement of a member by a joining one.
  case replace(String, with: String)
  /// Stage that a member (nil: this node) is at a rack or site; empty for none.
  case locate(String?, at: String)
  /// Mark an unreachable member as down.
  case down(String)
  /// Show what committing the staged changes would do.
  case plan
  /// Apply the staged changes, as last planned.
  case commit
  /// Drop the staged changes.
  case clear
  /// Change, or only show, this node's limits of handoffs: senders of each shard, bytes a second
  /// of each shard (0: none).
  case transferLimit(concurrency: Int?, bytesPerSecond: Int?)
  /// Members, claimant, ring, transfers: everything the status commands print.
  case status
}
