import KVBase
public import KVModel

/// One page of a listing as a vnode answers it: a bounded piece of work, whatever the partition holds.
extension Vnodes {
  private static let scanCount = 1000
  private static let scanBytes = 1 << 20

  /// The names after the cursor that belong to the asked ranges, and where to go on.
  public func list(_ request: ListRequest, ringSize: Int) -> Result<ListReply.Page, RequestFailure>
  {
    do throws(ReplicaStoreFailure) {
      switch request.scope {
      case .keys(let bucket): return .success(try keys(of: bucket, request, ringSize))
      case .buckets(let type): return .success(try buckets(of: type, request, ringSize))
      }
    } catch {
      return .failure(.storage(error.description))
    }
  }

  private func keys(
    of bucket: BucketID, _ request: ListRequest, _ ringSize: Int
  ) throws(ReplicaStoreFailure) -> ListReply.Page {
    let scan = try store.scan(
      request.partition, bucket: bucket, after: request.cursor,
      limit: min(Self.scanCount, max(1, request.limit)), byteLimit: Self.scanBytes,
      headsOnly: true)
    let life = rules.life(in: bucket, at: wallClock)
    var names: [Bytes] = []
    for entry in scan.entries
    where request.firstPartitions.contains(Ring.firstPartition(of: entry.key, ringSize: ringSize)) {
      if let life, try isDead(entry, life, in: request.partition) { continue }
      names.append(entry.key.key)
    }
    return ListReply.Page(names: names, cursor: scan.isComplete ? nil : scan.entries.last?.key)
  }

  /// Buckets are found by going through the keys; a bucket that is listed is skipped to its end.
  private func buckets(
    of type: Bytes, _ request: ListRequest, _ ringSize: Int
  ) throws(ReplicaStoreFailure) -> ListReply.Page {
    let start = ObjectKey(bucket: BucketID(type: type, name: []), key: [])
    let scan = try store.scan(
      request.partition, bucket: nil, after: request.cursor ?? start, limit: Self.scanCount,
      byteLimit: Self.scanBytes, headsOnly: true)
    for entry in scan.entries {
      guard entry.key.bucket.type == type else { return ListReply.Page(names: [], cursor: nil) }
      let first = Ring.firstPartition(of: entry.key, ringSize: ringSize)
      if request.firstPartitions.contains(first) {
        let bucket = entry.key.bucket
        if let life = rules.life(in: bucket, at: wallClock),
          try isDead(entry, life, in: request.partition)
        {
          continue
        }
        let end = ObjectKey(bucket: bucket, key: Bytes(repeating: 0xFF, count: 64))
        return ListReply.Page(names: [bucket.name], cursor: max(end, entry.key))
      }
    }
    return ListReply.Page(names: [], cursor: scan.isComplete ? nil : scan.entries.last?.key)
  }

  private func isDead(
    _ entry: ReplicaScan.Entry, _ life: BucketRules.Life, in partition: PartitionID
  ) throws(ReplicaStoreFailure) -> Bool {
    try decode(head: entry.encoded, in: partition).siblings.allSatisfy { life.isDead($0.content) }
  }
}
