import KVBase
import KVCluster
import KVModel

/// Seats on their way from a holder to the partition's owner.
extension Shard {
  // MARK: Giving

  mutating func handOver(_ seat: Seat, _ partition: PartitionID, to owner: NodeID) {
    guard view.isAvailable(owner) else { return }
    if peerVersions[owner] == PeerProtocol.earliest { return leave(seat, partition) }
    let handover =
      consensus.handovers[partition]
      ?? SeatHandover(
        stage: SeatStage(partition, seat), target: owner,
        firstNumber: UInt32(truncatingIfNeeded: random.next()))
    var actions: [SeatHandover.Action] = []
    handover.repeat(into: &actions)
    perform(actions, handover)
  }

  /// An owner of the first release knows no seats, and takes those of its partitions when it is
  /// upgraded: a seat without any memory is left to it.
  private mutating func leave(_ seat: Seat, _ partition: PartitionID) {
    do throws(ReplicaStoreFailure) {
      let scan = try store.registers(of: partition, bucket: nil, after: nil, limit: 1, byteLimit: 1)
      guard scan.entries.isEmpty else { return }
      let vacant = Seat(generation: seat.generation, hop: seat.hop, state: .vacant)
      _ = try set(vacant, of: partition)
    } catch {
      log(.error, "the seat of partition \(partition.index) stays: \(error)")
    }
  }

  private mutating func perform(_ actions: [SeatHandover.Action], _ state: SeatHandover) {
    var handover = state
    let partition = handover.stage.partition
    var pending = actions[...]
    consensus.handovers[partition] = handover
    guard let target = view.address(of: partition, on: handover.target) else { return }
    do throws(ReplicaStoreFailure) {
      while let action = pending.popFirst() {
        switch action {
        case .offer(let stage): tell(.offer(stage), to: target)
        case .scan(let cursor):
          var next: [SeatHandover.Action] = []
          let scan = try store.registers(
            of: partition, bucket: nil, after: cursor, limit: SeatHandover.batchCount,
            byteLimit: SeatHandover.batchBytes)
          handover.scanned(scan, into: &next)
          consensus.handovers[partition] = handover
          pending += next
        case .send(let batch):
          // What is told must be durable here, too: the owner's copy counts as this seat's memory.
          tell(.batch(batch), to: target, after: store.sequences.applied)
        case .give(let instance):
          let stage = handover.stage
          let given = Seat(
            generation: stage.generation, hop: stage.hop,
            state: .given(to: handover.target, instance: instance))
          _ = try set(given, of: partition)
          consensus.handovers[partition] = nil
          probe("seat given to the owner")
          grant(given, partition, to: handover.target, instance)
        }
      }
    } catch {
      consensus.handovers[partition] = nil
      log(.error, "the seat of partition \(partition.index) cannot be handed over: \(error)")
    }
  }

  mutating func offer(_ stage: SeatStage, to owner: NodeID) {
    guard view.isAvailable(owner), owner != address.node,
      let target = view.address(of: stage.partition, on: owner)
    else { return }
    tell(.offer(stage), to: target)
  }

  mutating func grant(
    _ seat: Seat, _ partition: PartitionID, to node: NodeID, _ instance: UInt64
  ) {
    guard let target = view.address(of: partition, on: node) else { return }
    var fences: [SeatMark] = []
    do throws(ReplicaStoreFailure) {
      for other in neighbours(of: partition) {
        guard let fence = try consensus.seats?.fence(of: other, in: store) else { continue }
        fences.append(SeatMark(partition: other, generation: fence.generation))
      }
    } catch {
      return log(.error, "the vows around partition \(partition.index) cannot be read: \(error)")
    }
    let stage = SeatStage(
      partition: partition, generation: seat.generation, hop: seat.hop + 1)
    tell(
      .grant(stage, instance: instance, fences: fences), to: target,
      after: consensus.seatSequences[partition] ?? 0)
  }

  mutating func takeClaim(_ stage: SeatStage, _ instance: UInt64, from: Address) {
    if let seat = seat(of: stage.partition), case .given(from.node, let known) = seat.state,
      known != instance, seat.generation == stage.generation, seat.hop + 1 == stage.hop
    {
      return giveUp(stage)
    }
    guard var handover = consensus.handovers[stage.partition], handover.stage == stage,
      handover.target == from.node, view.ring.owner(of: stage.partition) == from.node
    else { return }
    // Whoever comes too early claims again at the next offer.
    let sending = consensus.handovers.values.count(where: \.isSending)
    guard handover.isSending || sending < SeatHandover.sendingLimit else { return }
    var actions: [SeatHandover.Action] = []
    handover.claimed(by: instance, into: &actions)
    perform(actions, handover)
  }

  /// The disk to which the seat was given is no more, and the seat is lost with it.
  private mutating func giveUp(_ stage: SeatStage) {
    do throws(ReplicaStoreFailure) {
      let vacant = Seat(generation: stage.generation, hop: stage.hop, state: .vacant)
      _ = try set(vacant, of: stage.partition)
      probe("seat lost on its way")
    } catch {
      log(.error, "the seat of partition \(stage.partition.index) stays: \(error)")
    }
  }

  mutating func takeBatchReceipt(
    _ stage: SeatStage, _ instance: UInt64, _ number: UInt32, from: Address
  ) {
    guard var handover = consensus.handovers[stage.partition], handover.stage == stage,
      handover.target == from.node, view.ring.owner(of: stage.partition) == from.node
    else { return }
    var actions: [SeatHandover.Action] = []
    handover.received(number: number, by: instance, into: &actions)
    perform(actions, handover)
  }

  mutating func takeSettled(_ stage: SeatStage) {
    guard runs(stage.partition), let seat = seat(of: stage.partition),
      (seat.generation, seat.hop) < (stage.generation, stage.hop)
    else { return }
    do throws(ReplicaStoreFailure) {
      let vacant = Seat(generation: stage.generation, hop: stage.hop, state: .vacant)
      _ = try set(vacant, of: stage.partition)
      consensus.handovers[stage.partition] = nil
      consensus.leftovers.insert(stage.partition)
    } catch {
      log(.error, "the seat of partition \(stage.partition.index) stays: \(error)")
    }
  }

  // MARK: Receiving

  /// True when this disk may become the holder of the seat that someone has at `stage`.
  private mutating func mayTake(_ stage: SeatStage, from: Address) -> Bool {
    guard areSeatsReady, storeFailure == nil, runs(stage.partition),
      let seat = seat(of: stage.partition)
    else { return false }
    if seat.isLater(than: stage.generation, hop: stage.hop) {
      let mine = SeatStage(stage.partition, seat)
      tell(.settled(mine), to: from, after: consensus.seatSequences[stage.partition] ?? 0)
      return false
    }
    guard seat.state != .held || seat.generation < stage.generation,
      !(consensus.recoveries[stage.partition]?.isCommitted ?? false)
    else { return false }
    // From here on the registers are part of what is received.
    consensus.leftovers.remove(stage.partition)
    consensus.recoveries[stage.partition] = nil
    consensus.lackingSince[stage.partition] = now.instant
    return true
  }

  mutating func takeOffer(_ stage: SeatStage, from: Address) {
    guard mayTake(stage, from: from) else { return }
    claim(stage, from: from)
  }

  private mutating func claim(_ stage: SeatStage, from: Address) {
    guard view.ring.owner(of: stage.partition) == address.node,
      let instance = consensus.seats?.instance
    else { return }
    // A disk must not forget its name.
    tell(.claim(stage, instance: instance), to: from, after: store.sequences.applied)
  }

  mutating func takeBatch(_ batch: SeatBatch, from: Address) {
    let partition = batch.stage.partition
    guard mayTake(batch.stage, from: from) else { return }
    guard batch.instance == consensus.seats?.instance else {
      return claim(batch.stage, from: from)
    }
    do throws(ReplicaStoreFailure) {
      let sequence = try merge(batch.entries, in: partition, batch.stage.generation)
      tell(
        .batchReceipt(batch.stage, instance: batch.instance, number: batch.number), to: from,
        after: sequence)
    } catch {
      log(.error, "registers of partition \(partition.index) cannot be stored: \(error)")
    }
  }

  /// Merges registers of the seat of one generation into what there is of it here.
  mutating func merge(
    _ entries: [ReplicaScan.Entry], in partition: PartitionID, _ generation: UInt32
  ) throws(ReplicaStoreFailure) -> UInt64 {
    var changes: [RegisterChange] = []
    for entry in entries {
      let incoming = try Self.register(decoding: entry.encoded, partition)
      guard incoming.cluster == consensus.seats?.cluster, incoming.generation == generation
      else { continue }
      var register = try register(entry.key, in: partition, generation)
      let before = register
      register.merge(incoming)
      guard register != before else { continue }
      changes.append(
        RegisterChange(key: entry.key, partition: partition, encoded: register.encoded()))
    }
    _ = try store.apply(registers: changes)
    return store.sequences.applied
  }

  mutating func takeGrant(
    _ stage: SeatStage, _ instance: UInt64, _ fences: [SeatMark], from: Address
  ) {
    guard areSeatsReady, storeFailure == nil, runs(stage.partition),
      let seat = seat(of: stage.partition)
    else { return }
    let partition = stage.partition
    do throws(ReplicaStoreFailure) {
      if (seat.generation, seat.hop) < (stage.generation, stage.hop) {
        guard instance == consensus.seats?.instance else {
          let mine = consensus.seats?.instance ?? 0
          return tell(.claim(stage, instance: mine), to: from, after: store.sequences.applied)
        }
        guard
          seat.state != .held || seat.generation < stage.generation,
          !(consensus.recoveries[partition]?.isCommitted ?? false)
        else { return }
        consensus.recoveries[partition] = nil
        consensus.lackingSince[partition] = nil
        let held = Seat(generation: stage.generation, hop: stage.hop, state: .held)
        _ = try set(held, of: partition, fences)
        probe("seat taken over")
      }
      guard let mine = self.seat(of: partition) else { return }
      tell(
        .settled(SeatStage(partition, mine)), to: from,
        after: consensus.seatSequences[partition] ?? 0)
    } catch {
      log(.error, "the seat of partition \(partition.index) cannot be taken: \(error)")
    }
  }
}
