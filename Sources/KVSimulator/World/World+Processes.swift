import KVBase
import KVCluster
import KVNode
import KVStorage

/// Processes: starting, stopping and losing them, and what their disks do.
extension World {
  /// Starts the process of a node on whatever its disk holds.
  mutating func boot(_ index: Int) {
    guard nodes[index].state == .off else { return }
    nodes[index].incarnation += 1
    nodes[index].state = .running
    if nodes[index].incarnation > 1, nodes[index].protocolVersion < PeerProtocol.latest,
      random.chance(0.5)
    {
      nodes[index].protocolVersion = PeerProtocol.latest
      probes.count("sim: release upgraded")
    }
    nodes[index].pausedUntil = 0
    nodes[index].nextSyncFails = false
    nodes[index].hasSyncFailed = false
    nodes[index].clock.restart(at: time, instant: random.next() >> 16)
    trace.record(
      at: time, kind: 1, UInt64(index), UInt64(nodes[index].incarnation),
      text: "n\(index) starts (\(nodes[index].incarnation))")
    setFileClock(of: index)
    do throws(StorageError) {
      for shard in 0..<nodes[index].member.shardCount { try openShard(index, shard) }
    } catch {
      nodes[index].shards = []
      nodes[index].state = .off
      if error.code == .diskFull {
        probes.count("sim: start put off by a full disk")
        queue.schedule(.boot(node: index), at: time + 500_000_000)
      } else {
        report(error, of: index, "cannot open its store")
      }
      return
    }
    for shard in nodes[index].shards.indices {
      let place = ShardPlace(node: index, shard: shard)
      tell(place, .start)
      scheduleBackgroundWork(place)
    }
  }

  private mutating func openShard(_ index: Int, _ shard: Int) throws(StorageError) {
    let store = try Store.open(
      at: "/shard-\(shard)", fileSystem: nodes[index].fileSystem, options: settings.store)
    let report = store.openReport
    if report.recordsReplayed > 0 { probes.count("sim: journal replayed") }
    if report.tornJournalByteCount > 0 { probes.count("sim: torn journal recovered") }
    var configuration = settings.shard.configuration(
      member: nodes[index].member, shard: ShardIndex(shard), ringSize: settings.ringSize,
      seed: random.next(), startedCleanly: report.wasCleanShutdown)
    configuration.protocolVersion = nodes[index].protocolVersion
    let replicas = LSMReplicaStore(store: store)
    let machine = Shard(configuration: configuration, store: replicas)
    nodes[index].shards.append(SimulatedShard(shard: machine, store: store, replicas: replicas))
  }

  /// Ends a process at once.
  ///
  /// With a power loss the disk keeps what was synced, and more by chance; else all that was written.
  mutating func crash(_ index: Int, losesPower: Bool) {
    guard nodes[index].state == .running || nodes[index].state == .stopping else { return }
    trace.record(
      at: time, kind: 2, UInt64(index), losesPower ? 1 : 0,
      text: "n\(index) \(losesPower ? "loses power" : "is killed")")
    endProcess(index)
    if losesPower {
      nodes[index].fileSystem = nodes[index].fileSystem.crash(random: &diskRandom)
    }
    for peer in nodes.indices where peer != index {
      network.breakConnection(index, peer)
      network.breakConnection(peer, index)
      noticeDisconnection(index, peer)
    }
  }

  /// Asks a process to stop in order.
  mutating func stop(_ index: Int) {
    guard nodes[index].state == .running else { return }
    trace.record(at: time, kind: 3, UInt64(index), text: "n\(index) is asked to stop")
    nodes[index].state = .stopping
    for shard in nodes[index].shards.indices {
      tell(ShardPlace(node: index, shard: shard), .stop)
    }
  }

  /// All shards have finished: the stores are closed and the process ends.
  mutating func finishStop(_ index: Int) {
    let wasAsked = nodes[index].state == .stopping
    trace.record(at: time, kind: 4, UInt64(index), text: "n\(index) has stopped")
    let occupiedCount = occupiedPartitions(of: index).count
    for id in underway.keys.sorted() {
      guard let request = underway[id], request.place.node == index, request.mustBeAnswered else {
        continue
      }
      fail(.replies, "n\(index) stopped without an answer to request \(id.rawValue)")
    }
    for shard in nodes[index].shards {
      do throws(StorageError) { try shard.store.close() } catch {
        // The next start replays the journal, as after a kill.
        if error.code != .diskFull { report(error, of: index, "cannot close its store") }
      }
    }
    endProcess(index)
    observations.append(
      .stopped(node: index, wasAsked: wasAsked, occupiedCount: occupiedCount))
  }

  private mutating func endProcess(_ index: Int) {
    nodes[index].state = .off
    nodes[index].incarnation += 1
    nodes[index].shards = []
    nodes[index].pausedUntil = 0
    nodes[index].busyUntil = 0
    for id in underway.keys.sorted() where underway[id]?.place.node == index { lose(id) }
  }

  /// The partitions of which a running node holds objects, sorted.
  mutating func occupiedPartitions(of index: Int) -> [PartitionID] {
    var partitions: [PartitionID] = []
    for shard in nodes[index].shards {
      do throws(ReplicaStoreFailure) { partitions += try shard.replicas.occupiedPartitions() } catch
      {
        if nodes[index].isRotten || nodes[index].hasRottenTable { continue }
        fail(.storage, "n\(index) cannot read its store: \(error)")
      }
    }
    return partitions.sorted()
  }

  // MARK: Disks

  /// A store could not do its work, which only damage excuses.
  private mutating func report(_ error: StorageError, of index: Int, _ what: String) {
    guard nodes[index].isRotten, error.isCorruption else {
      return fail(.storage, "n\(index) \(what): \(error)")
    }
    trace.record(at: time, kind: 5, UInt64(index), text: "n\(index) \(what): \(error)")
    probes.count("sim: damage found by a store")
    observations.append(.damaged(node: index))
  }

  /// Stores see the wall clock of their node.
  private func setFileClock(of index: Int) {
    let wall = nodes[index].clock.now(at: time).wallClock
    nodes[index].fileSystem.setSecondsSinceEpoch(wall.microseconds / 1_000_000)
  }

  /// Leaves a node's disk no more than some bytes of free space.
  mutating func fillDisk(of index: Int, leaving byteCount: Int) {
    let disk = nodes[index].fileSystem
    disk.setByteCapacity(disk.usage + byteCount)
  }

  /// Gives a node's disk all the space it could want.
  mutating func freeDisk(of index: Int) { nodes[index].fileSystem.setByteCapacity(.max) }

  /// Puts an empty disk in the place of a node's; its process has ended.
  mutating func replaceDisk(of index: Int) {
    precondition(nodes[index].shards.isEmpty, "n\(index) is at work on the disk it loses")
    trace.record(at: time, kind: 6, UInt64(index), text: "n\(index) gets an empty disk")
    nodes[index].fileSystem = CrashableFileSystem()
    nodes[index].emptiedAt = time
    nodes[index].isRotten = false
  }

  /// Flips bits in files of a node.
  mutating func rot(_ index: Int) {
    for _ in 0...diskRandom.below(3) {
      guard let place = nodes[index].fileSystem.rot(random: &diskRandom) else { return }
      nodes[index].isRotten = true
      trace.record(
        at: time, kind: 7, UInt64(index), UInt64(place.offset),
        text: "n\(index): a bit flips in \(place.path) at \(place.offset)")
    }
  }

  /// Reads all files of a rotten node; false when something in them is damaged.
  func isSound(_ index: Int) -> Bool {
    nodes[index].shards.allSatisfy { shard in
      guard let report = try? shard.store.scrub() else { return false }
      return report.damage.isEmpty && (try? shard.store.damagedRanges()) == []
    }
  }

  /// A shard asks that everything up to a sequence be made durable.
  mutating func wantFlush(_ place: ShardPlace, through: UInt64) {
    nodes[place.node].shards[place.shard].syncWanted = max(
      through, nodes[place.node].shards[place.shard].syncWanted)
    guard !nodes[place.node].shards[place.shard].isSyncing else { return }
    nodes[place.node].shards[place.shard].isSyncing = true
    var delay = 10_000 + UInt64(diskRandom.below(Int(settings.diskDelay)))
    if nodes[place.node].diskSlowUntil > time { delay *= 50 }
    queue.schedule(.flush(place, incarnation: nodes[place.node].incarnation), at: time + delay)
  }

  /// The disk does its part; the shard hears of it a little later.
  mutating func flush(_ place: ShardPlace) {
    let through = nodes[place.node].shards[place.shard].syncWanted
    if nodes[place.node].nextSyncFails {
      nodes[place.node].nextSyncFails = false
      nodes[place.node].hasSyncFailed = true
      let failure = ReplicaStoreFailure(code: 1001, description: "the disk refuses")
      tell(place, .syncFailed(failure))
      return
    }
    do throws(StorageError) {
      try nodes[place.node].shards[place.shard].store.sync(through: SequenceNumber(through))
    } catch {
      guard error.code == .diskFull else {
        return report(error, of: place.node, "cannot sync")
      }
      probes.count("sim: flush failed on a full disk")
      nodes[place.node].shards[place.shard].isSyncing = false
      let failure = ReplicaStoreFailure(code: error.code.rawValue, description: error.description)
      tell(place, .syncFailed(failure))
      return
    }
    let delay = UInt64(diskRandom.below(Int(settings.diskDelay) / 4 + 1))
    queue.schedule(
      .flushed(place, incarnation: nodes[place.node].incarnation, through: through),
      at: time + delay)
  }

  mutating func finishFlush(_ place: ShardPlace, through: UInt64) {
    nodes[place.node].shards[place.shard].isSyncing = false
    tell(place, .synced(through: through))
    guard place.shard < nodes[place.node].shards.count else { return }
    if nodes[place.node].shards[place.shard].syncWanted > through {
      wantFlush(place, through: nodes[place.node].shards[place.shard].syncWanted)
    }
  }

  mutating func scheduleBackgroundWork(_ place: ShardPlace) {
    queue.schedule(
      .backgroundWork(place, incarnation: nodes[place.node].incarnation),
      at: time + 1_000_000 + UInt64(diskRandom.below(Int(settings.backgroundInterval))))
  }

  mutating func performBackgroundWork(_ place: ShardPlace) {
    setFileClock(of: place.node)
    do throws(StorageError) {
      let store = nodes[place.node].shards[place.shard].store
      if try store.performBackgroundWork() { probes.count("sim: background work in a store") }
    } catch {
      if error.code != .diskFull { report(error, of: place.node, "cannot compact") }
    }
    scheduleBackgroundWork(place)
  }
}
