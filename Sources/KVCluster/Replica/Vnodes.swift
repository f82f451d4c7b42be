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
    /// An object above this many bytes is worth a warning.
    public var warnObjectBytes = Int.max
    /// More siblings than this are worth a warning.
    public var warnSiblings = Int.max
    /// How long a vnode remembers what it has buried.
    public var graveMemory: Duration = .seconds(86_400)
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
    /// What an operator should know about the object, such as that it has many siblings.
    public var warning: String?
  }

  /// Where the vnodes keep their objects.
  public let store: any ReplicaStore
  /// The time of the step under way.
  public var wallClock = WallClock(microseconds: 0)
  /// What the buckets say about the life of their contents.
  public var rules = BucketRules.none
  var identities: VnodeIdentities
  let limits: Limits

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
        if let head = try store.head(key, in: partition) { return .head(head) }
        return try readGrave(key, in: partition)
      }
      guard let bytes = try store.object(key, in: partition) else {
        return try readGrave(key, in: partition)
      }
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
    // What a refused or failed write would have made known of the identities goes back.
    let before = identities
    var isApplied = false
    defer { if !isApplied { identities = before } }
    do throws(ReplicaStoreFailure) {
      var object = try load(write.key, in: partition).object
      var write = write
      if let refusal = refusal(of: write, over: object) { return .failure(refusal) }
      let life = rules.life(in: write.key.bucket, at: wallClock)
      var changes: [ReplicaChange] = []
      if write.asIs {
        object = object.merging(Self.asIs(write))
      } else {
        let performed = try perform(&write, on: &object, in: partition, life, at: now)
        if let refusal = performed.refusal { return .failure(refusal) }
        changes += performed.changes
      }
      if !write.keepsSiblings { object.keepNewestSibling() }
      if let refusal = excess(object) { return .failure(refusal) }
      guard !object.siblings.isEmpty else {
        // An event with a clock of its own that has been here, and was deleted since.
        return .success(
          Stored(
            encoded: object.encoded().bytes, sequence: store.sequences.applied, isChanged: false))
      }
      let (encoded, headByteCount) = object.encoded()
      guard encoded.count <= limits.objectBytes else {
        return .failure(
          .tooLarge("an object of \(encoded.count) bytes, over \(limits.objectBytes)"))
      }
      changes.append(
        .put(
          write.key, partition, encoded: encoded, headByteCount: headByteCount,
          expiry: life?.expiry(of: object)))
      let sequence = try store.apply(changes)
      isApplied = true
      return .success(
        Stored(
          encoded: encoded, sequence: sequence, isChanged: true,
          warning: warning(about: object, encoded.count)))
    } catch {
      return .failure(.storage(error.description))
    }
  }

  /// Adds the write's event to the object; the changes belong in the batch that stores it.
  private mutating func perform(
    _ write: inout CoordinatedWrite, on object: inout KVObject, in partition: PartitionID,
    _ life: BucketRules.Life?, at now: Now
  ) throws(ReplicaStoreFailure) -> (changes: [ReplicaChange], refusal: RequestFailure?) {
    var changes: [ReplicaChange] = []
    var actor = try identities.identity(of: partition, in: store)
    var floor = try identities.floor(of: partition, in: store)
    if max(object.clock[actor], floor) >= VersionVector.counterLimit {
      changes.append(try identities.renew(partition, in: store))
      actor = try identities.identity(of: partition, in: store)
      floor = 0
    }
    let next = Dot(actor: actor, counter: max(object.clock[actor], floor) + 1)
    // A changed data type has seen all that is stored, which only the change knows.
    if let refusal = write.change(object, as: next, at: now) { return ([], refusal) }
    // Nobody can have seen events of this vnode that it has not counted: a context that says so was
    // forged or belongs to another key, and must not decide what is counted next.
    var context = write.context.capping(actor, at: max(object.clock[actor], floor))
    if write.replacesAll { context = object.clock.merging(context) }
    let content = stamped(write, over: object, by: actor, at: now, life)
    let dot = object.write(content, context: context, by: actor, above: floor)
    if life?.secondsToLive != nil,
      let change = try identities.raiseFloor(of: partition, to: dot.counter, in: store)
    {
      changes.append(change)
    }
    return (changes, nil)
  }

  /// Merges an object that another vnode sent into what the vnode of `partition` holds.
  public mutating func merge(
    _ encoded: Bytes, of key: ObjectKey, in partition: PartitionID, keepsSiblings: Bool
  ) -> Result<Stored, RequestFailure> {
    do throws(ReplicaStoreFailure) {
      let merged = try mergeChange(
        encoded, of: key, in: partition, keepsSiblings: keepsSiblings)
      guard !merged.changes.isEmpty else {
        return .success(
          Stored(encoded: merged.encoded, sequence: store.sequences.applied, isChanged: false))
      }
      let sequence = try apply(merged.changes)
      return .success(
        Stored(
          encoded: merged.encoded, sequence: sequence, isChanged: true, warning: merged.warning))
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
    var changed = 0
    var seen = Set<ObjectKey>()
    for entry in entries {
      // A second object of one key must merge with the first, which is not stored yet.
      if !seen.insert(entry.key).inserted {
        _ = try apply(changes)
        changes = []
        seen = [entry.key]
      }
      let merged = try mergeChange(
        entry.encoded, of: entry.key, in: partition, keepsSiblings: true)
      if !merged.changes.isEmpty { changed += 1 }
      changes += merged.changes
    }
    guard !changes.isEmpty else { return (store.sequences.applied, changed) }
    return (try apply(changes), changed)
  }

  /// Stores objects that were damaged here as another replica holds them, merged with what can be
  /// read, and gives the vnode a new identity: events of its own may be among what is lost.
  ///
  /// - Returns: the sequence that makes it durable and how many objects changed anything here.
  public mutating func restore(
    _ entries: [ReplicaScan.Entry], in partition: PartitionID
  ) throws(ReplicaStoreFailure) -> (sequence: UInt64, changed: Int) {
    var changes: [ReplicaChange] = []
    var changed = 0
    for entry in entries {
      let before = changes.count
      do throws(ReplicaStoreFailure) {
        changes += try mergeChange(
          entry.encoded, of: entry.key, in: partition, keepsSiblings: true
        ).changes
      } catch {
        var object = try decode(entry.encoded, in: partition)
        let life = rules.life(in: entry.key.bucket, at: wallClock)
        if let life { object.forget(where: life.isDead) }
        let (encoded, headByteCount) = object.encoded()
        changes.append(
          .put(
            entry.key, partition, encoded: encoded, headByteCount: headByteCount,
            expiry: life?.expiry(of: object)))
      }
      if changes.count > before { changed += 1 }
    }
    guard !changes.isEmpty else { return (store.sequences.applied, 0) }
    // A generation that no batch has made known would be counted under twice.
    var renewed = identities
    changes.append(try renewed.renew(partition, in: store))
    let sequence = try apply(changes)
    identities = renewed
    return (sequence, changed)
  }

  /// Removes the objects that are still exactly as they were sent (or, with `areHeads`, whose heads
  /// are as they were compared), and gives the vnode a new identity in the same batch.
  ///
  /// - Returns: how many were removed and how many had changed and stay.
  public mutating func remove(
    unchanged entries: [ReplicaScan.Entry], areHeads: Bool = false, from partition: PartitionID
  ) throws(ReplicaStoreFailure) -> (removed: Int, kept: Int) {
    var changes: [ReplicaChange] = []
    for entry in entries {
      let present =
        areHeads
        ? try store.head(entry.key, in: partition) : try store.object(entry.key, in: partition)
      if present == entry.encoded { changes.append(.remove(entry.key, partition)) }
    }
    let removed = changes.count
    if removed > 0 {
      // A generation that no batch has made known would be counted under twice.
      var renewed = identities
      changes.append(try renewed.renew(partition, in: store))
      _ = try store.apply(changes)
      identities = renewed
    }
    return (removed, entries.count - removed)
  }
}

extension Vnodes {
  /// What the vnode knows of the key: the stored object, else what its grave remembers.
  private func load(
    _ key: ObjectKey, in partition: PartitionID
  ) throws(ReplicaStoreFailure) -> (object: KVObject, encoded: Bytes?) {
    if let bytes = try store.object(key, in: partition) {
      return (try decode(bytes, in: partition), bytes)
    }
    return (try buried(key, in: partition) ?? KVObject(), nil)
  }

  func decode(
    _ bytes: Bytes, in partition: PartitionID
  ) throws(ReplicaStoreFailure) -> KVObject {
    do {
      return try KVObject(encoded: bytes)
    } catch {
      throw ClusterError.malformedObject(partition, error.description)
    }
  }

  /// Applies changes that go with what has become of the identities; what a failed batch would have made
  /// known of them is found out again.
  mutating func apply(_ changes: [ReplicaChange]) throws(ReplicaStoreFailure) -> UInt64 {
    do {
      return try store.apply(changes)
    } catch {
      identities.forgetFloors()
      throw error
    }
  }

  private mutating func mergeChange(
    _ encoded: Bytes, of key: ObjectKey, in partition: PartitionID, keepsSiblings: Bool
  ) throws(ReplicaStoreFailure) -> (encoded: Bytes, changes: [ReplicaChange], warning: String?) {
    var incoming = try decode(encoded, in: partition)
    let life = rules.life(in: key.bucket, at: wallClock)
    let held = incoming.siblings.count
    if let life { incoming.forget(where: life.isDead) }
    let stored = try load(key, in: partition)
    if stored.encoded == nil, stored.object.isEmpty, keepsSiblings, life == nil,
      incoming.clock.entries.count <= VersionVector.entryLimit, !incoming.siblings.isEmpty,
      let headByteCount = try? KVObject.headByteCount(of: encoded)
    {
      // What arrives at an empty vnode is stored as it is.
      let change = ReplicaChange.put(
        key, partition, encoded: encoded, headByteCount: headByteCount, expiry: nil)
      return (encoded, [change], warning(about: incoming, encoded.count))
    }
    if let bytes = stored.encoded, bytes == encoded { return (bytes, [], nil) }
    incoming = try news(incoming, for: stored.object, of: key, in: partition)
    var object = stored.object.merging(incoming)
    if !keepsSiblings { object.keepNewestSibling() }
    guard object.clock.entries.count <= VersionVector.entryLimit else {
      throw ClusterError.malformedObject(partition, "the merged clock has too many entries")
    }
    let isBuried = stored.encoded == nil && !stored.object.isEmpty
    if object == stored.object, stored.encoded != nil || isBuried {
      return (stored.encoded ?? encoded, [], nil)
    }
    let (bytes, headByteCount) = object.encoded()
    guard object.siblings.isEmpty else {
      let expiry = life?.expiry(of: object)
      return (
        bytes,
        [.put(key, partition, encoded: bytes, headByteCount: headByteCount, expiry: expiry)],
        warning(about: object, bytes.count)
      )
    }
    // What is dead by its bucket's rules needs no grave: the rules keep it away.
    if stored.encoded == nil, (held > 0 && !isBuried) || object.isEmpty { return (bytes, [], nil) }
    var changes = [try burial(of: key, in: partition, object.clock)]
    let actor = try identities.identity(of: partition, in: store)
    if let raised = try identities.raiseFloor(
      of: partition, to: stored.object.clock[actor], in: store)
    {
      changes.append(raised)
    }
    return (bytes, changes, nil)
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

  private func warning(about object: KVObject, _ byteCount: Int) -> String? {
    if object.siblings.count > limits.warnSiblings {
      return "has \(object.siblings.count) siblings, over \(limits.warnSiblings)"
    }
    guard byteCount > limits.warnObjectBytes else { return nil }
    return "takes \(byteCount) bytes, over \(limits.warnObjectBytes)"
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
    _ write: CoordinatedWrite, over object: KVObject, by actor: VnodeID, at now: Now,
    _ life: BucketRules.Life?
  ) -> Content {
    var content = write.content
    content.lastModified = now.wallClock
    if let dropTime = life?.dropTime, content.lastModified <= dropTime {
      content.lastModified = WallClock(microseconds: dropTime.microseconds + 1)
    }
    if !write.keepsSiblings || (life?.secondsToLive != nil && content.isTombstone),
      let latest = object.siblings.map(\.content.lastModified.microseconds).max(),
      latest >= content.lastModified.microseconds, latest < UInt64.max
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
