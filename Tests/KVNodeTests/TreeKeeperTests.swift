import KVBase
import KVCluster
import KVModel
import KVNode
import KVStorage
import Testing

@Suite struct TreeKeeperTests {
  private let now = Now(
    instant: Instant(nanoseconds: 1), wallClock: WallClock(microseconds: 1))
  private let partitions = [PartitionID(2), PartitionID(3)]

  private func placement(_ nVal: Int = 3) -> KeyPlacement {
    var view = ClusterView(local: TestCluster.member("n@test", 1), ringSize: 8)
    var properties = BucketProperties()
    properties.nVal = nVal
    view.properties = [
      ClusterView.BucketEntry(
        bucket: BucketID(name: Bytes("b1".utf8)), properties: properties)
    ]
    return KeyPlacement(view)
  }

  private func put(_ key: ObjectKey, _ partition: PartitionID, _ value: UInt64) -> ReplicaChange {
    var object = KVObject()
    object.write(
      Content(value: Bytes(repeating: 1, count: Int(value % 40))), context: VersionVector(),
      by: VnodeID(rawValue: value))
    let (encoded, headByteCount) = object.encoded()
    return .put(key, partition, encoded: encoded, headByteCount: headByteCount)
  }

  private func change(_ random: inout SeededRandom) -> ReplicaChange {
    let key = ObjectKey(bucket: "b\(random.below(3))", key: "k\(random.below(200))")
    let partition = PartitionID(2 + random.below(3))
    switch random.below(10) {
    case 0...1: return .remove(key, partition)
    case 2: return .bury(key, partition, clock: [0], expiry: 1 << 40)
    case 3:
      let last = ObjectKey(bucket: "b2", key: "k9")
      return .removeRange(partition, from: min(key, last), through: max(key, last))
    default: return put(key, partition, random.next() | 1)
    }
  }

  /// The trees of a store as a keeper that has seen no change finds them.
  private func rebuilt(
    _ store: any ReplicaStore, _ placement: KeyPlacement
  ) throws -> TreeKeeper {
    let keeper = TreeKeeper(store: store)
    keeper.adopt(partitions, placement, at: now.instant)
    while try keeper.buildStep(at: now, lifetime: .seconds(1)) {}
    return keeper
  }

  private func expectEqual(_ a: TreeKeeper, _ b: TreeKeeper, _ placement: KeyPlacement) {
    for partition in partitions {
      for group in placement.groups(of: partition) {
        #expect(a.tree(of: group, in: partition) == b.tree(of: group, in: partition))
      }
    }
  }

  @Test func `trees kept with every change equal trees built afterwards`() throws {
    for seed in 1...8 {
      var random = SeededRandom(seed: UInt64(seed))
      let store = LSMReplicaStore(
        store: try Store.open(at: "data", fileSystem: CrashableFileSystem()))
      let placement = placement(1 + random.below(5))
      let keeper = TreeKeeper(store: store)
      keeper.adopt(partitions, placement, at: now.instant)
      // Builds begin, go on and end among the changes.
      for step in 0..<600 {
        let changes = (0..<(1 + random.below(4))).map { _ in change(&random) }
        if case .put(let key, let partition, _, _, _) = changes[0], random.chance(0.5) {
          _ = try keeper.object(key, in: partition)
        }
        _ = try keeper.apply(changes)
        if step % 3 == 0 { _ = try keeper.buildStep(at: now, lifetime: .seconds(1)) }
        if step % 100 == 50 { for partition in partitions { keeper.rebuild(partition) } }
      }
      while try keeper.buildStep(at: now, lifetime: .seconds(1)) {}
      expectEqual(keeper, try rebuilt(store, placement), placement)
    }
  }

  @Test func `a build of many steps counts what changes before and behind it once`() throws {
    let store = ModelReplicaStore()
    let placement = placement()
    let keys = (0..<900).map { ObjectKey(bucket: "b", key: "k\($0)") }.sorted()
    for key in keys { _ = store.apply([put(key, partitions[0], 5)]) }
    let keeper = TreeKeeper(store: store)
    keeper.adopt(partitions, placement, at: now.instant)
    #expect(try keeper.buildStep(at: now, lifetime: .seconds(1)))
    for key in [keys[0], keys[255], keys[256], keys[899]] {
      _ = try keeper.apply([put(key, partitions[0], 6)])
    }
    _ = try keeper.apply([.remove(keys[10], partitions[0]), .remove(keys[800], partitions[0])])
    #expect(!keeper.isBuilt(partitions[0]))
    while try keeper.buildStep(at: now, lifetime: .seconds(1)) {}
    expectEqual(keeper, try rebuilt(store, placement), placement)
  }

  @Test func `trees saved at a stop are there at a clean start and never after a crash`() throws {
    for startedCleanly in [true, false] {
      let store = ModelReplicaStore()
      let placement = placement()
      var random = SeededRandom(seed: 9)
      let before = try rebuilt(store, placement)
      for _ in 0..<300 { _ = try before.apply([change(&random)]) }
      try before.save(at: now.instant)
      let after = TreeKeeper(store: store)
      try after.restore(startedCleanly: startedCleanly, at: now.instant)
      after.adopt(partitions, placement, at: now.instant)
      #expect(after.isBuilt(partitions[0]) == startedCleanly)
      if startedCleanly { expectEqual(after, before, placement) }
      // What was saved is used up.
      let third = TreeKeeper(store: store)
      try third.restore(startedCleanly: true, at: now.instant)
      third.adopt(partitions, placement, at: now.instant)
      #expect(!third.isBuilt(partitions[0]))
    }
  }

  @Test func `another n_val has the trees built again and saved ones dropped`() throws {
    let store = ModelReplicaStore()
    let keeper = try rebuilt(store, placement(3))
    keeper.adopt(partitions, placement(3), at: now.instant)
    #expect(keeper.isBuilt(partitions[0]))
    try keeper.save(at: now.instant)
    keeper.adopt(partitions, placement(4), at: now.instant)
    #expect(!keeper.isBuilt(partitions[0]))
    let other = TreeKeeper(store: store)
    try other.restore(startedCleanly: true, at: now.instant)
    other.adopt(partitions, placement(4), at: now.instant)
    #expect(!other.isBuilt(partitions[0]))
  }

  @Test func `a partition that has come back is built again, not remembered`() throws {
    let store = ModelReplicaStore()
    let keeper = try rebuilt(store, placement())
    keeper.adopt([partitions[0]], placement(), at: now.instant)
    _ = try keeper.apply([put(ObjectKey(bucket: "b", key: "k"), partitions[1], 3)])
    keeper.adopt(partitions, placement(), at: now.instant)
    #expect(keeper.isBuilt(partitions[0]))
    #expect(!keeper.isBuilt(partitions[1]))
  }

  @Test func `trees are built again when their time has come`() throws {
    let keeper = try rebuilt(ModelReplicaStore(), placement())
    let later = now.instant + .seconds(1)
    #expect(!keeper.startDueBuilds(at: now.instant))
    #expect(keeper.startDueBuilds(at: later))
    #expect(keeper.isBuilt(partitions[0]))
  }
}
