public import KVBase

/// What a client may say about one GET; nil means "as the bucket says".
///
/// **Source**: reference sections 1.4 and 1.6.
public struct GetOptions: Hashable, Sendable {
  /// Replies to wait for.
  public var r: QuorumValue?
  /// Of those, replies from primaries.
  public var pr: QuorumValue?
  /// Different nodes that must have answered.
  public var nodeConfirms: QuorumValue?
  /// See ``BucketProperties/basicQuorum``.
  public var basicQuorum: Bool?
  /// See ``BucketProperties/notFoundOK``.
  public var notFoundOK: Bool?
  /// How long the coordinator may take; nil for its default of 60 s.
  public var timeout: Duration?
  /// False to ask primaries only.
  public var sloppyQuorum = true
  /// Fewer replicas than the bucket's N, for this request.
  public var nVal: UInt32?
  /// True when the values are not wanted.
  public var headOnly = false

  /// Options that leave everything to the bucket.
  public init() {}
}

/// What a client may say about one PUT; nil means "as the bucket says".
///
/// **Source**: reference sections 1.4 and 1.7.
public struct PutOptions: Hashable, Sendable {
  /// Receipts to wait for.
  public var w: QuorumValue?
  /// Durable copies to wait for.
  public var dw: QuorumValue?
  /// Durable copies at primaries to wait for.
  public var pw: QuorumValue?
  /// Different nodes that must have stored it.
  public var nodeConfirms: QuorumValue?
  /// How long the coordinator may take; nil for its default of 60 s.
  public var timeout: Duration?
  /// False to use primaries only.
  public var sloppyQuorum = true
  /// Fewer replicas than the bucket's N, for this request.
  public var nVal: UInt32?
  /// True to store the object with the given clock, without a new event.
  public var asIs = false
  /// Which replicas flush before they acknowledge.
  public var syncOnWrite: SyncOnWrite?
  /// Fail with ``RequestFailure/matchFound`` when a live object exists.
  public var ifNoneMatch = false
  /// Fail unless the context equals the present clock.
  public var ifNotModified = false
  /// True when the merged object is wanted in the reply.
  public var returnBody = false
  /// A change of a data type, made at the coordinating vnode from what it holds; the content given
  /// with it is not used.
  public var dataType: DataTypeUpdate?

  /// Options that leave everything to the bucket.
  public init() {}
}

/// What a client may say about one delete.
///
/// **Source**: reference section 1.8.
public struct DeleteOptions: Hashable, Sendable {
  /// The one value of old clients for both phases.
  public var rw: QuorumValue?
  /// For the read that finds the clock when the client gave none.
  public var r: QuorumValue?
  /// See ``r``.
  public var pr: QuorumValue?
  /// For the write of the tombstone.
  public var w: QuorumValue?
  /// See ``w``.
  public var dw: QuorumValue?
  /// See ``w``.
  public var pw: QuorumValue?
  /// How long the coordinator may take.
  public var timeout: Duration?
  /// False to use primaries only.
  public var sloppyQuorum = true
  /// Fewer replicas than the bucket's N.
  public var nVal: UInt32?

  /// Options that leave everything to the bucket.
  public init() {}
}

/// One request as a node's core sees it, whatever interface it came in by.
public enum ClientRequest: Hashable, Sendable {
  /// Read an object.
  case get(ObjectKey, GetOptions)
  /// Write a content that has seen `context`.
  case put(ObjectKey, context: VersionVector, Content, PutOptions)
  /// Write a tombstone; without a context the node reads one first.
  case delete(ObjectKey, context: VersionVector?, DeleteOptions)
  /// Every bucket of a type that holds at least one key.
  case listBuckets(type: Bytes, timeout: Duration?)
  /// Every key of a bucket, in batches.
  case listKeys(BucketID, timeout: Duration?)
  /// The hits of an index query in order, in batches: those after one, and at most so many.
  case index(IndexQuery, after: IndexEntry?, limit: Int?, timeout: Duration?)
  /// The keys that index queries find together, or numbers about them, in batches.
  case keyQuery(KeyQuery, timeout: Duration?)
  /// The vnodes of an object.
  case preferenceList(ObjectKey)
  /// The bucket's properties.
  case bucketProperties(BucketID)
  /// Replace the bucket's properties by this complete, validated set.
  case setBucketProperties(BucketID, BucketProperties)
  /// Back to the type's defaults.
  case resetBucketProperties(BucketID)
  /// Count or find objects by their heads.
  case fold(FoldQuery)
  /// Queue the tombstones of these keys to be reaped now.
  case reap([ObjectKey])
  /// The names of all bucket types.
  case bucketTypes
  /// Drop everything that the bucket holds now.
  case dropBucket(BucketID)
}

/// The answer to one request.
///
/// Listings give several, the last with `done`.
public enum ClientReply: Hashable, Sendable {
  /// GET: the merged object; it may be deleted, and is empty when nothing was found.
  case object(KVObject)
  /// PUT: done; with the merged object when the body was asked for, else an empty one.
  case stored(KVObject)
  /// Delete: done, or there was nothing.
  case deleted
  /// Some bucket names.
  case buckets([Bytes], done: Bool)
  /// Some keys.
  case keys([Bytes], done: Bool)
  /// Some hits of an index query.
  case entries([IndexEntry], done: Bool)
  /// A part of the answer to a key query.
  case found(KeyQueryPage, done: Bool)
  /// The vnodes of an object in order of preference.
  case preferenceList([PreferredVnode])
  /// The bucket's properties.
  case properties(BucketProperties)
  /// Setting or resetting properties: done.
  case propertiesStored
  /// What was counted or found.
  case folded(FoldResult)
  /// Tombstones queued to be reaped: done.
  case reapQueued
  /// The names of all bucket types, sorted.
  case bucketTypes([Bytes])
  /// The request failed.
  case failure(RequestFailure)
}

/// One vnode of an object's preference list, as clients are told.
public struct PreferredVnode: Hashable, Sendable {
  /// The number of the partition.
  public var partition: Int
  /// The name of the node.
  public var node: String
  /// False for a vnode that stands in for another.
  public var isPrimary: Bool

  /// The vnode of `partition` on `node`.
  public init(partition: Int, node: String, isPrimary: Bool) {
    self.partition = partition
    self.node = node
    self.isPrimary = isPrimary
  }
}

/// Why a request failed: an expected outcome, which the client must see.
///
/// **Source**: reference section 1.3, whose texts the client interfaces print.
public enum RequestFailure: Error, Hashable, Sendable {
  /// No answer in time. A write may or may not have happened.
  case timeout
  /// A queue was full; nothing was done.
  case overload
  /// Too few replies for R.
  case rUnsatisfied(need: Int, got: Int)
  /// Too few primaries for PR.
  case prUnsatisfied(need: Int, got: Int)
  /// Too few durable copies for DW.
  case dwUnsatisfied(need: Int, got: Int)
  /// Too few primaries for PW.
  case pwUnsatisfied(need: Int, got: Int)
  /// Too few different nodes stored a PUT.
  case nodeConfirmsUnsatisfied(need: Int, got: Int)
  /// Too few different nodes for a GET.
  case insufficientNodes(need: Int, got: Int)
  /// Fewer vnodes can be reached than are needed.
  case insufficientVnodes(need: Int, got: Int)
  /// A quorum above N, or an N above the bucket's.
  case nValViolation(Int)
  /// A quorum value that means nothing for the named option (`r`, `w`, …).
  case quorumViolation(option: String, value: UInt32)
  /// No vnode could coordinate.
  case allNodesDown
  /// Conditional PUT: a live object exists.
  case matchFound
  /// Conditional PUT: the clock differs.
  case modified
  /// Conditional PUT: there is nothing.
  case notFound
  /// Write in a consistent bucket: the context is not the present clock. Nothing was done.
  case failed
  /// The bucket type does not exist or is not active.
  case unknownBucketType(Bytes)
  /// The object would exceed a limit; the text says which.
  case tooLarge(String)
  /// The node's disk refused; the text says how.
  case storage(String)
  /// What is asked cannot be done with what is stored; the text says why.
  case refused(String)
}
