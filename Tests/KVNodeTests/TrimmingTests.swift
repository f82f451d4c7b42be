import KVBase
import KVCluster
import KVModel
import KVNode
import Testing

/// Clocks do not grow for ever, and taking actors out of them loses nothing.
@Suite struct TrimmingTests {
  private let key = ObjectKey(bucket: "b", key: "k")
  private let partition = PartitionID(3)
  private let now = Now(
    instant: Instant(nanoseconds: 0), wallClock: WallClock(microseconds: 1_000))

  private func vnodes(_ store: ModelReplicaStore, _ random: UInt64) throws -> Vnodes {
    let restored = try VnodeIdentities.restore(
      from: store, random: random, startedCleanly: false)
    _ = store.apply(restored.changes)
    return Vnodes(
      store: store, identities: restored.identities,
      limits: Vnodes.Limits(objectBytes: 1 << 20, siblings: 10_000))
  }

  private func object(_ vnodes: Vnodes) throws -> KVObject {
    guard let bytes = try vnodes.store.object(key, in: partition) else { return KVObject() }
    return try KVObject(encoded: bytes)
  }

  // Three replicas whose vnodes take new identities again and again, clients with contexts fresh and old,
  // messages late, doubled and out of order. Whenever all three happen to hold the same object they are
  // trimmed, all of them or only some. What each replica holds in the end must be what the clients' own
  // accounts say: every value whose writer nobody had seen replaced, and no other.
  @Test(arguments: 1...150) func `trimming changes nothing that a client can see`(seed: Int) throws
  {
    var random = SeededRandom(seed: UInt64(seed))
    let stores = (0..<3).map { _ in ModelReplicaStore() }
    var replicas = try (0..<3).map { try vnodes(stores[$0], UInt64(seed * 1000 + $0)) }
    var sent: [(to: Int, encoded: Bytes)] = []
    var undelivered: [(to: Int, encoded: Bytes)] = []
    var replaced: [String: Set<String>] = [:]
    var seen: [(context: VersionVector, values: Set<String>)] = [(VersionVector(), [])]
    var trims = 0
    var widest = 0
    for step in 0..<200 {
      let index = random.below(3)
      if random.chance(0.2) {
        replicas[index] = try vnodes(stores[index], UInt64(seed * 1000 + 10 + step))
      }
      let known = seen[random.chance(0.7) ? seen.count - 1 : random.below(seen.count)]
      let write = CoordinatedWrite(
        key: key, context: known.context, content: Content(value: Bytes("v\(step)".utf8)),
        keepsSiblings: true, replacesAll: false)
      let stored = try replicas[index].coordinate(write, in: partition, at: now).get()
      replaced["v\(step)"] = known.values
      for other in replicas.indices where other != index {
        undelivered.append((other, stored.encoded))
        sent.append((other, stored.encoded))
      }
      if random.chance(0.6) {
        let read = try object(replicas[random.below(3)])
        var values = Set(read.values)
        for value in read.values { values.formUnion(replaced[value] ?? []) }
        seen.append((read.clock, values))
      }
      let patience = random.chance(0.5) ? undelivered.count : random.below(3)
      for _ in 0..<min(patience, undelivered.count) {
        let message = undelivered.remove(at: random.below(undelivered.count))
        _ = replicas[message.to].merge(
          message.encoded, of: key, in: partition, keepsSiblings: true)
      }
      if undelivered.isEmpty, try trim(&replicas, &random) { trims += 1 }
      widest = max(widest, try object(replicas[index]).clock.entries.count)
      // Long after it was sent, and perhaps after a trim, a message comes once more.
      if random.chance(0.3), let old = sent.isEmpty ? nil : sent[random.below(sent.count)] {
        _ = replicas[old.to].merge(old.encoded, of: key, in: partition, keepsSiblings: true)
      }
    }
    for message in undelivered {
      _ = replicas[message.to].merge(
        message.encoded, of: key, in: partition, keepsSiblings: true)
    }
    let gone = replaced.values.reduce(into: Set<String>()) { $0.formUnion($1) }
    let expected = Set(replaced.keys).subtracting(gone)
    for replica in replicas { #expect(Set(try object(replica).values) == expected) }
    if trims > 10 { #expect(widest < 40, "of 200 writes under some 40 identities each") }
  }

  /// A round by hand, when all replicas hold the same; some primaries may miss its end.
  private func trim(
    _ replicas: inout [Vnodes], _ random: inout SeededRandom
  ) throws -> Bool {
    guard var item = try replicas[0].wideObject(key, in: partition, widerThan: 3) else {
      return false
    }
    var actors: Set<VnodeID> = []
    for index in replicas.indices {
      guard
        try replicas[index].verdict(on: item, for: .trim, in: partition, isPrimary: true) == .same
      else { return false }
      actors.formUnion(try replicas[index].actors(of: [partition]))
    }
    item.retired = item.clock.entries.map(\.actor).filter { actor in
      !actors.contains(actor) && !item.siblings.contains { $0.actor == actor }
    }
    for index in replicas.indices where random.chance(0.8) {
      _ = try replicas[index].trim([item], in: partition)
    }
    return true
  }

  @Test func `an object that moves away after a trim and comes back keeps its contents`() throws {
    let store = ModelReplicaStore()
    var vnodes = try vnodes(store, 1)
    let write = CoordinatedWrite(
      key: key, context: VersionVector([Dot(actor: VnodeID(rawValue: 4), counter: 2)]),
      content: Content(value: [1]), keepsSiblings: true, replacesAll: false)
    let whole = try vnodes.coordinate(write, in: partition, at: now).get().encoded
    var item = try #require(try vnodes.wideObject(key, in: partition, widerThan: 1))
    item.retired = [VnodeID(rawValue: 4)]
    #expect(try vnodes.trim([item], in: partition).count == 1)
    let sent = store.scan(
      partition, bucket: nil, after: nil, limit: 10, byteLimit: .max, headsOnly: false)
    #expect(try vnodes.remove(unchanged: sent.entries, from: partition).removed == 1)
    _ = vnodes.merge(whole, of: key, in: partition, keepsSiblings: true)
    #expect(try object(vnodes).siblings.count == 1)
  }

  @Test func `a cluster whose nodes crash again and again keeps its clocks short`() throws {
    let cluster = TestCluster(nodes: 3, shards: 1)
    var properties = BucketProperties()
    properties.smallVclock = 5
    cluster.view.properties = [
      ClusterView.BucketEntry(bucket: key.bucket, properties: properties)
    ]
    try cluster.start()
    for round in 0..<30 {
      let context = try cluster.get(key, at: round % 3)?.clock ?? VersionVector()
      try cluster.put(key, "v\(round)", context: context, at: round % 3)
      try cluster.run(milliseconds: 500)
      cluster.crash(round % 3)
      try cluster.start(round % 3, cleanly: false)
      try cluster.run(milliseconds: 2_500)
    }
    try cluster.run(milliseconds: 30_000)
    #expect(cluster.total(\.clocksTrimmed) > 0)
    for object in try cluster.primaries(of: key) {
      #expect(object?.values == ["v29"])
      #expect((object?.clock.entries.count ?? 99) <= 6)
    }
  }

  @Test func `a vnode does not trim the actor it counts under, nor one that a content names`()
    throws
  {
    let store = ModelReplicaStore()
    var vnodes = try vnodes(store, 1)
    let write = CoordinatedWrite(
      key: key, context: VersionVector([Dot(actor: VnodeID(rawValue: 4), counter: 2)]),
      content: Content(value: [1]), keepsSiblings: true, replacesAll: false)
    _ = vnodes.coordinate(write, in: partition, at: now)
    var item = try #require(try vnodes.wideObject(key, in: partition, widerThan: 1))
    item.retired = item.clock.entries.map(\.actor)
    #expect(try vnodes.trim([item], in: partition).count == 0)
    item.retired = [VnodeID(rawValue: 4)]
    #expect(try vnodes.trim([item], in: partition).count == 1)
    #expect(try object(vnodes).clock.entries.count == 1)
  }
}
