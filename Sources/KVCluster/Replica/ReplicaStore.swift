public import KVBase
public import KVModel

/// A replica store that could not do what was asked: the text says which file and why.
public struct ReplicaStoreFailure: Error, Hashable, Sendable, CustomStringConvertible {
  /// The store's error code (1xxx).
  public var code: UInt16
  /// What happened, for logs and operators.
  public var description: String

  /// A failure with the store's code and words.
  public init(code: UInt16, description: String) {
    self.code = code
    self.description = description
  }
}

/// What the vnodes of one shard need of storage; `LSMReplicaStore` in KVNode is the real one.
///
/// Calls are synchronous and made by the shard alone. A write is visible at once and durable when
/// the shard is told that its sequence is synced: the shard asks for that by an effect, so that one
/// flush serves all writes that wait.
public protocol ReplicaStore: AnyObject {
  /// The encoded object of `key` in `partition`, nil when there is none.
  func object(_ key: ObjectKey, in partition: PartitionID) throws(ReplicaStoreFailure) -> Bytes?

  /// The head of the encoded object, without reading its values.
  func head(_ key: ObjectKey, in partition: PartitionID) throws(ReplicaStoreFailure) -> Bytes?

  /// Applies all changes at once; returns the sequence that must be synced for them to be durable.
  func apply(_ changes: [ReplicaChange]) throws(ReplicaStoreFailure) -> UInt64

  /// The sequence of the latest change and of the latest durable one.
  var sequences: (applied: UInt64, synced: UInt64) { get }

  /// Objects of `partition` in key order, strictly after `key` (nil: from the first), restricted to
  /// `bucket` when given: at most `limit` of them and about `byteLimit` bytes. Fewer means the end
  /// only when `isComplete` says so.
  func scan(
    _ partition: PartitionID, bucket: BucketID?, after key: ObjectKey?, limit: Int, byteLimit: Int,
    headsOnly: Bool
  ) throws(ReplicaStoreFailure) -> ReplicaScan

  /// Hits of an index query in order, strictly after `after` (nil: from the first): at most `limit` of
  /// them. The query's pattern is not looked at.
  func indexEntries(
    of query: IndexQuery, in partition: PartitionID, after: IndexEntry?, limit: Int
  ) throws(ReplicaStoreFailure) -> IndexScan

  /// The partitions that hold at least one object, sorted.
  func occupiedPartitions() throws(ReplicaStoreFailure) -> [PartitionID]

  /// A small value that the node keeps for itself (ring state, vnode identities).
  func metadata(_ name: String) throws(ReplicaStoreFailure) -> Bytes?
}

/// One change of a batch.
public enum ReplicaChange: Hashable, Sendable {
  /// Store the encoded object, whose head has the given length.
  case put(ObjectKey, PartitionID, encoded: Bytes, headByteCount: Int)
  /// Remove the object from the partition.
  case remove(ObjectKey, PartitionID)
  /// Store or (nil) remove a metadata value.
  case metadata(String, Bytes?)
}

/// A part of a partition, in key order.
public struct ReplicaScan: Hashable, Sendable {
  /// Keys and their encoded objects (or heads).
  public var entries: [Entry]
  /// True when nothing follows the entries.
  public var isComplete: Bool

  /// One object of a scan.
  public struct Entry: Hashable, Sendable {
    /// The object's name.
    public var key: ObjectKey
    /// The encoded object, or its head.
    public var encoded: Bytes

    /// The object `key`.
    public init(key: ObjectKey, encoded: Bytes) {
      self.key = key
      self.encoded = encoded
    }
  }

  /// The given entries, and whether they are the last.
  public init(entries: [Entry], isComplete: Bool) {
    self.entries = entries
    self.isComplete = isComplete
  }
}
