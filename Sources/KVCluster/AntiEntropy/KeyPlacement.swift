public import KVBase
public import KVModel

/// The objects that the same vnodes hold: those whose preference lists start at the same partition
/// and are equally long.
///
/// Vnodes compare group by group, so that only objects which both should hold are compared.
public struct TreeGroup: Hashable, Comparable, Sendable {
  /// The first partition of the preference lists.
  public var first: PartitionID
  /// Their length.
  public var nVal: Int

  /// The group of the lists of `nVal` partitions from `first` on.
  public init(first: PartitionID, nVal: Int) {
    self.first = first
    self.nVal = nVal
  }

  /// The partitions whose vnodes hold the group, in preference order.
  public func partitions(ringSize: Int) -> [PartitionID] {
    (0..<min(nVal, ringSize)).map { PartitionID((first.index + $0) % ringSize) }
  }

  /// True when the vnode of `partition` holds the group.
  public func includes(_ partition: PartitionID, ringSize: Int) -> Bool {
    (partition.index - first.index + ringSize) % ringSize < nVal
  }

  /// Orders by partition, then by length.
  public static func < (a: TreeGroup, b: TreeGroup) -> Bool {
    (a.first, a.nVal) < (b.first, b.nVal)
  }
}

/// Which group each key belongs to: the part of a view that trees depend on.
///
/// Nodes whose placements differ would count the same key in different groups; the signature tells
/// them to wait until they agree.
public struct KeyPlacement: Hashable, Sendable {
  private struct Exception: Hashable {
    var bucket: BucketID
    var nVal: Int
  }

  /// The partitions of the ring.
  public let ringSize: Int
  /// A hash of everything that decides the group of a key.
  public let signature: UInt64
  /// Every length that preference lists may have, ascending.
  public let nVals: [Int]
  /// Buckets and types (with an empty name) whose n_val is not that of their type, or the default,
  /// sorted.
  private let exceptions: [Exception]
  private static let defaultNVal = BucketProperties().nVal

  /// The placement by a view's ring size and bucket properties.
  public init(_ view: ClusterView) {
    ringSize = view.ring.size
    var exceptions: [Exception] = []
    for entry in view.properties {
      let bucket = entry.bucket
      let type = BucketID(type: bucket.type, name: [])
      let inherited =
        bucket.name.isEmpty ? Self.defaultNVal : view.properties(of: type).nVal
      if entry.properties.nVal != inherited {
        exceptions.append(Exception(bucket: bucket, nVal: entry.properties.nVal))
      }
    }
    self.exceptions = exceptions
    nVals = Set(exceptions.map(\.nVal) + [Self.defaultNVal]).sorted()
    var writer = ByteWriter()
    writer.write(count: ringSize)
    for exception in exceptions {
      exception.bucket.encode(into: &writer)
      writer.write(count: exception.nVal)
    }
    signature = StableHash.hash(writer.bytes)
  }

  /// The length of the preference lists of a bucket's keys.
  ///
  /// Cost is O(log exceptions).
  public func nVal(of bucket: BucketID) -> Int {
    guard !exceptions.isEmpty else { return Self.defaultNVal }
    return exception(bucket) ?? exception(BucketID(type: bucket.type, name: []))
      ?? Self.defaultNVal
  }

  private func exception(_ bucket: BucketID) -> Int? {
    var low = 0
    var high = exceptions.count
    while low < high {
      let middle = (low + high) / 2
      if exceptions[middle].bucket < bucket { low = middle + 1 } else { high = middle }
    }
    guard low < exceptions.count, exceptions[low].bucket == bucket else { return nil }
    return exceptions[low].nVal
  }

  /// The group of a key.
  public func group(of key: ObjectKey) -> TreeGroup {
    TreeGroup(
      first: Ring.firstPartition(of: key, ringSize: ringSize), nVal: nVal(of: key.bucket))
  }

  /// The groups that the vnode of `partition` holds, sorted.
  public func groups(of partition: PartitionID) -> [TreeGroup] {
    var groups: [TreeGroup] = []
    for nVal in nVals {
      for distance in 0..<min(nVal, ringSize) {
        let first = PartitionID((partition.index - distance + ringSize) % ringSize)
        groups.append(TreeGroup(first: first, nVal: nVal))
      }
    }
    return groups.sorted()
  }
}

/// What an object adds to the tree of its group.
public enum ObjectHash {
  /// The hash of a name, which chooses the leaf.
  public static func name(_ key: ObjectKey) -> UInt64 {
    let type = StableHash.hash(key.bucket.type)
    return StableHash.hash(key.key, seed: StableHash.hash(key.bucket.name, seed: type))
  }

  /// The hash of an object: of its name and its head, which holds the version vector and the dot of
  /// every sibling.
  ///
  /// The vector alone would not do: a replica that keeps only the newest sibling may have seen the
  /// same events as one that keeps all. `encoded` is an encoded object or its head.
  public static func object(_ encoded: Bytes, nameHash: UInt64) -> UInt64 {
    let count = (try? KVObject.headByteCount(of: encoded)) ?? encoded.count
    return encoded.withUnsafeBytes {
      StableHash.hash(UnsafeRawBufferPointer(rebasing: $0[..<count]), seed: nameHash)
    }
  }
}
