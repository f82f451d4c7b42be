import KVBase
import KVCluster
import KVModel

/// Seats that were lost with their disk.
extension Shard {
  /// The other acceptors of all keys of a partition in consistent buckets, sorted.
  func neighbours(of partition: PartitionID) -> [PartitionID] {
    let size = view.ring.size
    let widest = view.properties.filter(\.properties.isConsistent)
      .map { min($0.properties.nVal, size) }.max()
    guard let reach = widest.map({ $0 - 1 }), reach > 0 else { return [] }
    var found: Set<PartitionID> = []
    for distance in -reach...reach {
      found.insert(PartitionID(((partition.index + distance) % size + size) % size))
    }
    found.remove(partition)
    return found.sorted()
  }

  /// Makes the seat anew when nobody has offered it for a while.
  mutating func recover(_ seat: Seat, _ partition: PartitionID) {
    guard let since = consensus.lackingSince[partition] else {
      return consensus.lackingSince[partition] = now.instant
    }
    guard since + configuration.seatRecoveryDelay <= now.instant else { return }
    var recovery: SeatRecovery
    if let known = consensus.recoveries[partition] {
      recovery = known
    } else {
      let others = neighbours(of: partition)
      guard !others.isEmpty, let instance = consensus.seats?.instance else { return }
      recovery = SeatRecovery(
        partition: partition, known: seat.generation, instance: instance, neighbours: others)
    }
    // Members that an operator has marked down are as good as gone.
    let others = view.members.filter { $0.id != address.node && $0.status != .down }.map(\.id)
    var actions: [SeatRecovery.Action] = []
    recovery.repeat(searching: others, into: &actions)
    perform(actions, recovery)
  }

  mutating func takeCatchUpReply(_ reply: CatchUpReply, from: Address) {
    guard var recovery = consensus.recoveries[reply.request.partition], storeFailure == nil else {
      return
    }
    var actions: [SeatRecovery.Action] = []
    recovery.receive(reply, from: from.node, into: &actions)
    perform(actions, recovery)
  }

  private mutating func perform(_ actions: [SeatRecovery.Action], _ recovery: SeatRecovery) {
    let partition = recovery.partition
    consensus.recoveries[partition] = recovery
    do throws(ReplicaStoreFailure) {
      for action in actions {
        switch action {
        case .ask(let request):
          let owner = view.ring.owner(of: request.neighbour)
          guard let target = view.address(of: request.neighbour, on: owner) else { continue }
          tell(.catchUp(request), to: target, after: consensus.seatSequences[partition] ?? 0)
        case .search(let node, let request):
          guard let target = view.address(of: partition, on: node) else { continue }
          tell(.catchUp(request), to: target)
        case .merge(let entries):
          var known: [ReplicaScan.Entry] = []
          for entry in entries {
            let register = try Self.register(decoding: entry.encoded, partition)
            let moved = register.transplanted(to: recovery.newGeneration)
            known.append(ReplicaScan.Entry(key: entry.key, encoded: moved.encoded()))
          }
          _ = try merge(known, in: partition, recovery.newGeneration)
        case .take(let generation):
          consensus.recoveries[partition] = nil
          consensus.lackingSince[partition] = nil
          _ = try set(Seat(generation: generation, hop: 0, state: .held), of: partition)
          counters.seatsRecovered += 1
          probe("lost seat made anew")
          log(.warning, "the seat of partition \(partition.index) was lost and is made anew")
        }
      }
    } catch {
      consensus.recoveries[partition] = nil
      log(.error, "the seat of partition \(partition.index) cannot be made anew: \(error)")
    }
  }

  /// Vows to ignore earlier seats of a lost acceptor, and tells what is known of its keys.
  mutating func serveCatchUp(_ request: CatchUpRequest, from: Address) {
    guard runs(request.neighbour), storeFailure == nil, phase == .serving, areSeatsReady,
      request.partition.index < view.ring.size
    else { return }
    if request.neighbour == request.partition { return answerSearch(request, from: from) }
    guard let generation = votingGeneration(of: request.neighbour) else {
      return tell(.catchUpReply(CatchUpReply(request: request, outcome: .absent)), to: from)
    }
    do throws(ReplicaStoreFailure) {
      let outcome = try catchUp(request, generation)
      tell(
        .catchUpReply(CatchUpReply(request: request, outcome: outcome)), to: from,
        after: store.sequences.applied)
    } catch {
      log(.error, "registers of partition \(request.neighbour.index) cannot be told: \(error)")
    }
  }

  /// Tells whether this node has the seat that another makes anew, or has given it to somebody.
  private mutating func answerSearch(_ request: CatchUpRequest, from: Address) {
    guard let seat = seat(of: request.partition) else { return }
    let outcome =
      seat.state == .vacant
      ? CatchUpReply.Outcome.absent : .ready(fence: seat.generation)
    tell(
      .catchUpReply(CatchUpReply(request: request, outcome: outcome)), to: from,
      after: consensus.seatSequences[request.partition] ?? 0)
  }

  private mutating func catchUp(
    _ request: CatchUpRequest, _ generation: UInt32
  ) throws(ReplicaStoreFailure) -> CatchUpReply.Outcome {
    guard var seats = consensus.seats else { return .absent }
    let known = try seats.fence(of: request.partition, in: store)
    let fence = known?.generation ?? 0
    guard request.generation > 0 else { return .ready(fence: fence) }
    let wanted = SeatFence(generation: request.generation, instance: request.instance)
    guard fence < wanted.generation || known == wanted else { return .refused(fence: fence) }
    if known != wanted { _ = try store.apply([seats.set(wanted, of: request.partition)]) }
    consensus.seats = seats
    let scan = try store.registers(
      of: request.neighbour, bucket: nil, after: request.cursor, limit: SeatHandover.batchCount,
      byteLimit: SeatRecovery.pageBytes)
    var shared: [ReplicaScan.Entry] = []
    for entry in scan.entries {
      let register = try Self.register(decoding: entry.encoded, request.neighbour)
      let n = view.properties(of: entry.key.bucket).nVal
      guard register.cluster == seats.cluster, register.generation == generation,
        register.accepted != .zero,
        view.ring.preferencePartitions(of: entry.key, n: n).contains(request.partition)
      else { continue }
      shared.append(entry)
    }
    return .page(shared, next: scan.isComplete ? nil : scan.entries.last?.key)
  }
}
