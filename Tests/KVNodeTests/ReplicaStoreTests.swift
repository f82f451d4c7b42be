import KVBase
import KVCluster
import KVModel
import KVNode
import KVStorage
import Testing

/// The obvious replica store: a sorted array.
///
/// The real one must behave like it.
final class ModelReplicaStore: ReplicaStore {
  private struct Entry {
    var partition: PartitionID
    var key: ObjectKey
    var encoded: Bytes
    var headByteCount: Int
  }

  private var entries: [Entry] = []
  private var values: [String: Bytes] = [:]
  fileprivate(set) var registerEntries: [RegisterChange] = []
  private var graves: [ObjectKey: [PartitionID: Bytes]] = [:]
  private(set) var sequences: (applied: UInt64, synced: UInt64) = (0, 0)

  func object(_ key: ObjectKey, in partition: PartitionID) -> Bytes? {
    entries.first { $0.partition == partition && $0.key == key }?.encoded
  }

  func head(_ key: ObjectKey, in partition: PartitionID) -> Bytes? {
    entries.first { $0.partition == partition && $0.key == key }
      .map { Bytes($0.encoded.prefix($0.headByteCount)) }
  }

  /// As after their expiry.
  func forgetGraves() { graves = [:] }

  func grave(of key: ObjectKey, in partition: PartitionID) -> Bytes? { graves[key]?[partition] }

  func apply(_ changes: [ReplicaChange]) -> UInt64 {
    for change in changes {
      switch change {
      case .put(let key, let partition, let encoded, let headByteCount, _):
        entries.removeAll { $0.partition == partition && $0.key == key }
        entries.append(
          Entry(
            partition: partition, key: key, encoded: encoded, headByteCount: headByteCount))
      case .remove(let key, let partition):
        entries.removeAll { $0.partition == partition && $0.key == key }
      case .bury(let key, let partition, let clock, _):
        entries.removeAll { $0.partition == partition && $0.key == key }
        graves[key, default: [:]][partition] = clock
      case .remember(let key, let partition, let clock, _):
        graves[key, default: [:]][partition] = clock
      case .removeRange(let partition, let first, let last):
        entries.removeAll {
          $0.partition == partition && !($0.key < first) && !(last < $0.key)
        }
      case .index: break
      case .metadata(let name, let value): values[name] = value
      }
    }
    entries.sort { ($0.partition, $0.key) < ($1.partition, $1.key) }
    sequences.applied += 1
    return sequences.applied
  }

  func scan(
    _ partition: PartitionID, bucket: BucketID?, after key: ObjectKey?, limit: Int,
    byteLimit: Int, headsOnly: Bool
  ) -> ReplicaScan {
    let all = entries.filter { entry in
      entry.partition == partition && bucket.map { entry.key.bucket == $0 } ?? true
        && key.map { $0 < entry.key } ?? true
    }
    let page = all.prefix(limit).map { entry in
      ReplicaScan.Entry(
        key: entry.key,
        encoded: headsOnly ? Bytes(entry.encoded.prefix(entry.headByteCount)) : entry.encoded)
    }
    return ReplicaScan(entries: page, isComplete: all.count <= limit)
  }

  func occupiedPartitions() -> [PartitionID] {
    Set(entries.map(\.partition)).sorted()
  }

  func metadata(_ name: String) -> Bytes? { values[name] }

  func approximateCount(of partition: PartitionID) -> Int {
    entries.count { $0.partition == partition }
  }

  /// A copy: later changes do not show.
  func snapshot() -> any ReplicaSnapshot {
    let copy = ModelReplicaStore()
    copy.entries = entries
    return copy
  }
}

extension ModelReplicaStore: ReplicaSnapshot {
  func scan(
    _ partition: PartitionID, after key: ObjectKey?, limit: Int, byteLimit: Int
  ) -> ReplicaScan {
    scan(
      partition, bucket: nil, after: key, limit: limit, byteLimit: byteLimit, headsOnly: false)
  }
}

@Suite struct ReplicaStoreTests {
  /// Names with the bytes that the escaping of keys must not confuse.
  private func name(_ random: inout SeededRandom) -> Bytes {
    (0..<(1 + random.below(3))).map { _ in [0, 1, 2, 97, 0xFE, 0xFF][random.below(6)] }
  }

  private func key(_ random: inout SeededRandom) -> ObjectKey {
    ObjectKey(
      bucket: BucketID(type: name(&random), name: name(&random)), key: name(&random))
  }

  @Test(arguments: [UInt64(1), 2, 3]) func `the real store behaves like a sorted array`(
    seed: UInt64
  ) throws {
    var random = SeededRandom(seed: seed)
    let model = ModelReplicaStore()
    let real = LSMReplicaStore(store: try Store.open(at: "d", fileSystem: CrashableFileSystem()))
    let partitions = [0, 1, 255, 256, 4095].map { PartitionID($0) }
    var keys: [ObjectKey] = []
    for _ in 0..<400 {
      let key = keys.isEmpty || random.chance(0.6) ? key(&random) : keys[random.below(keys.count)]
      keys.append(key)
      let partition = partitions[random.below(partitions.count)]
      let encoded = Bytes((0..<random.below(50)).map { _ in UInt8(random.below(256)) })
      var changes: [ReplicaChange] = [
        .metadata("m\(random.below(5))", random.chance(0.2) ? nil : encoded)
      ]
      if random.chance(0.05) {
        let range = [key, keys[random.below(keys.count)]].sorted()
        changes.append(.removeRange(partition, from: range[0], through: range[1]))
      } else if random.chance(0.1) {
        changes.append(.bury(key, partition, clock: encoded, expiry: 9))
      } else if random.chance(0.25) {
        changes.append(.remove(key, partition))
      } else {
        changes.append(
          .put(key, partition, encoded: encoded, headByteCount: random.below(encoded.count + 1)))
      }
      _ = model.apply(changes)
      _ = try real.apply(changes)
      #expect(try real.object(key, in: partition) == model.object(key, in: partition))
      #expect(try real.head(key, in: partition) == model.head(key, in: partition))
      #expect(try real.grave(of: key, in: partition) == model.grave(of: key, in: partition))
    }
    #expect(try real.occupiedPartitions() == model.occupiedPartitions())
    for index in 0..<5 {
      #expect(try real.metadata("m\(index)") == model.metadata("m\(index)"))
    }
    for _ in 0..<300 {
      let partition = partitions[random.below(partitions.count)]
      let bucket = random.chance(0.5) ? keys[random.below(keys.count)].bucket : nil
      var after = random.chance(0.7) ? keys[random.below(keys.count)] : nil
      if let bucket, after != nil { after?.bucket = bucket }
      let limit = 1 + random.below(20)
      let headsOnly = random.chance(0.5)
      #expect(
        try real.scan(
          partition, bucket: bucket, after: after, limit: limit, byteLimit: .max,
          headsOnly: headsOnly)
          == model.scan(
            partition, bucket: bucket, after: after, limit: limit, byteLimit: .max,
            headsOnly: headsOnly))
    }
  }

  @Test func `a scan stops at its byte limit, but not before the first object`() throws {
    let real = LSMReplicaStore(store: try Store.open(at: "d", fileSystem: CrashableFileSystem()))
    let value = Bytes(repeating: 1, count: 1000)
    for index in 0..<5 {
      _ = try real.apply([
        .put(
          ObjectKey(bucket: "b", key: "k\(index)"), PartitionID(1), encoded: value,
          headByteCount: 0)
      ])
    }
    func page(_ byteLimit: Int) throws -> ReplicaScan {
      try real.scan(
        PartitionID(1), bucket: nil, after: nil, limit: 10, byteLimit: byteLimit, headsOnly: false)
    }
    #expect(try page(1).entries.count == 1)
    #expect(try page(2500).entries.count == 3)
    #expect(try page(2500).isComplete == false)
    #expect(try page(.max).isComplete)
  }

  @Test func `sequences tell what is applied and what is durable`() throws {
    let real = LSMReplicaStore(store: try Store.open(at: "d", fileSystem: CrashableFileSystem()))
    let sequence = try real.apply([.metadata("a", [1])])
    #expect(real.sequences.applied == sequence)
    #expect(real.sequences.synced < sequence)
    try real.store.sync(through: SequenceNumber(sequence))
    #expect(real.sequences.synced >= sequence)
  }
}

extension ModelReplicaStore {
  func register(_ key: ObjectKey, in partition: PartitionID) -> Bytes? {
    registerEntries.first { $0.partition == partition && $0.key == key }?.encoded
  }

  func apply(registers changes: [RegisterChange]) -> UInt64 {
    for change in changes {
      registerEntries.removeAll { $0.partition == change.partition && $0.key == change.key }
      if change.encoded != nil { registerEntries.append(change) }
    }
    registerEntries.sort { ($0.partition, $0.key) < ($1.partition, $1.key) }
    return apply([])
  }

  func registers(
    of partition: PartitionID, bucket: BucketID?, after key: ObjectKey?, limit: Int,
    byteLimit: Int
  ) -> ReplicaScan {
    let all = registerEntries.filter { entry in
      entry.partition == partition && bucket.map { entry.key.bucket == $0 } ?? true
        && key.map { $0 < entry.key } ?? true
    }
    let page = all.prefix(limit).map {
      ReplicaScan.Entry(key: $0.key, encoded: $0.encoded ?? [])
    }
    return ReplicaScan(entries: page, isComplete: all.count <= limit)
  }
}
