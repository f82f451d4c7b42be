import KVBase
public import KVModel
import KVProtocol

extension KVClient {
  /// Reads an object.
  ///
  /// - Returns: the object, or nil when there is none or it was deleted.
  public func get(
    _ key: ObjectKey, options: GetOptions = .init()
  ) async throws(KVClientError) -> FetchedObject? {
    try await fetch(key, options: options, tombstoneContext: false)
  }

  /// Reads an object; of a deleted one, gives an object without siblings, whose context lets a write
  /// replace the tombstone.
  public func getWithTombstone(
    _ key: ObjectKey, options: GetOptions = .init()
  ) async throws(KVClientError) -> FetchedObject? {
    try await fetch(key, options: options, tombstoneContext: true)
  }

  private func fetch(
    _ key: ObjectKey, options: GetOptions, tombstoneContext: Bool
  ) async throws(KVClientError) -> FetchedObject? {
    try check(key)
    var sent = options
    sent.timeout = serverTimeout(options.timeout, .always)
    let (reply, endpoint) = try await perform(
      .get(key, sent, ifModified: nil, tombstoneContext: tombstoneContext), .always,
      isWrite: false, timeout: options.timeout)
    guard case .got(let siblings, let context, _) = reply else {
      throw unexpected(reply, endpoint, isWrite: false)
    }
    guard let context else { return nil }
    return FetchedObject(key: key, siblings: siblings, context: CausalContext(bytes: context))
  }

  /// Reads an object and makes one content of its siblings.
  ///
  /// Nothing is written.
  ///
  /// - Returns: the content, which is nil when the resolver found the object deleted, and the context
  ///   to write with; nil when there is no object.
  public func get(
    _ key: ObjectKey, resolving resolver: any SiblingResolver, options: GetOptions = .init()
  ) async throws(KVClientError) -> (content: Content?, context: CausalContext)? {
    guard let object = try await get(key, options: options) else { return nil }
    let content =
      object.siblings.count == 1 ? object.siblings[0] : resolver.resolve(object.siblings)
    return (content, object.context)
  }

  /// Writes an object.
  ///
  /// - Parameters:
  ///   - content: what to store; its tag, time and tombstone mark are the server's business.
  ///   - key: the object's name.
  ///   - context: that of the read this write is based on; nil for a write that has seen nothing.
  ///   - options: quorums and conditions.
  ///   - idempotent: true when writing twice does no harm, so that a write whose fate is unknown may be
  ///     repeated. Repeating may leave the same content twice, as siblings.
  /// - Throws: `matchFound`, `modified` and `notFound` for conditions that do not hold.
  @discardableResult
  public func put(
    _ content: Content, at key: ObjectKey, context: CausalContext? = nil,
    options: PutOptions = .init(), idempotent: Bool = false
  ) async throws(KVClientError) -> StoredObject {
    try check(key)
    return try await store(content, key.bucket, key.key, context, options, idempotent)
  }

  /// Writes a new object under a key that the server makes up.
  @discardableResult
  public func put(
    _ content: Content, generatingKeyIn bucket: BucketID, options: PutOptions = .init()
  ) async throws(KVClientError) -> StoredObject {
    try check(bucket)
    return try await store(content, bucket, nil, nil, options, false)
  }

  private func store(
    _ content: Content, _ bucket: BucketID, _ key: Bytes?, _ context: CausalContext?,
    _ options: PutOptions, _ idempotent: Bool
  ) async throws(KVClientError) -> StoredObject {
    var sent = options
    sent.timeout = serverTimeout(options.timeout, idempotent ? .always : .never)
    let (reply, endpoint) = try await perform(
      .put(bucket, key: key, context: context?.bytes, content, sent),
      idempotent ? .always : .never, isWrite: true, timeout: options.timeout)
    guard case .stored(let siblings, let context, let madeKey) = reply,
      let key = key ?? madeKey
    else { throw unexpected(reply, endpoint, isWrite: true) }
    return StoredObject(
      key: ObjectKey(bucket: bucket, key: key), siblings: siblings,
      context: context.map { CausalContext(bytes: $0) })
  }

  /// Deletes an object; one that does not exist is deleted already.
  ///
  /// - Parameters:
  ///   - key: the object's name.
  ///   - context: that of the read which led to the delete; what was written since then stays. Without
  ///     one the server reads first and deletes what it finds.
  ///   - options: quorums.
  public func delete(
    _ key: ObjectKey, context: CausalContext? = nil, options: DeleteOptions = .init()
  ) async throws(KVClientError) {
    try check(key)
    var sent = options
    sent.timeout = serverTimeout(options.timeout, context == nil ? .never : .always)
    let (reply, endpoint) = try await perform(
      .delete(key, context: context?.bytes, sent), context == nil ? .never : .always,
      isWrite: true, timeout: options.timeout)
    guard case .deleted = reply else { throw unexpected(reply, endpoint, isWrite: true) }
  }

  /// Reads, changes and writes an object, again and again until no one else wrote in between.
  ///
  /// - Parameters:
  ///   - key: the object's name.
  ///   - resolver: makes one content of siblings before `change` sees it.
  ///   - attempts: how often to try at most.
  ///   - change: given the present content (nil for none), returns the new one; it may be called
  ///     several times. Throwing ends the update.
  /// - Throws: `modified` or `matchFound` when others were faster every time.
  @discardableResult
  public func update(
    _ key: ObjectKey, resolving resolver: any SiblingResolver, attempts: Int = 5,
    _ change: (Content?) throws(KVClientError) -> Content
  ) async throws(KVClientError) -> StoredObject {
    try await update(key, attempts: attempts) { (present) throws(KVClientError) in
      try change(
        present.flatMap { object in
          object.siblings.count > 1 ? resolver.resolve(object.siblings) : object.siblings.first
        })
    }
  }

  /// The same for a change of the object as it was read, siblings and all.
  @discardableResult
  func update(
    _ key: ObjectKey, attempts: Int,
    _ change: (FetchedObject?) throws(KVClientError) -> Content
  ) async throws(KVClientError) -> StoredObject {
    var attempt = 1
    while true {
      let present = try await getWithTombstone(key)
      var options = PutOptions()
      options.ifNoneMatch = present.map { $0.siblings.isEmpty } ?? true
      options.ifNotModified = !options.ifNoneMatch
      do throws(KVClientError) {
        return try await put(
          try change(present), at: key, context: present?.context, options: options)
      } catch {
        let lostRace = [.modified, .matchFound, .notFound].contains(error.code)
        guard lostRace, attempt < attempts else { throw error }
        attempt += 1
      }
    }
  }

  func check(_ key: ObjectKey) throws(KVClientError) {
    try check(key.bucket)
    guard !key.key.isEmpty else { throw KVClientError(.invalidArgument, "the key is empty") }
  }

  func check(_ bucket: BucketID) throws(KVClientError) {
    guard !bucket.name.isEmpty, !bucket.type.isEmpty else {
      throw KVClientError(.invalidArgument, "the bucket's name or type is empty")
    }
  }
}
