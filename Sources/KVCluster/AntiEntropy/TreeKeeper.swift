public import KVBase
public import KVModel

/// A replica store that keeps the hash trees of the vnodes whose partitions its node owns.
///
/// It stands between a shard's vnodes and their store, so that no change of an object can pass the
/// trees by, whoever makes it. A change costs two hashes of a head, one SHA-1 of the name and two
/// XORs; the object's former state is remembered from the read that came before the change, or its
/// head is read.
///
/// Trees live in memory. A stop in order saves them among the store's metadata and the next start
/// takes them from there; after a crash, and from time to time, they are built again from the heads
/// in the ledger, in steps of bounded size. Partitions of other nodes, so hints and what a transfer
/// brings before its end, have no trees.
///
/// **Invariants**: a tree that is not being built holds exactly the objects that this store has
/// been told of; nothing is saved that a later change could outdate.
///
/// **Concurrency**: used by the shard's owner alone, like the store beneath.
public final class TreeKeeper: ReplicaStore {
  private struct Name: Hashable {
    var key: ObjectKey
    var partition: PartitionID
  }

  /// Vnodes by partition; in the order of partitions wherever an order matters.
  var vnodes: [PartitionID: VnodeTrees] = [:]
  var placement: KeyPlacement?
  /// Trees from before the start, until the first view is adopted.
  var saved: [PartitionID: VnodeTrees] = [:]
  /// The placement under which they were counted.
  var savedSignature: UInt64?
  private let store: any ReplicaStore
  /// The object read last: a change of it need not read it again.
  private var latest: (name: Name, encoded: Bytes?)?

  /// A keeper over the store that holds the objects.
  public init(store: any ReplicaStore) { self.store = store }

  /// See ``ReplicaStore``.
  public var sequences: (applied: UInt64, synced: UInt64) { store.sequences }

  /// See ``ReplicaStore``.
  public func object(
    _ key: ObjectKey, in partition: PartitionID
  ) throws(ReplicaStoreFailure) -> Bytes? {
    let encoded = try store.object(key, in: partition)
    if vnodes[partition] != nil {
      latest = (Name(key: key, partition: partition), encoded)
    }
    return encoded
  }

  /// See ``ReplicaStore``.
  public func head(
    _ key: ObjectKey, in partition: PartitionID
  ) throws(ReplicaStoreFailure) -> Bytes? { try store.head(key, in: partition) }

  /// See ``ReplicaStore``.
  public func grave(
    of key: ObjectKey, in partition: PartitionID
  ) throws(ReplicaStoreFailure) -> Bytes? { try store.grave(of: key, in: partition) }

  /// See ``ReplicaStore``.
  public func scan(
    _ partition: PartitionID, bucket: BucketID?, after key: ObjectKey?, limit: Int, byteLimit: Int,
    headsOnly: Bool
  ) throws(ReplicaStoreFailure) -> ReplicaScan {
    try store.scan(
      partition, bucket: bucket, after: key, limit: limit, byteLimit: byteLimit,
      headsOnly: headsOnly)
  }

  /// See ``ReplicaStore``.
  public func indexEntries(
    of query: IndexQuery, in partition: PartitionID, after: IndexEntry?, limit: Int
  ) throws(ReplicaStoreFailure) -> IndexScan {
    try store.indexEntries(of: query, in: partition, after: after, limit: limit)
  }

  /// See ``ReplicaStore``.
  public func snapshot() throws(ReplicaStoreFailure) -> any ReplicaSnapshot {
    try store.snapshot()
  }

  /// See ``ReplicaStore``.
  public func approximateCount(of partition: PartitionID) throws(ReplicaStoreFailure) -> Int {
    try store.approximateCount(of: partition)
  }

  /// See ``ReplicaStore``.
  public func occupiedPartitions() throws(ReplicaStoreFailure) -> [PartitionID] {
    try store.occupiedPartitions()
  }

  /// See ``ReplicaStore``.
  public func metadata(_ name: String) throws(ReplicaStoreFailure) -> Bytes? {
    try store.metadata(name)
  }

  /// See ``ReplicaStore``.
  public func damage() throws(ReplicaStoreFailure) -> [ReplicaDamage] { try store.damage() }

  /// See ``ReplicaStore``.
  public func noteDamage(from lower: Bytes, to upper: Bytes, isValue: Bool) {
    store.noteDamage(from: lower, to: upper, isValue: isValue)
  }

  /// See ``ReplicaStore``; the trees of the partitions are built again.
  public func resolve(_ damage: ReplicaDamage) throws(ReplicaStoreFailure) {
    try store.resolve(damage)
    for part in damage.parts { rebuild(part.partition) }
  }

  /// See ``RegisterStore``; registers are not compared by trees.
  public func register(
    _ key: ObjectKey, in partition: PartitionID
  ) throws(ReplicaStoreFailure) -> Bytes? { try store.register(key, in: partition) }

  /// See ``RegisterStore``.
  public func apply(registers changes: [RegisterChange]) throws(ReplicaStoreFailure) -> UInt64 {
    try store.apply(registers: changes)
  }

  /// See ``RegisterStore``.
  public func registers(
    of partition: PartitionID, bucket: BucketID?, after key: ObjectKey?, limit: Int, byteLimit: Int
  ) throws(ReplicaStoreFailure) -> ReplicaScan {
    try store.registers(
      of: partition, bucket: bucket, after: key, limit: limit, byteLimit: byteLimit)
  }

  /// Applies all changes at once, to the store and to the trees.
  public func apply(_ changes: [ReplicaChange]) throws(ReplicaStoreFailure) -> UInt64 {
    let prepared = prepare(changes)
    let sequence = try store.apply(changes)
    for change in prepared { count(change) }
    return sequence
  }

  // MARK: Counting changes

  /// What an object was before a change.
  private enum Former {
    case known(UInt64?)
    case unreadable
  }

  private struct Change {
    var name: Name
    var nameHash: UInt64
    var old: Former
    var new: UInt64?
  }

  private func prepare(_ changes: [ReplicaChange]) -> [Change] {
    defer { latest = nil }
    guard !vnodes.isEmpty else { return [] }
    var prepared: [Change] = []
    var earlier: [Name: Former] = [:]
    for change in changes {
      let name: Name
      let encoded: Bytes?
      switch change {
      case .put(let key, let partition, let bytes, _, _):
        (name, encoded) = (Name(key: key, partition: partition), bytes)
      case .remove(let key, let partition), .bury(let key, let partition, _, _):
        (name, encoded) = (Name(key: key, partition: partition), nil)
      case .removeRange(let partition, let first, let last):
        var removals = self.removals(in: partition, from: first, through: last)
        // What the batch has changed before counts as it is by then; the order is of no account.
        let known = Set(removals.map(\.name))
        for (name, _) in earlier
        where name.partition == partition && !known.contains(name) && first <= name.key
          && name.key <= last
        {
          removals.append(
            Change(name: name, nameHash: ObjectHash.name(name.key), old: .unreadable, new: nil))
        }
        for index in removals.indices {
          removals[index].old = earlier[removals[index].name] ?? removals[index].old
          earlier[removals[index].name] = .known(nil)
        }
        prepared += removals
        continue
      case .metadata, .remember, .index: continue
      }
      guard vnodes[name.partition] != nil else { continue }
      let nameHash = ObjectHash.name(name.key)
      let old = earlier[name] ?? stored(name, nameHash)
      let new = encoded.map { ObjectHash.object($0, nameHash: nameHash) }
      if changes.count > 1 { earlier[name] = .known(new) }
      prepared.append(Change(name: name, nameHash: nameHash, old: old, new: new))
    }
    return prepared
  }

  /// The removal of each object of a range; one of unknown state when these cannot be told.
  private func removals(
    in partition: PartitionID, from first: ObjectKey, through last: ObjectKey
  ) -> [Change] {
    guard vnodes[partition] != nil else { return [] }
    func removal(_ key: ObjectKey, _ old: (UInt64) -> Former) -> Change {
      let nameHash = ObjectHash.name(key)
      return Change(
        name: Name(key: key, partition: partition), nameHash: nameHash, old: old(nameHash), new: nil
      )
    }
    var removals = [removal(first) { stored(Name(key: first, partition: partition), $0) }]
    var cursor = first
    while cursor < last {
      guard
        let scan = try? store.scan(
          partition, bucket: nil, after: cursor, limit: 1000, byteLimit: 1 << 20, headsOnly: true)
      else { return removals + [removal(last) { _ in .unreadable }] }
      for entry in scan.entries where entry.key <= last {
        removals.append(
          removal(entry.key) { .known(ObjectHash.object(entry.encoded, nameHash: $0)) })
      }
      guard let end = scan.entries.last, !scan.isComplete else { break }
      cursor = end.key
    }
    return removals
  }

  private func stored(_ name: Name, _ nameHash: UInt64) -> Former {
    if let latest, latest.name == name {
      return .known(latest.encoded.map { ObjectHash.object($0, nameHash: nameHash) })
    }
    do throws(ReplicaStoreFailure) {
      let head = try store.head(name.key, in: name.partition)
      return .known(head.map { ObjectHash.object($0, nameHash: nameHash) })
    } catch {
      return .unreadable
    }
  }

  private func count(_ change: Change) {
    guard let placement else { return }
    guard case .known(let old) = change.old else {
      // What the trees counted for it is unknown: only a build can tell what is right.
      vnodes[change.name.partition]?.build = VnodeTrees.Build()
      return
    }
    let group = placement.group(of: change.name.key)
    guard group.includes(change.name.partition, ringSize: placement.ringSize) else { return }
    vnodes[change.name.partition]?.change(
      change.name.key, change.nameHash, in: group, from: old, to: change.new)
  }
}
