import KVBase
import KVCluster
import KVModel
import KVNode

/// What a former owner held at some time, to be looked for at the next owner a little later.
struct TransferCheck {
  /// The transfer.
  var transfer: PendingTransfer
  /// The sender's place.
  var sender: ShardPlace
  /// What it held.
  var objects: [(key: ObjectKey, clock: VersionVector)]
}

/// Ownership handoffs under observation: the stores of both sides are compared directly.
extension World {
  /// When a sender finds a partition to be at its next owner, what nobody writes must be there at
  /// once, but for what replicas have lately brought back to the sender; where no message is lost,
  /// the rest follows soon.
  mutating func checkFinishedTransfers(of place: ShardPlace) {
    guard place.shard < nodes[place.node].shards.count else { return }
    let finished = nodes[place.node].shards[place.shard].shard.finishedTransfers
    let checked = nodes[place.node].shards[place.shard].checkedTransfers
    guard finished != checked else { return }
    nodes[place.node].shards[place.shard].checkedTransfers = finished
    for transfer in finished.subtracting(checked).sorted(by: { $0.partition < $1.partition }) {
      probes.count("sim: transfer finished")
      var present = TransferCheck(
        transfer: transfer, sender: place, objects: held(transfer.partition, at: place))
      // Longer than a message takes, and than it takes until the rest would be handed off.
      if settings.isFlawless { plan(.transferCheck(present), after: 60_000_000) }
      present.objects.removeAll { !isCold($0.key) }
      if !mayBeForwarding(place) { check(present) }
    }
  }

  /// True when what the shard forwarded of a batch may still be on its way, or be lost: then it
  /// follows as hints.
  private func mayBeForwarding(_ place: ShardPlace) -> Bool {
    guard let last = nodes[place.node].shards[place.shard].batchForwardedAt else { return false }
    return time - last < settings.faults.longest
  }

  /// Holds what the sender had against what the next owner has.
  mutating func check(_ check: TransferCheck) {
    let partition = check.transfer.partition
    guard let receiver = nodes.firstIndex(where: { $0.member.id == check.transfer.to }),
      nodes[receiver].isRunning, !mayHaveAnswered(receiver)
    else { return }
    let shard = nodes[receiver].member.shard(of: partition).index
    let there = Dictionary(
      held(partition, at: ShardPlace(node: receiver, shard: shard)).map { ($0.key, $0.clock) }
    ) { $1 }
    for object in check.objects {
      guard there[object.key]?.descends(object.clock) != true else { continue }
      fail(
        .handoff,
        "n\(check.sender.node) has handed partition \(partition.index) to n\(receiver), which lacks "
          + "\(Describe.name(object.key)) \(Describe.text(of: object.clock))")
    }
  }

  /// True when the node has lately lost its disk: what it had acknowledged before may still be on its
  /// way, or wait at a sender that stands still, and no sender can know better.
  private func mayHaveAnswered(_ node: Int) -> Bool {
    guard let emptiedAt = nodes[node].emptiedAt else { return false }
    return time - emptiedAt < settings.faults.longest + 5_000_000_000
  }

  /// The objects of a partition that a shard's store holds.
  mutating func held(
    _ partition: PartitionID, at place: ShardPlace
  ) -> [(key: ObjectKey, clock: VersionVector)] {
    guard place.shard < nodes[place.node].shards.count else { return [] }
    do throws(ReplicaStoreFailure) {
      let scan = try nodes[place.node].shards[place.shard].replicas.scan(
        partition, bucket: nil, after: nil, limit: .max, byteLimit: .max, headsOnly: true)
      return scan.entries.compactMap { entry in
        (try? KVObject(encodedHead: entry.encoded)).map { (entry.key, $0.clock) }
      }
    } catch {
      fail(.storage, "n\(place.node)/\(place.shard) cannot read: \(error)")
      return []
    }
  }

  private func isCold(_ key: ObjectKey) -> Bool {
    key.key.starts(with: Simulation.coldPrefix.utf8)
  }
}
