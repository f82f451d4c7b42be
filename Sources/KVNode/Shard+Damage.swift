import KVBase
import KVCluster
import KVModel

/// A damaged piece of the store that is being fetched again from other replicas.
struct DamageRepair {
  /// What must be done for a part of the piece.
  enum Job {
    /// Fetch one group of the objects that it may have held.
    case fetch(ReplicaDamage.Part, TreeGroup)
    /// Index the objects of the partition behind one of them again.
    case reindex(PartitionID, after: ObjectKey?)
  }

  var damage: ReplicaDamage
  /// What is still to be done, the next one last.
  var jobs: [Job]
  /// The exchange that fetches it.
  var operation: OperationID?
  /// Exchanges that failed; each further one asks another replica.
  var failures = 0
  /// What must be durable before the damage is resolved.
  var sequence: UInt64 = 0
}

/// Bit rot: what the store cannot read is fetched from the other primaries and stored again.
///
/// One piece after the other, group by group, with the questions of an exchange. What even the others
/// have not, and hints, which nobody else has, count as deleted afterwards; later comparisons bring
/// what only a replica had that was not asked. Index entries are made again from the objects.
extension Shard {
  private static let reindexedPage = 4_096

  /// Goes on with the damage at hand, or looks for some.
  mutating func repairDamage() {
    guard let repair = entropy.repair else { return beginRepair() }
    if let operation = repair.operation, entropy.exchanges[operation] != nil { return }
    switch repair.jobs.last {
    case .fetch(let part, let group): fetch(part, group, for: repair)
    case .reindex(let partition, let after): reindex(partition, after: after)
    case nil: finishRepair(repair)
    }
  }

  private mutating func fetch(
    _ part: ReplicaDamage.Part, _ group: TreeGroup, for repair: DamageRepair
  ) {
    let partition = part.partition
    guard view.ring.owner(of: partition) == address.node, let placement = entropy.placement else {
      _ = entropy.repair?.jobs.popLast()
      return
    }
    let peers = group.partitions(ringSize: placement.ringSize).filter {
      $0 != partition && view.isAvailable(view.ring.owner(of: $0))
    }
    guard !peers.isEmpty else { return }
    let peer = peers[repair.failures % peers.count]
    guard let target = view.address(of: peer, on: view.ring.owner(of: peer)) else { return }
    let operation = newOperation()
    entropy.repair?.operation = operation
    start(
      EntropyExchange(
        partition: partition, peer: peer, target: target, group: group, operation: operation,
        signature: placement.signature, pace: configuration.entropyPace, damage: part))
  }

  /// Indexes a page of objects again; gives the repair up, for a later one, when they cannot be read.
  private mutating func reindex(_ partition: PartitionID, after: ObjectKey?) {
    do {
      guard let page = try vnodes?.reindex(partition, after: after, limit: Self.reindexedPage)
      else { return }
      entropy.repair?.sequence = page.sequence
      _ = entropy.repair?.jobs.popLast()
      if let last = page.last { entropy.repair?.jobs.append(.reindex(partition, after: last)) }
    } catch {
      log(.error, "partition \(partition.index) cannot be indexed again: \(error)")
      entropy.repair = nil
    }
  }

  private mutating func beginRepair() {
    let found: ReplicaDamage?
    do {
      found = try trees.damage().first(where: \.isSetApart)
    } catch {
      return log(.error, "damage cannot be looked for: \(error)")
    }
    guard let found, let placement = entropy.placement else { return }
    var repair = DamageRepair(damage: found, jobs: [])
    for part in found.parts
    where part.partition.index < view.ring.size && runs(part.partition)
      && view.ring.owner(of: part.partition) == address.node
    {
      for group in placement.groups(of: part.partition) where group.nVal > 1 {
        repair.jobs.append(.fetch(part, group))
      }
    }
    for partition in found.indexes where partition.index < view.ring.size && runs(partition) {
      repair.jobs.append(.reindex(partition, after: nil))
    }
    logBegin(of: found)
    entropy.repair = repair
  }

  private mutating func logBegin(of damage: ReplicaDamage) {
    let partitions = damage.parts.map { "\($0.partition.index)" }.joined(separator: ", ")
    if !damage.parts.isEmpty {
      log(
        .error,
        "objects of partitions \(partitions) are damaged and are fetched from other "
          + "replicas; buckets with an n_val of 1 lose theirs")
    } else if let first = damage.indexes.first, let last = damage.indexes.last {
      log(
        .error,
        "index entries of partitions \(first.index) to \(last.index) are damaged and made again")
    } else {
      log(.error, "what is remembered of deleted objects is damaged and is forgotten")
    }
  }

  /// An exchange for the damage at hand has ended.
  mutating func fetchedDamaged(_ exchange: EntropyExchange, _ outcome: EntropyExchange.Outcome) {
    guard entropy.repair?.operation == exchange.operation else { return }
    entropy.repair?.operation = nil
    if outcome == .repaired {
      _ = entropy.repair?.jobs.popLast()
    } else {
      entropy.repair?.failures += 1
      probe("damage not fetched yet")
    }
  }

  /// Stores what was fetched; damage may hide what this vnode held.
  mutating func restoreDamaged(_ entries: [ReplicaScan.Entry], of exchange: EntropyExchange) {
    do {
      guard let restored = try vnodes?.restore(entries, in: exchange.partition) else { return }
      noteMerged(entries, changed: restored.changed, in: exchange.partition)
      // Sequences only grow.
      entropy.repair?.sequence = restored.sequence
      step(exchange.operation) { $0.stored(restored.changed, $1, into: &$2) }
    } catch {
      log(.error, "what was damaged in partition \(exchange.partition.index) stays so: \(error)")
      end(exchange, .refused(.storage))
    }
  }

  private mutating func finishRepair(_ repair: DamageRepair) {
    guard store.sequences.synced >= repair.sequence else { return }
    do {
      try trees.resolve(repair.damage)
      probe("damage repaired")
      log(.info, "what was damaged is stored again")
    } catch {
      log(.error, "damage cannot be resolved: \(error)")
    }
    entropy.repair = nil
    planBuild()
  }
}
