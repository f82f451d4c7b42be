import KVBase
package import KVCluster
import KVModel

/// Seats: who may vote for a partition, and how that moves.
extension Shard {
  /// Reads what the disk knows of seats, before anything else is stored there.
  mutating func startSeats(wasUsed: Bool) throws(ReplicaStoreFailure) {
    consensus.seats = try SeatTable(store: store, wasUsed: wasUsed)
    consensus.actor = random.next()
  }

  /// True once the disk durably knows that it is of the view's cluster.
  var areSeatsReady: Bool {
    guard let sequence = consensus.adoptionSequence else { return false }
    return sequence <= store.sequences.synced && consensus.seats?.cluster == view.cluster
  }

  /// Takes note of the cluster that the view shows; the shard serves when that is durable.
  mutating func viewChangedForSeats() {
    for partition in consensus.handovers.keys.sorted()
    where consensus.handovers[partition]?.target != view.ring.owner(of: partition) {
      consensus.handovers[partition] = nil
    }
    guard var seats = consensus.seats, viewNumber > 0 else { return }
    guard seats.cluster != view.cluster else {
      // What was read when the store was opened is durable.
      return consensus.adoptionSequence = consensus.adoptionSequence ?? 0
    }
    let owned = view.ring.partitions(of: address.node).filter { runs($0) }
    do throws(ReplicaStoreFailure) {
      let sequence = try store.apply(seats.adopt(view, owned: owned, random: random.next()))
      consensus.seats = seats
      consensus.adoptionSequence = sequence
      (consensus.handovers, consensus.recoveries) = ([:], [:])
      (consensus.lackingSince, consensus.seatSequences) = ([:], [:])
      durability.wait(.seats, for: max(sequence, durability.lastSequence ?? 0))
    } catch {
      storeFailure = error
      log(.error, "the seats cannot be stored: \(error)")
    }
  }

  /// What this node has of a seat; nil when its disk does not say.
  mutating func seat(of partition: PartitionID) -> Seat? {
    do throws(ReplicaStoreFailure) {
      return try consensus.seats?.seat(of: partition, in: store)
    } catch {
      log(.error, "the seat of partition \(partition.index) cannot be read: \(error)")
      return nil
    }
  }

  /// Records what this node has of a seat; returns the sequence that makes it durable.
  mutating func set(
    _ seat: Seat, of partition: PartitionID, _ fences: [SeatMark] = []
  ) throws(ReplicaStoreFailure) -> UInt64 {
    guard var seats = consensus.seats else { return store.sequences.applied }
    var changes = [seats.set(seat, of: partition)]
    for mark in fences {
      let known = try seats.fence(of: mark.partition, in: store)?.generation ?? 0
      guard mark.generation > known else { continue }
      changes.append(
        seats.set(SeatFence(generation: mark.generation, instance: 0), of: mark.partition))
    }
    // Memory must not be ahead of a store that refuses.
    let sequence = try store.apply(changes)
    consensus.seats = seats
    consensus.seatSequences[partition] = sequence
    return sequence
  }

  // MARK: Tick

  /// Looks after every seat that is not where it belongs.
  mutating func tickSeats() {
    guard storeFailure == nil else { return }
    viewChangedForSeats()
    guard areSeatsReady else { return }
    for partition in ownPartitions {
      guard let seat = seat(of: partition) else { continue }
      let owner = view.ring.owner(of: partition)
      switch seat.state {
      case .held where owner != address.node: handOver(seat, partition, to: owner)
      case .held: consensus.handovers[partition] = nil
      case .given(let node, let instance):
        if view.member(node) != nil {
          grant(seat, partition, to: node, instance)
        } else {
          offer(SeatStage(partition, seat), to: owner)
        }
      case .vacant where owner == address.node: recover(seat, partition)
      case .vacant: removeLeftovers(of: partition)
      }
    }
  }

  /// True when this shard is known to hold the seat of the partition; for the simulator.
  package func isSeated(in partition: PartitionID) -> Bool {
    consensus.seats?.known(partition)?.state == .held
  }

  /// Owned partitions whose seats this shard is not known to hold.
  var missingSeats: Int {
    guard let seats = consensus.seats, phase == .serving else { return 0 }
    return view.ring.partitions(of: address.node).count {
      runs($0) && seats.known($0)?.state != .held
    }
  }

  /// The seats that this node holds and another should, for the operator and for a node that
  /// leaves.
  mutating func seatRows() -> [ClusterStatus.TransferRow] {
    var rows: [ClusterStatus.TransferRow] = []
    for partition in ownPartitions {
      let owner = view.ring.owner(of: partition)
      guard owner != address.node, let seat = seat(of: partition), seat.state != .vacant else {
        continue
      }
      let handover = consensus.handovers[partition]
      rows.append(
        ClusterStatus.TransferRow(
          kind: "seat", partition: partition.index, from: configuration.member.name,
          to: view.member(owner)?.name ?? "unknown", objects: handover?.registers ?? 0, bytes: 0,
          isActive: handover != nil))
    }
    return rows
  }

  /// Removes a page of registers that belong to a seat which another node has.
  private mutating func removeLeftovers(of partition: PartitionID) {
    guard consensus.leftovers.contains(partition) else { return }
    do throws(ReplicaStoreFailure) {
      let scan = try store.registers(
        of: partition, bucket: nil, after: nil, limit: SeatHandover.batchCount,
        byteLimit: SeatHandover.batchBytes)
      let changes = scan.entries.map {
        RegisterChange(key: $0.key, partition: partition, encoded: nil)
      }
      _ = try store.apply(registers: changes)
      if scan.isComplete { consensus.leftovers.remove(partition) }
    } catch {
      log(.error, "registers of partition \(partition.index) stay: \(error)")
    }
  }
}

extension SeatStage {
  init(_ partition: PartitionID, _ seat: Seat) {
    self.init(partition: partition, generation: seat.generation, hop: seat.hop)
  }
}
