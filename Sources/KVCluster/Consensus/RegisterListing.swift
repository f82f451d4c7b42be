import KVBase
public import KVModel

extension ListingScope {
  /// The bucket, or the bucket type as one.
  public var bucket: BucketID {
    switch self {
    case .buckets(let type): BucketID(type: type, name: [])
    case .keys(let bucket): bucket
    }
  }
}

/// One page of a listing of a consistent bucket or type, from the registers of a vnode.
///
/// Keys that hold nothing or a tombstone are left out. A listing is no read: it shows what the
/// vnodes of a cover have accepted.
extension Vnodes {
  private static let registerCount = 1000
  private static let registerBytes = 1 << 20

  /// The names after the cursor that belong to the asked ranges, and where to go on.
  public func listRegisters(
    _ request: ListRequest, ringSize: Int
  ) -> Result<ListReply.Page, RequestFailure> {
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
    let scan = try store.registers(
      of: request.partition, bucket: bucket, after: request.cursor,
      limit: min(Self.registerCount, max(1, request.limit)), byteLimit: Self.registerBytes)
    let names = scan.entries.filter { entry in
      request.firstPartitions.contains(Ring.firstPartition(of: entry.key, ringSize: ringSize))
        && Self.holdsValue(entry.encoded)
    }.map(\.key.key)
    return ListReply.Page(names: names, cursor: scan.isComplete ? nil : scan.entries.last?.key)
  }

  private func buckets(
    of type: Bytes, _ request: ListRequest, _ ringSize: Int
  ) throws(ReplicaStoreFailure) -> ListReply.Page {
    let start = ObjectKey(bucket: BucketID(type: type, name: []), key: [])
    let scan = try store.registers(
      of: request.partition, bucket: nil, after: request.cursor ?? start,
      limit: Self.registerCount, byteLimit: Self.registerBytes)
    for entry in scan.entries {
      guard entry.key.bucket.type == type else { return ListReply.Page(names: [], cursor: nil) }
      let first = Ring.firstPartition(of: entry.key, ringSize: ringSize)
      if request.firstPartitions.contains(first), Self.holdsValue(entry.encoded) {
        let bucket = entry.key.bucket
        let end = ObjectKey(bucket: bucket, key: Bytes(repeating: 0xFF, count: 64))
        return ListReply.Page(names: [bucket.name], cursor: max(end, entry.key))
      }
    }
    return ListReply.Page(names: [], cursor: scan.isComplete ? nil : scan.entries.last?.key)
  }

  private static func holdsValue(_ encoded: Bytes) -> Bool {
    guard let object = (try? Register(encoded: encoded))?.value.object, !object.isEmpty,
      let head = try? KVObject(encodedHead: object)
    else { return false }
    return !head.isDeleted
  }
}
