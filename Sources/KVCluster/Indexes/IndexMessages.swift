import KVBase
public import KVModel

/// Asks a vnode for one page of an index query.
public struct IndexRequest: Hashable, Sendable {
  /// The asker's operation.
  public var operation: OperationID
  /// The vnode.
  public var partition: PartitionID
  /// Only keys whose preference list starts at one of these.
  public var firstPartitions: [PartitionID]
  /// What is asked.
  public var query: IndexQuery
  /// Only what follows this hit; nil for the first page.
  public var after: IndexEntry?
  /// The most hits on the page.
  public var limit: Int

  /// A page of at most `limit` hits.
  public init(
    operation: OperationID, partition: PartitionID, firstPartitions: [PartitionID],
    query: IndexQuery, after: IndexEntry?, limit: Int
  ) {
    self.operation = operation
    self.partition = partition
    self.firstPartitions = firstPartitions
    self.query = query
    self.after = after
    self.limit = limit
  }
}

/// Answers an ``IndexRequest``.
public struct IndexReply: Hashable, Sendable {
  /// Hits in order, and where to go on.
  public struct Page: Hashable, Sendable {
    /// The hits.
    public var entries: [IndexEntry]
    /// The hit after which the next page begins; nil when this page was the last.
    public var cursor: IndexEntry?

    /// A page of `entries`.
    public init(entries: [IndexEntry], cursor: IndexEntry?) {
      self.entries = entries
      self.cursor = cursor
    }
  }

  /// The asker's operation.
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

extension IndexEntry {
  func encode(into writer: inout ByteWriter) {
    writer.write(term)
    writer.write(key)
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    let term = try reader.readBytes()
    self.init(term: term, key: try reader.readBytes())
  }
}

extension IndexRequest {
  func encode(into writer: inout ByteWriter) {
    operation.encode(into: &writer)
    partition.encode(into: &writer)
    writer.write(list: firstPartitions) { $1.encode(into: &$0) }
    query.encode(into: &writer)
    writer.write(optional: after) { $1.encode(into: &$0) }
    writer.write(count: limit)
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    operation = try OperationID(decoding: &reader)
    partition = try PartitionID(decoding: &reader)
    firstPartitions = try reader.readList(minimumBytes: 2) { (r) throws(DecodingFailure) in
      try PartitionID(decoding: &r)
    }
    query = try IndexQuery(decoding: &reader)
    after = try reader.readOptional { (r) throws(DecodingFailure) in
      try IndexEntry(decoding: &r)
    }
    limit = Int(clamping: try reader.readVarint())
  }
}

extension IndexReply {
  func encode(into writer: inout ByteWriter) {
    operation.encode(into: &writer)
    partition.encode(into: &writer)
    writer.write(result: result) { writer, page in
      writer.write(list: page.entries) { $1.encode(into: &$0) }
      writer.write(optional: page.cursor) { $1.encode(into: &$0) }
    }
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    operation = try OperationID(decoding: &reader)
    partition = try PartitionID(decoding: &reader)
    result = try reader.readResult { (r) throws(DecodingFailure) in
      let entries = try r.readList(minimumBytes: 2) { (r) throws(DecodingFailure) in
        try IndexEntry(decoding: &r)
      }
      let cursor = try r.readOptional { (r) throws(DecodingFailure) in
        try IndexEntry(decoding: &r)
      }
      return Page(entries: entries, cursor: cursor)
    }
  }
}
