public import KVBase
public import KVCluster
public import KVModel
public import KVStorage

/// The replica store of a shard over the storage engine: the one place that knows both.
///
/// **Concurrency**: used by the shard's owner alone; the ``Store`` itself may be synced from
/// another thread at the same time.
public final class LSMReplicaStore: ReplicaStore {
  /// The storage engine underneath, for whoever syncs, compacts and closes it.
  public let store: Store
  /// False while no grave has ever been dug, which spares reads of unknown keys a look for one.
  private var mayHoldGraves: Bool

  /// Ranges that reads came upon and found damaged, as long as the store sets them apart.
  var foundDamage: [FoundDamage] = []
  /// False for a bystander, whose reads have no consequences.
  let notesDamage: Bool
  /// False while nothing has been indexed, which spares writes a look at what they replace.
  var mayHoldIndexes: Bool

  /// A replica store over an open store.
  public init(store: Store) {
    self.store = store
    notesDamage = true
    mayHoldGraves = Self.mayHold(KeyLayout.gravePrefix, store)
    mayHoldIndexes = Self.mayHold(KeyLayout.indexPrefix, store)
  }

  /// A second replica store over a store, for a bystander that must not change what happens.
  package init(observing store: Store) {
    self.store = store
    notesDamage = false
    mayHoldGraves = Self.mayHold(KeyLayout.gravePrefix, store)
    mayHoldIndexes = Self.mayHold(KeyLayout.indexPrefix, store)
  }

  /// True unless it is certain that no key of the store begins so.
  private static func mayHold(_ prefix: Bytes, _ store: Store) -> Bool {
    (try? store.scan(prefix: prefix, limit: 1, .keys).isEmpty) != true
  }

  /// The sequence of the latest change and of the latest durable one.
  public var sequences: (applied: UInt64, synced: UInt64) {
    (store.appendedSequence.rawValue, store.syncedSequence.rawValue)
  }

  /// The encoded object of `key` in `partition`, nil when there is none.
  public func object(
    _ key: ObjectKey, in partition: PartitionID
  ) throws(ReplicaStoreFailure) -> Bytes? {
    do {
      return try store.get(KeyLayout.objectKey(key, partition))
    } catch {
      throw failure(error)
    }
  }

  /// The head of the encoded object, without reading its values.
  public func head(
    _ key: ObjectKey, in partition: PartitionID
  ) throws(ReplicaStoreFailure) -> Bytes? {
    do {
      return try store.head(KeyLayout.objectKey(key, partition))
    } catch {
      throw failure(error)
    }
  }

  /// The encoded clock of the grave of `key` in `partition`.
  public func grave(
    of key: ObjectKey, in partition: PartitionID
  ) throws(ReplicaStoreFailure) -> Bytes? {
    guard mayHoldGraves else { return nil }
    do {
      return try store.get(KeyLayout.graveKey(key, partition))
    } catch {
      throw failure(error)
    }
  }

  /// Applies all changes at once; returns the sequence that must be synced for them to be durable.
  public func apply(_ changes: [ReplicaChange]) throws(ReplicaStoreFailure) -> UInt64 {
    guard !changes.isEmpty else { return sequences.applied }
    var batch = WriteBatch()
    for change in changes {
      switch change {
      case .put(let key, let partition, let encoded, let headByteCount, let expiry):
        index(
          key, partition, head: Bytes(encoded.prefix(headByteCount)), expiry: expiry, into: &batch)
        batch.put(
          KeyLayout.objectKey(key, partition), encoded, headByteCount: headByteCount,
          expiry: expiry)
      case .bury(let key, let partition, let clock, let expiry):
        mayHoldGraves = true
        index(key, partition, head: nil, expiry: nil, into: &batch)
        batch.delete(KeyLayout.objectKey(key, partition))
        batch.put(KeyLayout.graveKey(key, partition), clock, expiry: expiry)
      case .remember(let key, let partition, let clock, let expiry):
        mayHoldGraves = true
        batch.put(KeyLayout.graveKey(key, partition), clock, expiry: expiry)
      case .removeRange(let partition, let first, let last):
        try removeIndexes(from: first, through: last, in: partition, into: &batch)
        batch.deleteRange(
          KeyLayout.objectKey(first, partition),
          KeyLayout.successor(of: KeyLayout.objectKey(last, partition)))
      case .remove(let key, let partition):
        index(key, partition, head: nil, expiry: nil, into: &batch)
        batch.delete(KeyLayout.objectKey(key, partition))
      case .index(let key, let partition, let head, let expiry):
        addIndexes(of: key, partition, head: head, expiry: expiry, to: &batch)
      case .metadata(let name, let value?): batch.put(KeyLayout.metadataKey(name), value)
      case .metadata(let name, nil): batch.delete(KeyLayout.metadataKey(name))
      }
    }
    do {
      return try store.append(batch).rawValue
    } catch {
      throw failure(error)
    }
  }

  /// Objects of a partition in key order; see ``ReplicaStore``.
  public func scan(
    _ partition: PartitionID, bucket: BucketID?, after key: ObjectKey?, limit: Int, byteLimit: Int,
    headsOnly: Bool
  ) throws(ReplicaStoreFailure) -> ReplicaScan {
    try present().scan(
      KeyLayout.range(partition, bucket), partition, after: key, limit: limit,
      byteLimit: byteLimit, headsOnly ? .heads : .values)
  }

  /// The store as it is now; see ``ReplicaStore``.
  public func snapshot() throws(ReplicaStoreFailure) -> any ReplicaSnapshot { try present() }

  func present() throws(ReplicaStoreFailure) -> LSMSnapshot {
    do {
      return LSMSnapshot(try store.snapshot(), of: self)
    } catch {
      throw failure(error)
    }
  }

  /// About how many objects the partition holds; see ``ReplicaStore``.
  public func approximateCount(
    of partition: PartitionID
  ) throws(ReplicaStoreFailure) -> Int {
    let range = KeyLayout.range(partition, nil)
    do {
      return try store.approximateSize(from: range.lower, to: range.upper).entryCount
    } catch {
      throw failure(error)
    }
  }

  /// The partitions that hold at least one object, sorted.
  ///
  /// Cost is one seek for each.
  public func occupiedPartitions() throws(ReplicaStoreFailure) -> [PartitionID] {
    var partitions: [PartitionID] = []
    var lower: Bytes = []
    do {
      while let entry = try store.scan(
        from: lower, to: KeyLayout.indexPrefix, limit: 1, .keys
      ).first,
        let partition = KeyLayout.partition(of: entry.key)
      {
        partitions.append(partition)
        lower = KeyLayout.range(partition, nil).upper
      }
    } catch {
      throw failure(error)
    }
    return partitions
  }

  /// A small value that the node keeps for itself.
  public func metadata(_ name: String) throws(ReplicaStoreFailure) -> Bytes? {
    do {
      return try store.get(KeyLayout.metadataKey(name))
    } catch {
      throw failure(error)
    }
  }
}

extension ReplicaStoreFailure {
  init(_ error: StorageError) {
    self.init(code: error.code.rawValue, description: error.description)
  }

  init(misshapenKey key: Bytes) {
    self.init(
      code: ClusterError.Code.malformedKey.rawValue,
      description: "a stored key of \(key.count) bytes is none"
    )
  }
}

/// A snapshot of the storage engine, read as objects.
final class LSMSnapshot: ReplicaSnapshot {
  let snapshot: Snapshot
  /// Where damage is noted that a scan comes upon.
  let store: LSMReplicaStore

  init(_ snapshot: Snapshot, of store: LSMReplicaStore) {
    self.snapshot = snapshot
    self.store = store
  }

  func scan(
    _ partition: PartitionID, after key: ObjectKey?, limit: Int, byteLimit: Int
  ) throws(ReplicaStoreFailure) -> ReplicaScan {
    try scan(
      KeyLayout.range(partition, nil), partition, after: key, limit: limit, byteLimit: byteLimit,
      .values)
  }

  func scan(
    _ range: (lower: Bytes, upper: Bytes), _ partition: PartitionID, after key: ObjectKey?,
    limit: Int, byteLimit: Int, _ projection: Projection
  ) throws(ReplicaStoreFailure) -> ReplicaScan {
    let start = key.map { KeyLayout.successor(of: KeyLayout.objectKey($0, partition)) }
    var scan = ReplicaScan(entries: [], isComplete: true)
    var bytes = 0
    var misshapen: Bytes?
    do {
      try snapshot.forEach(from: max(range.lower, start ?? []), to: range.upper, projection) {
        entry in
        guard scan.entries.count < limit, bytes < byteLimit || scan.entries.isEmpty else {
          scan.isComplete = false
          return false
        }
        guard let name = KeyLayout.objectKey(decoding: entry.key) else {
          misshapen = entry.key
          return false
        }
        bytes += entry.key.count + entry.value.count
        scan.entries.append(ReplicaScan.Entry(key: name, encoded: entry.value))
        return true
      }
    } catch {
      throw store.failure(error)
    }
    if let misshapen { throw ReplicaStoreFailure(misshapenKey: misshapen) }
    return scan
  }
}

private func max(_ a: Bytes, _ b: Bytes) -> Bytes { a.lexicographicallyPrecedes(b) ? b : a }
