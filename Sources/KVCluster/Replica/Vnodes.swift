public import KVBase
public import KVModel

/// One write as its coordinating vnode performs it.
public struct CoordinatedWrite: Hashable, Sendable {
  /// The object's name.
  public var key: ObjectKey
  /// What the writer has seen.
  public var context: VersionVector
  /// What is written.
  public var content: Content
  /// False when only the newest content may stay.
  public var keepsSiblings: Bool
  /// True when the write replaces whatever there is.
  public var replacesAll: Bool
  /// True to keep the given clock, time and tag.
  public var asIs = false
  /// Refuse with `matchFound` when a live object is stored here.
  public var ifNoneMatch = false
  /// Refuse with `modified` when the context has not seen all that is stored here.
  public var ifNotModified = false
  /// A change of a data type, from which the content is made.
  public var dataType: DataTypeUpdate?

  /// A write of `content` by someone who has seen `context`.
  public init(
    key: ObjectKey, context: VersionVector, content: Content, keepsSiblings: Bool,
    replacesAll: Bool
  ) {
    self.key = key
    self.context = context
    self.content = content
    self.keepsSiblings = keepsSiblings
    self.replacesAll = replacesAll
  }
}

/// The vnodes of one shard: what they hold, and the only way to change it.
///
/// Each call reads, decides and writes within one step of the shard, so the updates of one key are
/// atomic without a lock.
///
/// **Source**: reference sections 3.5 to 3.8.
public struct Vnodes {
  /// The limits of what a coordinated write may make of an object.
  public struct Limits: Hashable, Sendable {
    /// The largest encoded object.
    public var objectBytes: Int
    /// The most siblings.
    public var siblings: Int
    /// The longest type, bucket and key together; keys are escaped on disk and may double.
    public var nameBytes = 100_000

    /// The given limits.
    public init(objectBytes: Int, siblings: Int) {
      self.objectBytes = objectBytes
      self.siblings = siblings
    }
  }

  /// The outcome of a write: the object as stored now, and the sequence that makes it durable.
  public struct Stored: Hashable, Sendable {
    /// The encoded object.
    public var encoded: Bytes
    /// What must be synced.
    public var sequence: UInt64
    /// False when what was stored already said all that the write said.
    public var isChanged: Bool
  }

  /// Where the vnodes keep their objects.
  public let store: any ReplicaStore
  private var identities: VnodeIdentities
  private let limits: Limits

  /// The vnodes over `store`.
  public init(store: any ReplicaStore, identities: VnodeIdentities, limits: Limits) {
    self.store = store
    self.identities = identities
    self.limits = limits
  }

  /// What the vnode of `partition` holds of `key`: whole up to `byteLimit` bytes, else its head.
  public func read(_ key: ObjectKey, in partition: PartitionID, byteLimit: Int) -> ReplicaReading {
    do throws(ReplicaStoreFailure) {
      if byteLimit == 0 {
        return try store.head(key, in: partition).map { .head($0) } ?? .notFound
      }
      guard let bytes = try store.object(key, in: partition) else { return .notFound }
      guard bytes.count > byteLimit else { return .whole(bytes) }
      guard let headByteCount = try? KVObject.headByteCount(of: bytes) else {
        throw ClusterError.malformedObject(partition, "no head")
      }
      return .head(Bytes(bytes.prefix(headByteCount)))
    } catch {
      return .failure(.storage(error.description))
    }
  }

  /// Performs a write at its coordinating vnode: a new event of that vnode.
  public mutating func coordinate(
    _ write: CoordinatedWrite, in partition: PartitionID, at now: Now
  ) -> Result<Stored, RequestFailure> {
    do throws(ReplicaStoreFailure) {
      var object = try load(write.key, in: partition).object
      var write = write
      if let refusal = refusal(of: write, over: object) { return .failure(refusal) }
      if write.asIs {
        object = object.merging(Self.asIs(write))
      } else {
        let actor = try identities.identity(of: partition, in: store)
        guard max(object.clock[actor], write.context[actor]) < VersionVector.counterLimit else {
          return .failure(.tooLarge("the context counts too many events"))
        }
        let dot = Dot(actor: actor, counter: object.clock[actor] + 1)
        if let refusal = write.change(object, as: dot, at: now) { return .failure(refusal) }
        let context = write.replacesAll ? object.clock.merging(write.context) : write.context
        let content = stamped(write, over: object, by: actor, at: now)
        object.write(content, context: context, by: actor)
      }
      if !write.keepsSiblings { object.keepNewestSibling() }
      if let refusal = excess(object) { return .failure(refusal) }
      let (encoded, headByteCount) = object.encoded()
      guard encoded.count <= limits.objectBytes else {
        return .failure(
          .tooLarge("an object of \(encoded.count) bytes, over \(limits.objectBytes)"))
      }
      let sequence = try store.apply([
        .put(write.key, partition, encoded: encoded, headByteCount: headByteCount)
      ])
      return .success(Stored(encoded: encoded, sequence: sequence, isChanged: true))
    } catch {
      return .failure(.storage(error.description))
    }
  }

  /// Merges an object that another vnode sent into what the vnode of `partition` holds.
  public mutating func merge(
    _ encoded: Bytes, of key: ObjectKey, in partition: PartitionID, keepsSiblings: Bool
  ) -> Result<Stored, RequestFailure> {
    do throws(ReplicaStoreFailure) {
      let merged = try mergeChange(
        encoded, of: key, in: partition, keepsSiblings: keepsSiblings)
      guard let change = merged.change else {
        return .success(
          Stored(encoded: merged.encoded, sequence: store.sequences.applied, isChanged: false))
      }
      let sequence = try store.apply([change])
      return .success(Stored(encoded: merged.encoded, sequence: sequence, isChanged: true))
    } catch {
      return .failure(.storage(error.description))
    }
  }

  /// Merges a batch of a handoff at once; the sequence makes all of it durable.
  ///
  /// - Returns: the sequence and how many objects changed anything here.
  public mutating func merge(
    _ entries: [ReplicaScan.Entry], in partition: PartitionID
  ) throws(ReplicaStoreFailure) -> (sequence: UInt64, changed: Int) {
    var changes: [ReplicaChange] = []
    var seen = Set<ObjectKey>()
    for entry in entries {
      // A second object of one key must merge with the first, which is not stored yet.
      if !seen.insert(entry.key).inserted {
        _ = try store.apply(changes)
        changes = []
        seen = [entry.key]
      }
      let merged = try mergeChange(
        entry.encoded, of: entry.key, in: partition, keepsSiblings: true)
      if let change = merged.change { changes.append(change) }
    }
    guard !changes.isEmpty else { return (store.sequences.applied, 0) }
    return (try store.apply(changes), changes.count)
  }

  /// Removes the objects that are still exactly as they were sent, and gives the vnode a new
  /// identity in the same batch.
  ///
  /// - Returns: how many were removed and how many had changed and stay.
  public mutating func remove(
    unchanged entries: [ReplicaScan.Entry], from partition: PartitionID
  ) throws(ReplicaStoreFailure) -> (removed: Int, kept: Int) {
    var changes: [ReplicaChange] = []
    for entry in entries where try store.object(entry.key, in: partition) == entry.encoded {
      changes.append(.remove(entry.key, partition))
    }
    let removed = changes.count
    if removed > 0 {
      changes.append(try identities.renew(partition, in: store))
      _ = try store.apply(changes)
    }
    return (removed, entries.count - removed)
  }
}

extension Vnodes {
  private func load(
    _ key: ObjectKey, in partition: PartitionID
  ) throws(ReplicaStoreFailure) -> (object: KVObject, encoded: Bytes?) {
    guard let bytes = try store.object(key, in: partition) else { return (KVObject(), nil) }
    return (try decode(bytes, in: partition), bytes)
  }

  private func decode(
    _ bytes: Bytes, in partition: PartitionID
  ) throws(ReplicaStoreFailure) -> KVObject {
    do {
      return try KVObject(encoded: bytes)
    } catch {
      throw ClusterError.malformedObject(partition, error.description)
    }
  }

  private func mergeChange(
    _ encoded: Bytes, of key: ObjectKey, in partition: PartitionID, keepsSiblings: Bool
  ) throws(ReplicaStoreFailure) -> (encoded: Bytes, change: ReplicaChange?) {
    let incoming = try decode(encoded, in: partition)
    let stored = try load(key, in: partition)
    if let bytes = stored.encoded, bytes == encoded { return (bytes, nil) }
    var object = stored.object.merging(incoming)
    if !keepsSiblings { object.keepNewestSibling() }
    guard object.clock.entries.count <= VersionVector.entryLimit else {
      throw ClusterError.malformedObject(partition, "the merged clock has too many entries")
    }
    if let bytes = stored.encoded, object == stored.object { return (bytes, nil) }
    let (bytes, headByteCount) = object.encoded()
    return (bytes, .put(key, partition, encoded: bytes, headByteCount: headByteCount))
  }

  private func refusal(of write: CoordinatedWrite, over object: KVObject) -> RequestFailure? {
    let key = write.key
    let nameBytes = key.bucket.type.count + key.bucket.name.count + key.key.count
    if nameBytes > limits.nameBytes {
      return .tooLarge("a name of \(nameBytes) bytes, over \(limits.nameBytes)")
    }
    if write.ifNoneMatch, !object.isEmpty, !object.isDeleted { return .matchFound }
    if write.ifNotModified, !write.context.descends(object.clock) { return .modified }
    return nil
  }

  private func excess(_ object: KVObject) -> RequestFailure? {
    if object.siblings.count > limits.siblings {
      return .tooLarge("\(object.siblings.count) siblings, over \(limits.siblings)")
    }
    if object.clock.entries.count > VersionVector.entryLimit {
      return .tooLarge("a clock of \(object.clock.entries.count) entries")
    }
    return nil
  }

  /// The content with the coordinator's time and tag.
  ///
  /// Where only the newest content stays, the time
  /// is later than that of everything the coordinator holds: a clock that lags behind another
  /// node's must not make an accepted write disappear.
  private func stamped(
    _ write: CoordinatedWrite, over object: KVObject, by actor: VnodeID, at now: Now
  ) -> Content {
    var content = write.content
    content.lastModified = now.wallClock
    if !write.keepsSiblings,
      let latest = object.siblings.map(\.content.lastModified.microseconds).max(),
      latest >= now.wallClock.microseconds, latest < UInt64.max
    {
      content.lastModified = WallClock(microseconds: latest + 1)
    }
    content.vtag = VTag.make(actor, object.clock[actor], write.context[actor], now.wallClock)
    return content
  }

  /// The object that a write with a clock of its own stands for.
  ///
  /// Its one event follows from what is
  /// written, so that the same write arriving twice is the same event.
  private static func asIs(_ write: CoordinatedWrite) -> KVObject {
    var writer = ByteWriter()
    write.context.encode(into: &writer)
    write.content.encode(into: &writer)
    let actor = VnodeID(rawValue: StableHash.hash(writer.bytes))
    var object = KVObject()
    object.write(write.content, context: write.context, by: actor)
    return object
  }
}

/// The opaque tag that differs between writes: 22 digits of base 62.
enum VTag {
  private static let digits = Bytes(
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)

  static func make(
    _ actor: VnodeID, _ stored: UInt64, _ seen: UInt64, _ time: WallClock
  ) -> Bytes {
    var writer = ByteWriter(capacity: 32)
    for part in [actor.rawValue, stored, seen, time.microseconds] { writer.write(fixed: part) }
    var tag: Bytes = []
    for seed in [UInt64(1), 2] {
      var rest = StableHash.hash(writer.bytes, seed: seed)
      for _ in 0..<11 {
        tag.append(digits[Int(rest % 62)])
        rest /= 62
      }
    }
    return tag
  }
}
