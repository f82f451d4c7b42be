public import KVBase
public import KVClient
import KVModel

/// The store of the services over a cluster, through the client library.
public struct ClientBucketStore: BucketStore {
  /// The client.
  public let client: KVClient
  private let readQuorum: QuorumValue?

  /// A store on `client`.
  ///
  /// - Parameters:
  ///   - client: The cluster's client; the caller closes it.
  ///   - readsOneReplica: True to read with r=1, as a check of what each node answers alone.
  public init(client: KVClient, readsOneReplica: Bool = false) {
    self.client = client
    readQuorum = readsOneReplica ? .count(1) : nil
  }

  private func objectKey(_ key: String, _ bucket: BucketName) -> ObjectKey {
    ObjectKey(type: bucket.type, bucket: bucket.name, key: key)
  }

  /// All siblings of a key, or nil when there is none.
  public func fetch(
    _ key: String, in bucket: BucketName
  ) async throws(StoreFailure) -> StoredSiblings? {
    var options = GetOptions()
    options.r = readQuorum
    do throws(KVClientError) {
      guard let object = try await client.get(objectKey(key, bucket), options: options) else {
        return nil
      }
      return StoredSiblings(
        context: object.context.bytes, values: object.siblings.map(StoredValue.init))
    } catch {
      throw StoreFailure(error)
    }
  }

  /// Writes a value that replaces what `context` was read with.
  ///
  /// A write whose fate is unknown is repeated: the services recognise their own messages, so that
  /// finding an earlier attempt in place is as good as writing.
  public func store(
    _ value: StoredValue, at key: String, in bucket: BucketName, context: Bytes?,
    if condition: StoreCondition
  ) async throws(StoreFailure) {
    var options = PutOptions()
    switch condition {
    case .none: break
    case .absent: options.ifNoneMatch = true
    case .unmodified: options.ifNotModified = true
    }
    do throws(KVClientError) {
      try await client.put(
        Content(value), at: objectKey(key, bucket),
        context: context.map { CausalContext(bytes: $0) },
        options: options, idempotent: true)
    } catch {
      throw StoreFailure(error)
    }
  }

  /// Deletes what `context` was read with.
  public func delete(
    _ key: String, in bucket: BucketName, context: Bytes?
  ) async throws(StoreFailure) {
    do throws(KVClientError) {
      try await client.delete(
        objectKey(key, bucket), context: context.map { CausalContext(bytes: $0) })
    } catch {
      throw StoreFailure(error)
    }
  }

  /// The keys of a bucket.
  public func keys(in bucket: BucketName) async throws(StoreFailure) -> [String] {
    let id = BucketID(type: Bytes(bucket.type.utf8), name: Bytes(bucket.name.utf8))
    do throws(KVClientError) {
      return try await client.keys(in: id).map { String(decoding: $0, as: UTF8.self) }
    } catch {
      throw StoreFailure(error)
    }
  }

  /// Sets the bucket's properties; nothing is sent when they are right already.
  public func configure(
    _ bucket: BucketName, settings: BucketSettings
  ) async throws(StoreFailure) {
    let id = BucketID(type: Bytes(bucket.type.utf8), name: Bytes(bucket.name.utf8))
    do throws(KVClientError) {
      let present = try await client.properties(of: id)
      var wanted = present
      wanted.allowMult = true
      wanted.lastWriteWins = false
      wanted.nVal = settings.replicaCount
      wanted.nodeConfirms = .count(UInt32(settings.nodeConfirms))
      guard wanted != present else { return }
      try await client.setProperties(wanted, of: id)
    } catch {
      throw StoreFailure(error)
    }
  }
}

extension StoredValue {
  init(_ content: Content) {
    self.init(
      body: content.value,
      contentType: String(decoding: content.contentType ?? [], as: UTF8.self),
      indexes: content.indexes.map { pair in
        IndexTerm(
          String(decoding: pair.key, as: UTF8.self),
          String(decoding: pair.value ?? [], as: UTF8.self))
      }, isDeleted: content.isTombstone)
  }
}

extension Content {
  init(_ value: StoredValue) {
    self.init(
      value: value.body, contentType: Bytes(value.contentType.utf8),
      indexes: value.indexes.map {
        Pair(key: Bytes($0.field.utf8), value: Bytes($0.value.utf8))
      })
  }
}

extension StoreFailure {
  init(_ error: KVClientError) {
    switch error.code {
    case .matchFound, .modified, .notFound: self = .conditionFailed
    case _ where error.isAmbiguous: self = .outcomeUnknown(error.description)
    case .timeout, .connectionLost, .connectionFailed, .unavailable, .overload, .poolExhausted,
      .quorumUnsatisfied:
      self = .outcomeUnknown(error.description)
    default: self = .refused(error.description)
    }
  }
}
