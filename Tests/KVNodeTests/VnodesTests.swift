import KVBase
import KVCluster
import KVModel
import KVNode
import Testing

@Suite struct VnodesTests {
  private let key = ObjectKey(bucket: "b", key: "k")
  private let partition = PartitionID(3)
  private let now = Now(
    instant: Instant(nanoseconds: 0), wallClock: WallClock(microseconds: 1000))

  private func vnodes(
    _ store: any ReplicaStore, cleanly: Bool = false, random: UInt64 = 1
  ) throws -> Vnodes {
    let restored = try VnodeIdentities.restore(
      from: store, random: random, startedCleanly: cleanly)
    _ = try store.apply(restored.changes)
    return Vnodes(
      store: store, identities: restored.identities,
      limits: Vnodes.Limits(objectBytes: 10_000, siblings: 100))
  }

  private func write(
    _ value: String, _ context: VersionVector = VersionVector(), keepsSiblings: Bool = true
  ) -> CoordinatedWrite {
    CoordinatedWrite(
      key: key, context: context, content: Content(value: Bytes(value.utf8)),
      keepsSiblings: keepsSiblings, replacesAll: false)
  }

  private func stored(_ vnodes: Vnodes) throws -> KVObject {
    try KVObject(encoded: try #require(try vnodes.store.object(key, in: partition)))
  }

  @Test func `a vnode keeps its identity over a clean restart and takes another after a crash`()
    throws
  {
    let store = ModelReplicaStore()
    var first = try vnodes(store)
    _ = first.coordinate(write("a"), in: partition, at: now)
    let a = try stored(first).clock.entries
    var clean = try vnodes(store, cleanly: true, random: 2)
    _ = clean.coordinate(write("b"), in: partition, at: now)
    #expect(try stored(clean).clock.entries == [Dot(actor: a[0].actor, counter: 2)])
    var crashed = try vnodes(store, random: 3)
    _ = crashed.coordinate(write("c"), in: partition, at: now)
    #expect(try stored(crashed).clock.entries.count == 2)
    #expect(try stored(crashed).siblings.count == 3)
  }

  @Test func `a vnode that gave objects away counts under a new identity`() throws {
    let store = ModelReplicaStore()
    var vnodes = try vnodes(store)
    _ = vnodes.coordinate(write("a"), in: partition, at: now)
    let sent = store.scan(
      partition, bucket: nil, after: nil, limit: 10, byteLimit: .max, headsOnly: false)
    let before = try stored(vnodes).clock.entries[0].actor
    #expect(try vnodes.remove(unchanged: sent.entries, from: partition) == (1, 0))
    _ = vnodes.coordinate(write("b"), in: partition, at: now)
    #expect(try stored(vnodes).clock.entries[0].actor != before)
    var restarted = try self.vnodes(store, cleanly: true)
    let actor = try stored(vnodes).clock.entries[0].actor
    _ = restarted.coordinate(write("c"), in: partition, at: now)
    #expect(try stored(restarted).clock[actor] == 2)
  }

  @Test func `an object that changed since it was sent is not removed`() throws {
    let store = ModelReplicaStore()
    var vnodes = try vnodes(store)
    _ = vnodes.coordinate(write("a"), in: partition, at: now)
    let sent = store.scan(
      partition, bucket: nil, after: nil, limit: 10, byteLimit: .max, headsOnly: false)
    _ = vnodes.coordinate(write("b"), in: partition, at: now)
    #expect(try vnodes.remove(unchanged: sent.entries, from: partition) == (0, 1))
    #expect(try stored(vnodes).siblings.count == 2)
  }

  @Test func `parts agree when they hold the same versions, not equally many`() throws {
    let store = ModelReplicaStore()
    var vnodes = try vnodes(store)
    _ = vnodes.coordinate(write("a"), in: partition, at: now)
    func comparison(after: ObjectKey? = nil, through: ObjectKey? = nil) -> HandoffComparison {
      let heads = store.scan(
        partition, bucket: nil, after: after, limit: 10, byteLimit: .max, headsOnly: true)
      var digest = PartitionDigest()
      for entry in heads.entries { digest.add(entry.key, head: entry.encoded) }
      return HandoffComparison(
        operation: OperationID(rawValue: 1), partition: partition, number: 0, after: after,
        through: through, digest: digest)
    }
    let before = comparison(through: key)
    #expect(try vnodes.agrees(with: before))
    _ = vnodes.coordinate(write("b", try stored(vnodes).clock), in: partition, at: now)
    #expect(try !vnodes.agrees(with: before))
    // What lies behind the part does not matter; what is in it and nowhere else does.
    let present = comparison(through: key)
    let later = ObjectKey(bucket: "b", key: "later")
    let encoded = try stored(vnodes).encoded().bytes
    _ = vnodes.merge(encoded, of: later, in: partition, keepsSiblings: true)
    #expect(try vnodes.agrees(with: present))
    let earlier = ObjectKey(bucket: "b", key: "j")
    _ = vnodes.merge(encoded, of: earlier, in: partition, keepsSiblings: true)
    #expect(try !vnodes.agrees(with: present))
  }

  @Test func `merging what is known already changes nothing`() throws {
    var one = try vnodes(ModelReplicaStore())
    var two = try vnodes(ModelReplicaStore(), random: 2)
    let first = try one.coordinate(write("a"), in: partition, at: now).get()
    let merged = two.merge(first.encoded, of: key, in: partition, keepsSiblings: true)
    #expect(try merged.get().isChanged)
    let again = two.merge(first.encoded, of: key, in: partition, keepsSiblings: true)
    #expect(try again.get().isChanged == false)
    let context = try stored(two).clock
    let second = try two.coordinate(write("b", context), in: partition, at: now).get()
    let older = two.merge(first.encoded, of: key, in: partition, keepsSiblings: true)
    #expect(try older.get().encoded == second.encoded)
    _ = one.merge(second.encoded, of: key, in: partition, keepsSiblings: true)
    #expect(try stored(one) == stored(two))
  }

  @Test func `where one content stays, a clock that lags behind does not lose an accepted write`()
    throws
  {
    var vnodes = try vnodes(ModelReplicaStore())
    _ = vnodes.coordinate(write("a", keepsSiblings: false), in: partition, at: now)
    let earlier = Now(instant: now.instant, wallClock: WallClock(microseconds: 10))
    _ = vnodes.coordinate(write("b", keepsSiblings: false), in: partition, at: earlier)
    #expect(try stored(vnodes).values == ["b"])
  }

  @Test func `a write as it is comes twice to the same: section 1-4 asis`() throws {
    var vnodes = try vnodes(ModelReplicaStore())
    let context = VersionVector([Dot(actor: VnodeID(rawValue: 9), counter: 4)])
    var asIs = write("a", context)
    asIs.asIs = true
    asIs.content.lastModified = WallClock(microseconds: 7)
    _ = vnodes.coordinate(asIs, in: partition, at: now)
    let first = try stored(vnodes)
    _ = vnodes.coordinate(asIs, in: partition, at: now)
    #expect(try stored(vnodes) == first)
    #expect(first.siblings[0].content.lastModified.microseconds == 7)
    #expect(first.clock.descends(context))
  }

  @Test func `a context from the future does not decide what a vnode counts next`() throws {
    var vnodes = try vnodes(ModelReplicaStore())
    _ = vnodes.coordinate(write("a"), in: partition, at: now)
    let actor = try stored(vnodes).clock.entries[0].actor
    let forged = VersionVector([Dot(actor: actor, counter: VersionVector.counterLimit)])
    _ = vnodes.coordinate(write("b", forged), in: partition, at: now)
    #expect(try stored(vnodes).clock.entries == [Dot(actor: actor, counter: 2)])
    _ = vnodes.coordinate(write("c"), in: partition, at: now)
    #expect(try stored(vnodes).values == ["b", "c"], "the next blind write is a sibling as ever")
  }

  @Test func `a vnode whose count has come to its limit takes another identity`() throws {
    var vnodes = try vnodes(ModelReplicaStore())
    _ = vnodes.coordinate(write("a"), in: partition, at: now)
    let actor = try stored(vnodes).clock.entries[0].actor
    let forged = KVObject(
      clock: VersionVector([Dot(actor: actor, counter: VersionVector.counterLimit)]),
      siblings: try stored(vnodes).siblings)
    _ = vnodes.merge(forged.encoded().bytes, of: key, in: partition, keepsSiblings: true)
    _ = vnodes.coordinate(write("b"), in: partition, at: now)
    #expect(try stored(vnodes).values == ["a", "b"])
    #expect(try stored(vnodes).clock.entries.count == 2)
  }

  @Test func `a forged context cannot make an object unreadable`() throws {
    var vnodes = try vnodes(ModelReplicaStore())
    _ = vnodes.coordinate(write("a"), in: partition, at: now)
    let many = VersionVector(
      (0..<1024).map { Dot(actor: VnodeID(rawValue: UInt64($0)), counter: 1) })
    guard case .failure(.tooLarge) = vnodes.coordinate(write("b", many), in: partition, at: now)
    else {
      Issue.record("accepted")
      return
    }
    #expect(try stored(vnodes).values == ["a"])
  }

  @Test func `damage is reported, not served and not overwritten`() throws {
    let store = ModelReplicaStore()
    var vnodes = try vnodes(store)
    _ = store.apply([.put(key, partition, encoded: [9, 9, 9], headByteCount: 1)])
    guard
      case .failure(.storage) = vnodes.coordinate(write("a"), in: partition, at: now),
      case .failure = vnodes.read(key, in: partition, byteLimit: 1)
    else {
      Issue.record("not reported")
      return
    }
    #expect(store.object(key, in: partition) == [9, 9, 9])
  }
}
