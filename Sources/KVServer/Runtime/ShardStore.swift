import KVBase
import KVCluster
import KVNode
import KVStorage

/// One shard's store on the machine's disk: opened, synced by the flush thread, closed at the end.
///
/// **Concurrency**: the replica store belongs to the shard's thread; the rest is for any thread.
final class ShardStore: @unchecked Sendable {
  /// What the shard reads and writes.
  let replicaStore: LSMReplicaStore
  /// True when nothing can have been lost since the store was last used.
  let isIntact: Bool
  private let store: Store
  private let path: String

  /// Opens the store in the directory, which recovers it after a crash.
  init(
    path: String, fileSystem: any FileSystem, configuration: ServerConfiguration,
    nodeStoppedCleanly: Bool
  ) throws(ServerError) {
    self.path = path
    var options = StoreOptions()
    options.memtableByteLimit = configuration.memtableByteCount
    options.blockCacheByteLimit = configuration.blockCacheByteCount
    options.separationByteCount = configuration.separationByteCount
    options.background = .thread
    do throws(StorageError) {
      store = try Store.open(at: path, fileSystem: fileSystem, options: options)
    } catch {
      throw ServerError(.store, error.description, context: path)
    }
    replicaStore = LSMReplicaStore(store: store)
    let report = store.openReport
    // A store from a backup was closed in order, perhaps, but long before the last event.
    isIntact =
      !report.wasRestored
      && (report.wasCreated || (nodeStoppedCleanly && report.wasCleanShutdown))
  }

  /// Makes everything up to the sequence durable; returns the sequence reached, which may be later.
  func sync(through sequence: UInt64) throws(ReplicaStoreFailure) -> UInt64 {
    do throws(StorageError) {
      try store.sync(through: SequenceNumber(sequence))
      return max(sequence, store.syncedSequence.rawValue)
    } catch {
      throw ReplicaStoreFailure(code: error.code.rawValue, description: error.description)
    }
  }

  /// Reads the next file through; returns its size, and what is damaged as events for the shard.
  func scrub() throws(StorageError) -> (byteCount: Int, found: [ShardEvent], texts: [String]) {
    let report = try store.scrub(byteLimit: 1)
    let found = report.damage.compactMap { error in
      store.keyRange(of: error).map {
        ShardEvent.damaged(
          lower: $0.lower, upper: $0.upper, isValue: error.path?.hasSuffix(".sst") != true)
      }
    }
    return (report.byteCount, found, report.damage.map(\.description))
  }

  /// Flushes and closes the store in order.
  ///
  /// - Parameter afterServing: its vnodes have served, and before that renewed their identities if
  ///   they had to; so a restored store is from now on like any other.
  func close(afterServing: Bool = false) throws(ServerError) {
    do throws(StorageError) {
      if afterServing, store.openReport.wasRestored { try store.acknowledgeRestore() }
      try store.close()
    } catch {
      throw ServerError(.store, error.description, context: path)
    }
  }

  /// Figures of several stores, added up.
  static func figures(of stores: [ShardStore]) -> [(name: String, value: Int)] {
    let all = stores.map { $0.store.statistics() }
    func sum(_ path: KeyPath<StoreStatistics, Int>) -> Int {
      all.reduce(0) { $0 + $1[keyPath: path] }
    }
    return [
      ("tables", all.reduce(0) { $0 + $1.filesPerLevel.reduce(0, +) }),
      ("tableBytes", all.reduce(0) { $0 + $1.bytesPerLevel.reduce(0, +) }),
      ("memtableBytes", sum(\.activeMemtableByteCount) + sum(\.immutableMemtableByteCount)),
      ("operations", sum(\.operationCount)), ("journalBytes", sum(\.journalWrittenByteCount)),
      ("journalSyncs", sum(\.journalSyncCount)), ("flushes", sum(\.flushCount)),
      ("compactions", sum(\.compactionCount)), ("stalls", sum(\.stallCount)),
      ("compactionReadBytes", sum(\.compactionReadByteCount)),
      ("compactionWrittenBytes", sum(\.compactionWrittenByteCount)),
      ("cacheHits", sum(\.cacheHitCount)), ("cacheMisses", sum(\.cacheMissCount)),
      ("segments", sum(\.segmentCount)), ("segmentBytes", sum(\.segmentByteCount)),
      ("liveValueBytes", sum(\.liveValueByteCount)), ("collections", sum(\.collectionCount)),
      ("collectionWrittenBytes", sum(\.collectionWrittenByteCount)),
      ("cacheBytes", sum(\.cacheByteCount)),
    ]
  }
}
