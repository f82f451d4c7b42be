import KVBase
import KVCluster
import KVModel
import KVNode
import KVStorage

/// A way in which one replica comes to differ from the others, without anybody being told.
enum Lapse: Int, CaseIterable {
  /// An object is gone, as if its writes had been dropped.
  case lostObject
  /// An object is what it was some time ago, as if later writes had been dropped.
  case staleObject
  /// An object is gone and even the hash trees count on it.
  case removedBehindTrees
  /// An object is what it was some time ago and even the hash trees do not know.
  case stalenessBehindTrees
  /// Every object of a shard is gone.
  case emptiedShard
  /// A part of a table of a shard cannot be read any more.
  case rottenTable
  /// A shard's directory is gone when its process starts.
  case lostDirectory
}

extension World {
  /// Replaces what the replica of a partition holds of a key, or takes it away.
  mutating func put(
    _ encoded: Bytes?, of key: ObjectKey, in partition: PartitionID, at place: ShardPlace,
    behindTrees: Bool
  ) {
    let shard = nodes[place.node].shards[place.shard]
    let target: any ReplicaStore = behindTrees ? shard.replicas : shard.shard.trees
    let change: ReplicaChange
    if let encoded, let count = try? KVObject.headByteCount(of: encoded) {
      change = .put(key, partition, encoded: encoded, headByteCount: count)
    } else {
      change = .remove(key, partition)
    }
    do throws(ReplicaStoreFailure) { _ = try target.apply([change]) } catch {
      fail(.storage, "n\(place.node)/\(place.shard) cannot be changed: \(error)")
    }
  }

  /// Removes every object of a shard.
  mutating func empty(_ place: ShardPlace) {
    let shard = nodes[place.node].shards[place.shard]
    do throws(ReplicaStoreFailure) {
      for partition in try shard.replicas.occupiedPartitions() {
        let scan = try shard.replicas.scan(
          partition, bucket: nil, after: nil, limit: .max, byteLimit: .max, headsOnly: true)
        _ = try shard.shard.trees.apply(scan.entries.map { .remove($0.key, partition) })
      }
    } catch {
      fail(.storage, "n\(place.node)/\(place.shard) cannot be emptied: \(error)")
    }
  }

  /// Flips bits in a table of a shard, where that concerns objects only; false when it has none.
  mutating func rotTable(of place: ShardPlace, random: inout SeededRandom) -> Bool {
    let store = nodes[place.node].shards[place.shard].store
    let files = nodes[place.node].fileSystem
    do throws(StorageError) {
      let directory = "/shard-\(place.shard)/ledger"
      let tables = try files.list(directory).filter { $0.hasSuffix(".sst") }
      guard let name = tables.randomElement(using: &random) else { return false }
      let path = "\(directory)/\(name)"
      let offset = random.below(max(1, try files.size(path)))
      let mask = UInt8(1 + random.below(255))
      files.corrupt(path, at: offset, mask: mask)
      let damage = try store.scrub().damage
      let isObjects = damage.allSatisfy { error in
        store.keyRange(of: error).map { KeyRange.objects.contains($0) } ?? false
      }
      let isRotten = isObjects && !damage.isEmpty
      if isRotten {
        nodes[place.node].hasRottenTable = true
        // As a scrub of the node does.
        for range in damage.compactMap(store.keyRange(of:)) {
          tell(place, .damaged(lower: range.lower, upper: range.upper, isValue: false))
        }
      } else {
        files.corrupt(path, at: offset, mask: mask)
      }
      return isRotten
    } catch {
      fail(.storage, "n\(place.node)/\(place.shard) cannot be scrubbed: \(error)")
      return false
    }
  }

  /// True while a shard has objects to fetch again that were damaged.
  func hasDamage() -> Bool {
    nodes.contains { node in
      node.hasRottenTable
        && node.shards.contains { shard in
          shard.store.isDamageWaiting || (try? shard.replicas.damage().isEmpty) != true
        }
    }
  }

  /// Ends a process, removes the directory of one of its shards and starts it again.
  mutating func loseDirectory(of place: ShardPlace) {
    crash(place.node, losesPower: false)
    let directory = "/shard-\(place.shard)"
    do throws(StorageError) {
      let files = nodes[place.node].fileSystem
      for folder in [directory, "\(directory)/journal", "\(directory)/ledger"] {
        // The two folders are among the names, and are no files.
        for name in try files.list(folder) where (try? files.size("\(folder)/\(name)")) != nil {
          try files.remove("\(folder)/\(name)")
        }
        try files.syncDirectory(folder)
      }
    } catch {
      fail(.storage, "n\(place.node)/\(place.shard) cannot be removed: \(error)")
    }
    boot(place.node)
  }
}

extension KeyRange {
  /// The keys of objects, which are followed by those of metadata.
  fileprivate static let objects = KeyRange(lower: [], upper: [0xFF, 0xFF])

  fileprivate func contains(_ other: KeyRange) -> Bool {
    !other.lower.lexicographicallyPrecedes(lower)
      && !upper.lexicographicallyPrecedes(other.upper)
  }
}
