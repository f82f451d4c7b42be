public import KVBase
public import KVModel

/// What a listing is about.
public enum ListingScope: Hashable, Sendable {
  /// The buckets of a type that hold at least one key.
  case buckets(type: Bytes)
  /// The keys of a bucket.
  case keys(BucketID)
}

/// Asks a vnode for one page of a listing.
public struct ListRequest: Hashable, Sendable {
  /// The lister's operation.
  public var operation: OperationID
  /// The vnode.
  public var partition: PartitionID
  /// Buckets or keys.
  public var scope: ListingScope
  /// Only keys whose preference list starts at one of these.
  public var firstPartitions: [PartitionID]
  /// Only what follows this key; nil for the first page.
  public var cursor: ObjectKey?
  /// The most names on the page.
  public var limit: Int

  /// A page of at most `limit` names.
  public init(
    operation: OperationID, partition: PartitionID, scope: ListingScope,
    firstPartitions: [PartitionID], cursor: ObjectKey?, limit: Int
  ) {
    self.operation = operation
    self.partition = partition
    self.scope = scope
    self.firstPartitions = firstPartitions
    self.cursor = cursor
    self.limit = limit
  }
}

/// One page of a listing.
public struct ListReply: Hashable, Sendable {
  /// Names and where to go on; nil at the end.
  public struct Page: Hashable, Sendable {
    /// Bucket names or keys.
    public var names: [Bytes]
    /// The cursor of the next page, nil when this was the last.
    public var cursor: ObjectKey?

    /// A page of `names`.
    public init(names: [Bytes], cursor: ObjectKey?) {
      self.names = names
      self.cursor = cursor
    }
  }

  /// The lister's operation.
  public var operation: OperationID
  /// The vnode.
  public var partition: PartitionID
  /// The page, or why there is none.
  public var result: Result<Page, RequestFailure>

  /// A page from the vnode of `partition`.
  public init(
    operation: OperationID, partition: PartitionID, result: Result<Page, RequestFailure>
  ) {
    self.operation = operation
    self.partition = partition
    self.result = result
  }
}

/// Asks shard 0 to change a bucket's properties.
public struct PropertiesChange: Hashable, Sendable {
  /// The asking shard's operation.
  public var operation: OperationID
  /// The bucket.
  public var bucket: BucketID
  /// Its new properties, complete; nil for its type's defaults.
  public var properties: BucketProperties?

  /// A change of the properties of `bucket`.
  public init(operation: OperationID, bucket: BucketID, properties: BucketProperties?) {
    self.operation = operation
    self.bucket = bucket
    self.properties = properties
  }
}
