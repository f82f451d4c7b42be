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
    do throws(StorageError) {
      for shard in 0..<nodes[index].member.shardCount { try openShard(index, shard) }
    } catch {
      fail(.storage, "n\(index) cannot open its store: \(error)")
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
        fail(.storage, "n\(index) cannot close its store: \(error)")
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
    for id in underway.keys.sorted() where underway[id]?.place.node == index { lose(id) }
  }

  /// The partitions of which a running node holds objects, sorted.
  mutating func occupiedPartitions(of index: Int) -> [PartitionID] {
    var partitions: [PartitionID] = []
    for shard in nodes[index].shards {
      do throws(ReplicaStoreFailure) { partitions += try shard.replicas.occupiedPartitions() } catch
      {
        fail(.storage, "n\(index) cannot read its store: \(error)")
      }
    }
    return partitions.sorted()
  }

  // MARK: Disks

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
      fail(.storage, "n\(place.node)/\(place.shard) cannot sync: \(error)")
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

  func backgroundDelay(_ random: inout SeededRandom) -> UInt64 {
    UInt64(random.below(400_000_000)) + 1_000_000
  }

  mutating func scheduleBackgroundWork(_ place: ShardPlace) {
    queue.schedule(
      .backgroundWork(place, incarnation: nodes[place.node].incarnation),
      at: time + backgroundDelay(&diskRandom))
  }

  mutating func performBackgroundWork(_ place: ShardPlace) {
    do throws(StorageError) {
      let store = nodes[place.node].shards[place.shard].store
      if try store.performBackgroundWork() { probes.count("sim: background work in a store") }
    } catch {
      fail(.storage, "n\(place.node)/\(place.shard) cannot compact: \(error)")
      return
    }
    scheduleBackgroundWork(place)
  }
}
