import KVBase
public import KVCluster
public import KVModel
import KVStorage

/// Secondary indexes in the storage engine: an empty value for each term of an object.
///
/// An entry is written and removed in the batch that changes its object, so that a query never sees one
/// without the other. What must be removed follows from the head of the object that is replaced; stores
/// in which nothing was ever indexed do not look for one.
extension LSMReplicaStore {
  /// Adds to the batch what the change of an object means for its index entries.
  ///
  /// Where the former head cannot be read, what it had indexed stays.
  ///
  /// - Parameter head: the head of the object that is stored, nil when it is removed.
  /// - Parameter expiry: the second since 1970 from which on the object is gone; nil for never.
  func index(
    _ key: ObjectKey, _ partition: PartitionID, head: Bytes?, expiry: UInt64?,
    into batch: inout WriteBatch
  ) {
    let entries = head.map { KVObject.hasIndexes(encodedHead: $0) ? Self.indexes($0) : [] } ?? []
    if !entries.isEmpty { mayHoldIndexes = true }
    guard mayHoldIndexes else { return }
    let former = (try? self.head(key, in: partition)).flatMap { $0 }
    let known = former.map(Self.indexes) ?? []
    for entry in known where !entries.contains(entry) {
      batch.delete(KeyLayout.indexKey(entry, key, partition))
    }
    for entry in entries where expiry != nil || !known.contains(entry) {
      batch.put(KeyLayout.indexKey(entry, key, partition), [], expiry: expiry)
    }
  }

  /// Adds to the batch all index entries of an object that is stored already.
  func addIndexes(
    of key: ObjectKey, _ partition: PartitionID, head: Bytes, expiry: UInt64?,
    to batch: inout WriteBatch
  ) {
    guard KVObject.hasIndexes(encodedHead: head) else { return }
    mayHoldIndexes = true
    for entry in Self.indexes(head) {
      batch.put(KeyLayout.indexKey(entry, key, partition), [], expiry: expiry)
    }
  }

  /// Adds to the batch the removal of the entries of all objects from one key through another.
  func removeIndexes(
    from first: ObjectKey, through last: ObjectKey, in partition: PartitionID,
    into batch: inout WriteBatch
  ) throws(ReplicaStoreFailure) {
    guard mayHoldIndexes else { return }
    let lower = KeyLayout.objectKey(first, partition)
    let upper = KeyLayout.successor(of: KeyLayout.objectKey(last, partition))
    var gone: [Bytes] = []
    do throws(StorageError) {
      try store.forEach(from: lower, to: upper, .heads) { entry in
        if let key = KeyLayout.objectKey(decoding: entry.key) {
          gone += Self.indexes(entry.value).map { KeyLayout.indexKey($0, key, partition) }
        }
        return true
      }
    } catch {
      throw failure(error)
    }
    for key in gone { batch.delete(key) }
  }

  /// The entries of an object; a head that cannot be read has none.
  private static func indexes(_ head: Bytes) -> [Pair] {
    (try? KVObject(encodedHead: head))?.indexes ?? []
  }

  /// Hits of an index query; the cost is that of the range they are in.
  public func indexEntries(
    of query: IndexQuery, in partition: PartitionID, after: IndexEntry?, limit: Int
  ) throws(ReplicaStoreFailure) -> IndexScan {
    try present().indexEntries(of: query, in: partition, after: after, limit: limit)
  }
}

extension LSMSnapshot {
  func indexEntries(
    of query: IndexQuery, in partition: PartitionID, after: IndexEntry?, limit: Int
  ) throws(ReplicaStoreFailure) -> IndexScan {
    let prefix = KeyLayout.indexPrefix(query.bucket, query.field, partition)
    var lower = prefix + KeyLayout.escaped(query.lower, isComplete: false)
    if let after {
      let next = prefix + KeyLayout.escaped(after.term) + after.key + [0]
      if lower.lexicographicallyPrecedes(next) { lower = next }
    }
    // The end mark of a part is 00 01: with 02 the bound lies behind all keys of the last term.
    var upper = query.upper.map { prefix + KeyLayout.escaped($0) } ?? prefix
    upper[upper.count - 1] = 2
    var scan = IndexScan()
    guard lower.lexicographicallyPrecedes(upper) else { return scan }
    do {
      try snapshot.forEach(from: lower, to: upper, .keys) { entry in
        guard scan.entries.count < limit else {
          scan.isComplete = false
          return false
        }
        var position = prefix.count
        guard let term = KeyLayout.unescape(entry.key, &position) else { return true }
        scan.entries.append(IndexEntry(term: term, key: Bytes(entry.key[position...])))
        return true
      }
    } catch {
      throw store.failure(error)
    }
    return scan
  }
}
