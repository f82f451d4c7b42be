import KVBase
import KVCluster
import KVModel
import KVNode
import Testing

/// Causal contexts that are cut, forged, from the future or of another key: refused or handled, and
/// never the loss of what others wrote to other keys.
@Suite struct ContextTests {
  private let now = Now(
    instant: Instant(nanoseconds: 0), wallClock: WallClock(microseconds: 1_000))

  private func vnodes(_ random: UInt64) throws -> Vnodes {
    let store = ModelReplicaStore()
    let restored = try VnodeIdentities.restore(
      from: store, random: random, startedCleanly: false)
    _ = store.apply(restored.changes)
    return Vnodes(
      store: store, identities: restored.identities,
      limits: Vnodes.Limits(objectBytes: 1 << 20, siblings: 10_000))
  }

  @Test(arguments: 1...40) func `bytes that are not a context handed out are refused`(seed: Int) {
    var random = SeededRandom(seed: UInt64(seed))
    let context = VersionVector(
      (0..<random.below(20)).map { _ in
        Dot(actor: VnodeID(rawValue: random.next()), counter: 1 + random.next() >> 20)
      })
    let bytes = context.clientBytes
    for length in bytes.indices {
      #expect(throws: DecodingFailure.self) {
        try VersionVector(clientBytes: Bytes(bytes.prefix(length)))
      }
    }
    for _ in 0..<100 {
      var damaged = bytes
      damaged[random.below(damaged.count)] ^= UInt8(1 + random.below(255))
      #expect(throws: DecodingFailure.self) { try VersionVector(clientBytes: damaged) }
    }
  }

  // One of three vnodes coordinates each write, the others merge it at once or later. One client is
  // honest; the other sends whatever it likes for a key of its own.
  @Test(arguments: 1...60) func `a forger harms no key but the one it writes`(seed: Int) throws {
    var random = SeededRandom(seed: UInt64(seed))
    let partition = PartitionID(3)
    var replicas = try (0..<3).map { try vnodes(UInt64(seed * 10 + $0)) }
    let honest = ObjectKey(bucket: "b", key: "honest")
    let forged = ObjectKey(bucket: "b", key: "forged")
    var dots: [ObjectKey: Set<Dot>] = [:]
    var model: Set<String> = []
    var late: [(to: Int, key: ObjectKey, encoded: Bytes)] = []
    var seen: [(context: VersionVector, values: Set<String>)] = []

    func write(
      _ key: ObjectKey, _ value: String, _ context: VersionVector, at index: Int
    ) throws -> KVObject? {
      var write = CoordinatedWrite(
        key: key, context: context, content: Content(value: Bytes(value.utf8)),
        keepsSiblings: true, replacesAll: false)
      write.asIs = false
      guard case .success(let stored) = replicas[index].coordinate(write, in: partition, at: now)
      else { return nil }
      let object = try KVObject(encoded: stored.encoded)
      let dot = try #require(
        object.siblings.first { $0.content.value == Bytes(value.utf8) }?.dot)
      #expect(dots[key, default: []].insert(dot).inserted, "two writes share \(dot)")
      for other in replicas.indices where other != index {
        late.append((other, key, stored.encoded))
      }
      return object
    }

    for step in 0..<150 {
      let index = random.below(3)
      if random.chance(0.4) {
        _ = try write(forged, "f\(step)", forgery(&random, replicas[index], partition), at: index)
      } else {
        let known = random.chance(0.5) ? seen.last : nil
        let object = try write(
          honest, "h\(step)", known?.context ?? VersionVector(), at: index)
        #expect(object != nil, "an honest write is never refused")
        model.subtract(known?.values ?? [])
        model.insert("h\(step)")
        if let object { seen.append((object.clock, Set(object.values))) }
      }
      while random.chance(0.6), !late.isEmpty {
        let message = late.remove(at: random.below(late.count))
        _ = replicas[message.to].merge(
          message.encoded, of: message.key, in: partition, keepsSiblings: true)
      }
    }
    for message in late {
      _ = replicas[message.to].merge(
        message.encoded, of: message.key, in: partition, keepsSiblings: true)
    }
    for replica in replicas {
      let object = try KVObject(
        encoded: try #require(try replica.store.object(honest, in: partition)))
      #expect(Set(object.values) == model)
    }
  }

  private func forgery(
    _ random: inout SeededRandom, _ vnodes: Vnodes, _ partition: PartitionID
  ) throws -> VersionVector {
    var actors: [VnodeID] = [VnodeID(rawValue: random.next())]
    if let bytes = try vnodes.store.object(
      ObjectKey(bucket: "b", key: "honest"), in: partition)
    {
      actors += try KVObject(encoded: bytes).clock.entries.map(\.actor)
    }
    let counters: [UInt64] = [
      1, 7, 1 << 20, VersionVector.counterLimit - 1, VersionVector.counterLimit,
    ]
    return VersionVector(
      actors.filter { _ in random.chance(0.7) }
        .map { Dot(actor: $0, counter: counters[random.below(counters.count)]) })
  }

  @Test func `a vnode that forgot a key by reaping counts on above what it had counted`() throws {
    let store = ModelReplicaStore()
    let partition = PartitionID(3)
    let restored = try VnodeIdentities.restore(from: store, random: 7, startedCleanly: false)
    _ = store.apply(restored.changes)
    var vnodes = Vnodes(
      store: store, identities: restored.identities,
      limits: Vnodes.Limits(objectBytes: 10_000, siblings: 100))
    let key = ObjectKey(bucket: "b", key: "k")
    func write(_ content: Content, _ context: VersionVector) throws -> KVObject {
      let write = CoordinatedWrite(
        key: key, context: context, content: content, keepsSiblings: true, replacesAll: false)
      return try KVObject(
        encoded: try vnodes.coordinate(write, in: partition, at: now).get().encoded)
    }
    let first = try write(Content(value: [1]), VersionVector())
    let deleted = try write(.tombstone(at: now.wallClock), first.clock)
    let item = try #require(try vnodes.tombstone(of: key, in: partition))
    #expect(try vnodes.bury([item], in: partition).count == 1)
    #expect(store.object(key, in: partition) == nil)
    store.forgetGraves()
    let again = try write(Content(value: [2]), VersionVector())
    #expect(again.clock.entries.count == 1, "the same identity")
    #expect(again.clock.entries[0].counter == deleted.clock.entries[0].counter + 1)
    // An old copy has nothing that the new write has not seen.
    _ = vnodes.merge(first.encoded().bytes, of: key, in: partition, keepsSiblings: true)
    #expect(
      try KVObject(encoded: try #require(store.object(key, in: partition))).siblings.count == 1)
  }
}
