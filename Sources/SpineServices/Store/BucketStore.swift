public import KVBase

/// A bucket as the services name it: bucket type and name.
public struct BucketName: Hashable, Sendable {
  /// The bucket type; `default` works on every node.
  public var type: String
  /// The bucket's name, such as `eps.record`.
  public var name: String

  /// A bucket of type `default` unless another is given.
  public init(_ name: String, type: String = "default") {
    self.type = type
    self.name = name
  }
}

/// One secondary-index term: the index field and its value.
public struct IndexTerm: Hashable, Comparable, Sendable {
  /// The index, such as `nhsNumber_bin`.
  public var field: String
  /// The term, such as `9000000009`.
  public var value: String

  /// A term of an index.
  public init(_ field: String, _ value: String) {
    self.field = field
    self.value = value
  }

  /// The order of their texts.
  public static func < (a: IndexTerm, b: IndexTerm) -> Bool {
    (a.field, a.value) < (b.field, b.value)
  }
}

/// One stored value: the body and what travels with it.
public struct StoredValue: Hashable, Sendable {
  /// The encoded body.
  public var body: Bytes
  /// The media type of the body.
  public var contentType: String
  /// The secondary-index terms kept with the value.
  public var indexes: [IndexTerm]
  /// True for the tombstone of a deletion that survives next to other siblings.
  public var isDeleted: Bool

  /// A value with its index terms.
  public init(
    body: Bytes, contentType: String = "application/json", indexes: [IndexTerm] = [],
    isDeleted: Bool = false
  ) {
    self.body = body
    self.contentType = contentType
    self.indexes = indexes
    self.isDeleted = isDeleted
  }
}

/// All siblings of a key, and the causal context a later write must carry to replace them.
public struct StoredSiblings: Sendable {
  /// The opaque causal context.
  public var context: Bytes
  /// One value, or several after concurrent writes.
  public var values: [StoredValue]

  /// The siblings read together with `context`.
  public init(context: Bytes, values: [StoredValue]) {
    self.context = context
    self.values = values
  }
}

/// What must be true of a key for a write to take place.
///
/// The store checks, then writes: two writers may still both pass and leave siblings, which the
/// bucket's merge joins. The condition makes that rare; the merge makes it harmless.
public enum StoreCondition: Sendable {
  /// Always write.
  case none
  /// The key has no value.
  case absent
  /// The key still has the value the context was read with.
  case unmodified
}

/// Why a store operation did not do what was asked.
public enum StoreFailure: Error, Hashable, Sendable {
  /// The condition of the write did not hold; nothing was written.
  case conditionFailed
  /// No answer in time, or not enough nodes: the write may or may not have happened.
  case outcomeUnknown(String)
  /// The store refused; nothing was written.
  case refused(String)
}

/// How a bucket of the services is to be replicated; set through the client by ``Spine/prepare()``.
public struct BucketSettings: Hashable, Sendable {
  /// The number of copies.
  public var replicaCount: Int
  /// How many different nodes must confirm a write before it is acknowledged.
  public var nodeConfirms: Int

  /// Three copies, two different nodes confirming: what the Spine services need.
  public init(replicaCount: Int = 3, nodeConfirms: Int = 2) {
    self.replicaCount = replicaCount
    self.nodeConfirms = nodeConfirms
  }
}

/// The key-value operations a typed bucket needs: the seam between the services and a cluster.
///
/// ``ClientBucketStore`` is the conformance over the client library. Failures are ``StoreFailure``.
public protocol BucketStore: Sendable {
  /// All siblings of a key, or nil when there is none.
  func fetch(_ key: String, in bucket: BucketName) async throws(StoreFailure) -> StoredSiblings?

  /// Writes a value that replaces what `context` was read with.
  func store(
    _ value: StoredValue, at key: String, in bucket: BucketName, context: Bytes?,
    if condition: StoreCondition
  ) async throws(StoreFailure)

  /// Deletes what `context` was read with.
  func delete(_ key: String, in bucket: BucketName, context: Bytes?) async throws(StoreFailure)

  /// The keys of a bucket; walks the whole store, for tools and tests only.
  func keys(in bucket: BucketName) async throws(StoreFailure) -> [String]

  /// Sets the bucket's properties: siblings allowed, and the given replication.
  func configure(_ bucket: BucketName, settings: BucketSettings) async throws(StoreFailure)
}
