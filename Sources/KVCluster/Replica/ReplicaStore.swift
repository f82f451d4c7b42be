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
public protocol ReplicaStore: RegisterStore, IndexStore, RepairableStore {
  /// The encoded object of `key` in `partition`, nil when there is none.
  func object(_ key: ObjectKey, in partition: PartitionID) throws(ReplicaStoreFailure) -> Bytes?

  /// The head of the encoded object, without reading its values.
  func head(_ key: ObjectKey, in partition: PartitionID) throws(ReplicaStoreFailure) -> Bytes?

  /// The encoded clock of the grave of `key` in `partition`: what was deleted there for good.
  func grave(of key: ObjectKey, in partition: PartitionID) throws(ReplicaStoreFailure) -> Bytes?

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

  /// The store as it is now, for reading a partition that changes meanwhile; disk space stays in
  /// use while it is kept.
  func snapshot() throws(ReplicaStoreFailure) -> any ReplicaSnapshot

  /// About how many objects the partition holds, replaced versions included, without reading them.
  func approximateCount(of partition: PartitionID) throws(ReplicaStoreFailure) -> Int

  /// The partitions that hold at least one object, sorted.
  func occupiedPartitions() throws(ReplicaStoreFailure) -> [PartitionID]

  /// A small value that the node keeps for itself (ring state, vnode identities).
  func metadata(_ name: String) throws(ReplicaStoreFailure) -> Bytes?
}

/// Reading the index entries of a shard's objects; part of ``ReplicaStore``.
public protocol IndexStore: AnyObject {
  /// Hits of an index query in order, strictly after `after` (nil: from the first): at most `limit` of
  /// them. The query's pattern and filter are not looked at.
  func indexEntries(
    of query: IndexQuery, in partition: PartitionID, after: IndexEntry?, limit: Int
  ) throws(ReplicaStoreFailure) -> IndexScan
}

/// Damage of a shard's store; part of ``ReplicaStore``.
public protocol RepairableStore: AnyObject {
  /// What the store has found it cannot read, of the objects it should hold; at most a few dozen.
  func damage() throws(ReplicaStoreFailure) -> [ReplicaDamage]

  /// Takes note of damage that somebody else has come upon, from `lower` up to `upper` of the store's
  /// own keys; `isValue` tells that of one key just the value cannot be read.
  func noteDamage(from lower: Bytes, to upper: Bytes, isValue: Bool)

  /// Says that everything the damaged ranges should hold has been stored again.
  func resolve(_ damage: ReplicaDamage) throws(ReplicaStoreFailure)
}

extension RepairableStore {
  /// A store that cannot be damaged.
  public func damage() throws(ReplicaStoreFailure) -> [ReplicaDamage] { [] }

  /// A store that cannot be damaged.
  public func noteDamage(from lower: Bytes, to upper: Bytes, isValue: Bool) {}

  /// A store that cannot be damaged.
  public func resolve(_ damage: ReplicaDamage) throws(ReplicaStoreFailure) {}
}

/// A piece of a store that cannot be read, and the objects that may have been in it.
public struct ReplicaDamage: Hashable, Sendable {
  /// A part of one partition.
  public struct Part: Hashable, Sendable {
    /// The partition.
    public var partition: PartitionID
    /// What follows this key may be lost; nil from the first.
    public var after: ObjectKey?
    /// Up to this key; nil to the last.
    public var through: ObjectKey?

    /// The part of `partition` between two keys.
    public init(partition: PartitionID, after: ObjectKey?, through: ObjectKey?) {
      self.partition = partition
      self.after = after
      self.through = through
    }
  }

  /// The store's keys that may be lost: the first, and the first that is not.
  public var lower: Bytes
  /// See ``lower``.
  public var upper: Bytes
  /// The same as objects, or a little more.
  public var parts: [Part]
  /// Partitions whose index entries may be among them.
  public var indexes: [PartitionID]
  /// True when what is stored again can be read: else the store is still setting the piece apart.
  public var isSetApart: Bool

  /// The damage between two keys of the store.
  public init(
    lower: Bytes, upper: Bytes, parts: [Part], indexes: [PartitionID] = [], isSetApart: Bool
  ) {
    self.lower = lower
    self.upper = upper
    self.parts = parts
    self.indexes = indexes
    self.isSetApart = isSetApart
  }
}

/// A store as it was at one moment.
public protocol ReplicaSnapshot: AnyObject {
  /// Whole objects of `partition`, as
  /// ``ReplicaStore/scan(_:bucket:after:limit:byteLimit:headsOnly:)``.
  func scan(
    _ partition: PartitionID, after key: ObjectKey?, limit: Int, byteLimit: Int
  ) throws(ReplicaStoreFailure) -> ReplicaScan

  /// Hits of an index query, as ``IndexStore/indexEntries(of:in:after:limit:)``.
  func indexEntries(
    of query: IndexQuery, in partition: PartitionID, after: IndexEntry?, limit: Int
  ) throws(ReplicaStoreFailure) -> IndexScan
}

/// One change of a batch.
public enum ReplicaChange: Hashable, Sendable {
  /// Store the encoded object, whose head has the given length; it is gone from the second `expiry`
  /// (since 1970) on, when there is one.
  case put(
    ObjectKey, PartitionID, encoded: Bytes, headByteCount: Int, expiry: UInt64? = nil)
  /// Remove the object and remember the encoded clock of what it had seen until the second
  /// `expiry`.
  case bury(ObjectKey, PartitionID, clock: Bytes, expiry: UInt64)
  /// The same without removing the object.
  case remember(ObjectKey, PartitionID, clock: Bytes, expiry: UInt64)
  /// Remove the partition's objects from one name to another, both included.
  case removeRange(PartitionID, from: ObjectKey, through: ObjectKey)
  /// Remove the object from the partition.
  case remove(ObjectKey, PartitionID)
  /// Store the index entries that the head of a stored object asks for once more.
  case index(ObjectKey, PartitionID, head: Bytes, expiry: UInt64?)
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
