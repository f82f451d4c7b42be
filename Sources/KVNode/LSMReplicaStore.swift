public import KVBase
public import KVCluster
public import KVModel
public import KVStorage

/// The replica store of a shard over the storage engine: the one place that knows both.
///
/// **Concurrency**: used by the shard's owner alone; the ``Store`` itself may be synced from another
/// thread at the same time.
public final class LSMReplicaStore: ReplicaStore {
  /// The storage engine underneath, for whoever syncs, compacts and closes it.
  public let store: Store
  /// False while nothing has been indexed, which spares writes a look at what they replace.
  var mayHoldIndexes: Bool

  /// A replica store over an open store.
  public init(store: Store) {
    self.store = store
    mayHoldIndexes = Self.mayHoldIndexes(store)
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
      throw ReplicaStoreFailure(error)
    }
  }

  /// The head of the encoded object, without reading its values.
  public func head(
    _ key: ObjectKey, in partition: PartitionID
  ) throws(ReplicaStoreFailure) -> Bytes? {
    do {
      return try store.head(KeyLayout.objectKey(key, partition))
    } catch {
      throw ReplicaStoreFailure(error)
    }
  }

  /// Applies all changes at once; returns the sequence that must be synced for them to be durable.
  public func apply(_ changes: [ReplicaChange]) throws(ReplicaStoreFailure) -> UInt64 {
    guard !changes.isEmpty else { return sequences.applied }
    var batch = WriteBatch()
    for change in changes {
      switch change {
      case .put(let key, let partition, let encoded, let headByteCount):
        try index(
          key, partition, head: Bytes(encoded.prefix(headByteCount)), into: &batch)
        batch.put(KeyLayout.objectKey(key, partition), encoded, headByteCount: headByteCount)
      case .remove(let key, let partition):
        try index(key, partition, head: nil, into: &batch)
        batch.delete(KeyLayout.objectKey(key, partition))
      case .metadata(let name, let value?): batch.put(KeyLayout.metadataKey(name), value)
      case .metadata(let name, nil): batch.delete(KeyLayout.metadataKey(name))
      }
    }
    do {
      return try store.append(batch).rawValue
    } catch {
      throw ReplicaStoreFailure(error)
    }
  }

  /// Objects of a partition in key order; see ``ReplicaStore``.
  public func scan(
    _ partition: PartitionID, bucket: BucketID?, after key: ObjectKey?, limit: Int, byteLimit: Int,
    headsOnly: Bool
  ) throws(ReplicaStoreFailure) -> ReplicaScan {
    let range = KeyLayout.range(partition, bucket)
    let start = key.map { KeyLayout.successor(of: KeyLayout.objectKey($0, partition)) }
    var scan = ReplicaScan(entries: [], isComplete: true)
    var bytes = 0
    var misshapen: Bytes?
    do {
      try store.forEach(
        from: max(range.lower, start ?? []), to: range.upper, headsOnly ? .heads : .values
      ) { entry in
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
      throw ReplicaStoreFailure(error)
    }
    if let misshapen { throw ReplicaStoreFailure(misshapenKey: misshapen) }
    return scan
  }

  /// The partitions that hold at least one object, sorted.
  ///
  /// Cost is one seek for each.
  public func occupiedPartitions() throws(ReplicaStoreFailure) -> [PartitionID] {
    var partitions: [PartitionID] = []
    var lower: Bytes = []
    do {
      while let entry = try store.scan(from: lower, limit: 1, .keys).first,
        let partition = KeyLayout.partition(of: entry.key)
      {
        partitions.append(partition)
        lower = KeyLayout.range(partition, nil).upper
      }
    } catch {
      throw ReplicaStoreFailure(error)
    }
    return partitions
  }

  /// A small value that the node keeps for itself.
  public func metadata(_ name: String) throws(ReplicaStoreFailure) -> Bytes? {
    do {
      return try store.get(KeyLayout.metadataKey(name))
    } catch {
      throw ReplicaStoreFailure(error)
    }
  }
}

extension ReplicaStoreFailure {
  init(_ error: StorageError) {
    self.init(code: error.code.rawValue, description: error.description)
  }

  fileprivate init(misshapenKey key: Bytes) {
    self.init(
      code: ClusterError.Code.malformedKey.rawValue,
      description: "a stored key of \(key.count) bytes is none"
    )
  }
}

private func max(_ a: Bytes, _ b: Bytes) -> Bytes { a.lexicographicallyPrecedes(b) ? b : a }
