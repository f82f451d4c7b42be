public import KVModel

/// Removes some tombstones everywhere, or entries of clocks, or does nothing; from one shard.
///
/// First every vnode that may hold anything of the keys is asked: at each primary the very same
/// tombstone must be durable, and no fallback of any member may hold anything for a primary. The
/// tombstones on which all agree are then buried at the primaries, each on the condition that it is
/// still the same. A primary that lacks a tombstone is sent it, for a later round.
///
/// A round to *trim* works the same way on objects whose clocks have many actors. When all
/// primaries hold the same, an actor may leave the clock if no vnode of any member counts under it
/// any more and no content bears its dot: then no copy is left that the entry tells apart from
/// another, and no event of that actor is to come. But for what GETs under way have been told
/// before: so every shard of every member is asked once more, about no partition, and answers when
/// the GETs of the keys that it coordinated then have ended.
///
/// ```
/// shard ── ask ──▶ every member        shard ── bury ──▶ primaries
///       ◀─ vote ──                           ◀─ buried ─
/// ```
///
/// **Invariants**: 1. nothing is buried before every vnode asked has consented to it, nothing
/// trimmed while a GET may hold an older copy; 2. there is exactly one `finished`.
///
/// **Source**: reference section 3.9; Dynamo (SOSP 2007) has no reaping.
public struct ReapRound: Sendable {
  /// What must be done next.
  public enum Action: Hashable, Sendable {
    /// Ask the shard about its vnodes.
    case ask(Address, ReapOrder)
    /// Send the tombstone to the primary of the partition.
    case repair(ReapItem, PartitionID)
    /// Tell the shard to bury tombstones.
    case bury(Address, ReapOrder)
    /// The end: which tombstones are gone, and which need another round.
    case finished(gone: [ObjectKey], open: [ObjectKey])
  }

  private enum Stage: Hashable {
    case asking
    /// Waiting for the end of GETs.
    case draining([ReapItem])
    case burying
    case finished
  }

  private let order: ReapOrder
  private let ringSize: Int
  private let voters: [(address: Address, partitions: [PartitionID])]
  private let shards: [Address]
  private var waiting: Set<Address>
  private var stage = Stage.asking
  private var hasConsent: [Bool]
  private var actors: Set<VnodeID> = []

  /// A round about `items`, which all begin at the group's first partition; nil when `view` does
  /// not allow one, because a member is unavailable or one of the partitions is on the move.
  public init?(
    operation: OperationID, purpose: ReapPurpose = .reap, group: ReapGroup, items: [ReapItem],
    in view: ClusterView
  ) {
    guard group.isSettled(in: view), !items.isEmpty else { return nil }
    order = ReapOrder(
      operation: operation, purpose: purpose, group: group, partitions: [], items: items)
    ringSize = view.ring.size
    hasConsent = items.map { _ in true }
    var voters: [(address: Address, partitions: [PartitionID])] = []
    for member in view.members {
      for partition in group.partitions(ringSize: ringSize) {
        let address = Address(node: member.id, shard: member.shard(of: partition))
        if let index = voters.firstIndex(where: { $0.address == address }) {
          voters[index].partitions.append(partition)
        } else {
          voters.append((address, [partition]))
        }
      }
    }
    self.voters = voters
    shards = view.members.flatMap { member in
      (0..<member.shardCount).map { Address(node: member.id, shard: ShardIndex($0)) }
    }
    waiting = Set(voters.map(\.address))
  }

  /// Asks everybody.
  public func start(into actions: inout [Action]) {
    for voter in voters {
      var order = order
      order.partitions = voter.partitions
      actions.append(.ask(voter.address, order))
    }
  }

  /// Takes in a vote; those of others, and second ones, change nothing.
  public mutating func receive(_ vote: ReapVote, from: Address, into actions: inout [Action]) {
    if case .draining(let items) = stage { return drained(vote, from, items, into: &actions) }
    guard stage == .asking, waiting.contains(from),
      let voter = voters.first(where: { $0.address == from })
    else { return }
    guard vote.verdicts.count == voter.partitions.count * order.items.count else {
      // It takes no part: it sees another cluster, or cannot read its store.
      return finish(gone: [], into: &actions)
    }
    waiting.remove(from)
    actors.formUnion(vote.actors)
    var verdicts = vote.verdicts[...]
    for partition in voter.partitions {
      for (index, item) in order.items.enumerated() {
        guard let verdict = verdicts.popFirst(), !verdict.isConsent else { continue }
        hasConsent[index] = false
        if verdict == .absent || verdict == .differs { actions.append(.repair(item, partition)) }
      }
    }
    if waiting.isEmpty { decide(into: &actions) }
  }

  /// A shard has no GET any more that began before all primaries held the same.
  private mutating func drained(
    _ vote: ReapVote, _ from: Address, _ items: [ReapItem], into actions: inout [Action]
  ) {
    guard vote.verdicts.isEmpty, waiting.remove(from) != nil, waiting.isEmpty else { return }
    bury(items, into: &actions)
  }

  /// Takes in a receipt.
  public mutating func receive(
    _ receipt: ReapReceipt, from: Address, into actions: inout [Action]
  ) {
    guard stage == .burying, waiting.remove(from) != nil, waiting.isEmpty else { return }
    finish(gone: agreed.map(\.key), into: &actions)
  }

  /// Gives up waiting.
  public mutating func deadlineExpired(into actions: inout [Action]) {
    guard stage != .finished else { return }
    finish(gone: [], into: &actions)
  }

  private var agreed: [ReapItem] {
    order.items.indices.filter { hasConsent[$0] }.map { order.items[$0] }
  }

  private mutating func decide(into actions: inout [Action]) {
    guard order.purpose == .trim else {
      return agreed.isEmpty ? finish(gone: [], into: &actions) : bury(agreed, into: &actions)
    }
    var items = agreed
    for index in items.indices { items[index].retired = retired(items[index]) }
    items.removeAll(where: \.retired.isEmpty)
    // Clocks in which every actor still counts have nothing to lose.
    guard !items.isEmpty else { return finish(gone: agreed.map(\.key), into: &actions) }
    stage = .draining(items)
    waiting = Set(shards)
    var order = order
    order.items = items
    for shard in shards { actions.append(.ask(shard, order)) }
  }

  private mutating func bury(_ items: [ReapItem], into actions: inout [Action]) {
    stage = .burying
    for voter in voters {
      let owned = zip(order.group.partitions(ringSize: ringSize), order.group.owners)
        .filter { $1 == voter.address.node && voter.partitions.contains($0) }.map(\.0)
      guard !owned.isEmpty else { continue }
      waiting.insert(voter.address)
      let order = ReapOrder(
        operation: order.operation, purpose: order.purpose, group: order.group,
        partitions: owned, items: items)
      actions.append(.bury(voter.address, order))
    }
  }

  private func retired(_ item: ReapItem) -> [VnodeID] {
    item.clock.entries.map(\.actor).filter { actor in
      !actors.contains(actor) && !item.siblings.contains { $0.actor == actor }
    }
  }

  private mutating func finish(gone: [ObjectKey], into actions: inout [Action]) {
    stage = .finished
    let open = order.items.map(\.key).filter { !gone.contains($0) }
    actions.append(.finished(gone: gone, open: open))
  }
}
