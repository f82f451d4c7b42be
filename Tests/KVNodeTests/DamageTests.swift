import KVBase
import KVCluster
import KVModel
import KVNode
import KVStorage
import Testing

@Suite struct DamageTests {
  private let partition = PartitionID(3)
  private let now = Now(
    instant: Instant(nanoseconds: 1), wallClock: WallClock(microseconds: 1))

  private func vnodes(_ store: any ReplicaStore) throws -> Vnodes {
    let restored = try VnodeIdentities.restore(from: store, random: 1, startedCleanly: false)
    return Vnodes(
      store: store, identities: restored.identities,
      limits: Vnodes.Limits(objectBytes: 10_000, siblings: 100))
  }

  private func scan(_ store: LSMReplicaStore) throws -> [ReplicaScan.Entry] {
    try store.scan(
      partition, bucket: nil, after: nil, limit: .max, byteLimit: .max, headsOnly: false
    ).entries
  }

  @Test func `a damaged block is set apart, stored again and resolved`() throws {
    let files = CrashableFileSystem()
    var options = StoreOptions()
    options.memtableByteLimit = 4_000
    options.blockByteCount = 512
    options.tableByteLimit = 4_000
    options.blockCacheByteLimit = 0
    let engine = try Store.open(at: "/store", fileSystem: files, options: options)
    let store = LSMReplicaStore(store: engine)
    var vnodes = try vnodes(store)
    let keys = (0..<100).map { ObjectKey(bucket: "b", key: "k\(100 + $0)") }
    for key in keys {
      _ = try vnodes.coordinate(
        CoordinatedWrite(
          key: key, context: VersionVector(), content: Content(value: Bytes(key.key)),
          keepsSiblings: true, replacesAll: false), in: partition, at: now
      ).get()
    }
    try engine.compact()
    let whole = try scan(store)
    #expect(whole.count == 100)
    let table = try #require(
      try files.list("/store/ledger").first { $0.hasSuffix(".sst") })
    files.corrupt("/store/ledger/\(table)", at: 700, mask: 4)

    #expect(throws: ReplicaStoreFailure.self) { try scan(store) }
    #expect(try store.damage().map(\.isSetApart) == [false])
    while try engine.performBackgroundWork() {}
    let damage = try #require(try store.damage().first)
    #expect(damage.isSetApart)
    let part = try #require(damage.parts.first)
    #expect(part.partition == partition)
    #expect(throws: ReplicaStoreFailure.self) { try scan(store) }

    let lost = whole.filter { (try? store.object($0.key, in: partition)) == nil }
    #expect(!lost.isEmpty && lost.count < 100)
    let covered = lost.allSatisfy { entry in
      (part.after.map { $0 < entry.key } ?? true)
        && (part.through.map { !($0 < entry.key) } ?? true)
    }
    #expect(covered)
    let merged = Result { try vnodes.merge(lost, in: partition) }
    #expect(throws: ReplicaStoreFailure.self) { try merged.get() }
    let restored = try vnodes.restore(whole, in: partition)
    #expect(restored.changed == lost.count)
    try store.resolve(damage)
    #expect(try store.damage().isEmpty)
    #expect(try scan(store) == whole)
    try engine.close()
  }

  /// A store with indexed objects and registers in one block, which is damaged and set apart.
  private func damagedThroughout(
    _ files: CrashableFileSystem, _ keys: [ObjectKey]
  ) throws -> (Store, LSMReplicaStore, Vnodes) {
    var options = StoreOptions()
    options.blockByteCount = 64_000
    options.blockCacheByteLimit = 0
    let engine = try Store.open(at: "/store", fileSystem: files, options: options)
    let store = LSMReplicaStore(store: engine)
    var vnodes = try vnodes(store)
    for (index, key) in keys.enumerated() {
      let entry = Pair(key: Bytes("n_int".utf8), value: Bytes("\(index)".utf8))
      _ = try vnodes.coordinate(
        CoordinatedWrite(
          key: key, context: VersionVector(), content: Content(value: [1], indexes: [entry]),
          keepsSiblings: true, replacesAll: false), in: partition, at: now
      ).get()
    }
    _ = try store.apply(registers: [
      RegisterChange(key: keys[0], partition: partition, encoded: [7, 7])
    ])
    try engine.compact()
    let table = try #require(try files.list("/store/ledger").first { $0.hasSuffix(".sst") })
    files.corrupt("/store/ledger/\(table)", at: 200, mask: 4)
    #expect(throws: ReplicaStoreFailure.self) { try scan(store) }
    while try engine.performBackgroundWork() {}
    return (engine, store, vnodes)
  }

  @Test func `damage of registers stays, and index entries are made again`() throws {
    let files = CrashableFileSystem()
    let keys = (0..<5).map { ObjectKey(bucket: "b", key: "k\($0)") }
    let (engine, store, damagedVnodes) = try damagedThroughout(files, keys)
    var vnodes = damagedVnodes
    let damage = try store.damage()
    #expect(damage.map(\.indexes.isEmpty) == [true, false])
    let objects = try #require(damage.first)
    #expect(objects.parts.map(\.partition).contains(partition))
    // Other replicas have the objects.
    let model = ModelReplicaStore()
    var others = try self.vnodes(model)
    for (index, key) in keys.enumerated() {
      let entry = Pair(key: Bytes("n_int".utf8), value: Bytes("\(index)".utf8))
      _ = try others.coordinate(
        CoordinatedWrite(
          key: key, context: VersionVector(), content: Content(value: [1], indexes: [entry]),
          keepsSiblings: true, replacesAll: false), in: partition, at: now
      ).get()
    }
    let entries = model.scan(
      partition, bucket: nil, after: nil, limit: .max, byteLimit: .max, headsOnly: false
    ).entries
    _ = try vnodes.restore(entries, in: partition)
    try store.resolve(objects)
    let query = IndexQuery(
      bucket: keys[0].bucket, field: Bytes("n_int".utf8),
      lower: IndexTerm.sortable(Bytes("0".utf8), field: Bytes("n_int".utf8)), upper: nil)
    let indexes = try #require(try store.damage().first)
    #expect(indexes.indexes.contains(partition))
    #expect(throws: ReplicaStoreFailure.self) {
      try store.indexEntries(of: query, in: partition, after: nil, limit: 10)
    }
    var last: ObjectKey?
    repeat {
      last = try vnodes.reindex(partition, after: last, limit: 2).last
    } while last != nil
    try store.resolve(indexes)
    #expect(try store.damage().isEmpty)
    let hits = try store.indexEntries(of: query, in: partition, after: nil, limit: 10)
    #expect(hits.entries.map(\.key) == keys.map(\.key))
    #expect(try scan(store).count == keys.count)
    #expect(throws: ReplicaStoreFailure.self) { try store.register(keys[0], in: partition) }
    #expect(try engine.damagedRanges().isEmpty == false)
    try engine.close()
  }

  @Test func `a vnode counts on under a new identity after a restoration`() throws {
    let store = ModelReplicaStore()
    var vnodes = try vnodes(store)
    func write(_ key: String) throws -> KVObject {
      let write = CoordinatedWrite(
        key: ObjectKey(bucket: "b", key: key), context: VersionVector(),
        content: Content(value: [1]), keepsSiblings: true, replacesAll: false)
      return try KVObject(
        encoded: try vnodes.coordinate(write, in: partition, at: now).get().encoded)
    }
    let before = try write("k1")
    _ = try vnodes.restore(
      [.init(key: ObjectKey(bucket: "b", key: "k2"), encoded: before.encoded().bytes)],
      in: partition)
    let after = try write("k3")
    #expect(before.clock.entries[0].actor != after.clock.entries[0].actor)
  }
}
