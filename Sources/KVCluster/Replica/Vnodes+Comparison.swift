public import KVBase
public import KVModel

/// What a set of objects is known by: how many they are, and a sum of hashes that does not depend
/// on their order.
///
/// Each hash covers an object's name and head, which holds its clock, so equal digests mean, but for
/// a chance of 2⁻⁶⁴, that both sides hold the same versions of the same objects.
public struct PartitionDigest: Hashable, Sendable {
  /// The number of objects.
  public private(set) var count: Int
  /// The sum of their hashes, modulo 2⁶⁴.
  public private(set) var sum: UInt64

  /// The digest of no objects, or one that was received.
  public init(count: Int = 0, sum: UInt64 = 0) {
    self.count = count
    self.sum = sum
  }

  /// Takes an object in.
  public mutating func add(_ key: ObjectKey, head: Bytes) {
    let bucket = StableHash.hash(key.bucket.name, seed: StableHash.hash(key.bucket.type))
    count += 1
    sum &+= StableHash.hash(head, seed: StableHash.hash(key.key, seed: bucket))
  }
}

/// The receiving side of a handoff's comparisons.
extension Vnodes {
  /// True when the part of the partition holds exactly what the sender has there.
  ///
  /// Cost is a scan of as many heads as the sender has.
  public func agrees(with comparison: HandoffComparison) throws(ReplicaStoreFailure) -> Bool {
    let scan = try store.scan(
      comparison.partition, bucket: nil, after: comparison.after,
      limit: comparison.digest.count + 1, byteLimit: .max, headsOnly: true)
    var digest = PartitionDigest()
    for entry in scan.entries {
      if let through = comparison.through, through < entry.key { break }
      digest.add(entry.key, head: entry.encoded)
    }
    return digest == comparison.digest
  }

  /// The positions of the offered objects whose events have not all been seen here.
  ///
  /// Cost is a read of one head each.
  public func lacking(of offer: HandoffOffer) throws(ReplicaStoreFailure) -> [Int] {
    var wanted: [Int] = []
    for (index, item) in offer.items.enumerated() {
      guard let head = try store.head(item.key, in: offer.partition) else {
        // What has been removed here for good is not wanted back.
        let grave = try buried(item.key, in: offer.partition)
        if grave?.clock.descends(item.clock) != true { wanted.append(index) }
        continue
      }
      guard let object = try? KVObject(encodedHead: head) else {
        throw ClusterError.malformedObject(offer.partition, "no head")
      }
      if !object.clock.descends(item.clock) { wanted.append(index) }
    }
    return wanted
  }
}
