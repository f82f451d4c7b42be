import KVBase
import KVCluster
import KVModel

/// Handoffs as the vnode that should hold the objects serves them.
extension Shard {
  /// Merges a batch and acknowledges it once it is durable.
  mutating func serveHandoff(_ batch: HandoffBatch, from: Address) {
    var receipt = HandoffReceipt(
      operation: batch.operation, number: batch.number, isAccepted: false)
    guard canReceive(batch.partition), belongsHere(batch.partition) else {
      return send(.handoffReceipt(receipt), to: from)
    }
    do {
      guard let merged = try vnodes?.merge(batch.entries, in: batch.partition) else { return }
      counters.handoffObjectsReceived += batch.entries.count
      noteMerged(batch.entries, changed: merged.changed, in: batch.partition)
      receipt.isAccepted = true
      send(.handoffReceipt(receipt), to: from, whenSynced: merged.sequence)
    } catch {
      log(.error, "a handoff of partition \(batch.partition.index) failed: \(error)")
      send(.handoffReceipt(receipt), to: from)
    }
  }

  /// Tells whether the part of the partition is the same here, once all of it is durable.
  mutating func serve(_ comparison: HandoffComparison, from: Address) {
    var receipt = HandoffReceipt(
      operation: comparison.operation, number: comparison.number, isAccepted: false)
    guard canReceive(comparison.partition), belongsHere(comparison.partition), let vnodes else {
      return send(.handoffMessage(.compared(receipt)), to: from)
    }
    do {
      receipt.isAccepted = try vnodes.agrees(with: comparison)
    } catch {
      log(.error, "partition \(comparison.partition.index) cannot be compared: \(error)")
    }
    send(.handoffMessage(.compared(receipt)), to: from, whenSynced: store.sequences.applied)
  }

  /// Tells what is lacking here, once the rest is durable.
  mutating func serve(_ offer: HandoffOffer, from: Address) {
    var wish = HandoffWish(operation: offer.operation, number: offer.number, wanted: nil)
    guard canReceive(offer.partition), belongsHere(offer.partition), let vnodes else {
      return send(.handoffMessage(.wanted(wish)), to: from)
    }
    do {
      wish.wanted = try vnodes.lacking(of: offer)
    } catch {
      log(.error, "an offer for partition \(offer.partition.index) failed: \(error)")
    }
    send(.handoffMessage(.wanted(wish)), to: from, whenSynced: store.sequences.applied)
  }

  /// True when this node keeps the partition: while it takes it for another's, it may be about to hand
  /// off and remove what it says it has.
  private func belongsHere(_ partition: PartitionID) -> Bool {
    view.ring.owner(of: partition) == address.node || view.isNextOwner(of: partition)
  }

  private func canReceive(_ partition: PartitionID) -> Bool {
    runs(partition) && phase == .serving && writeRefusal() == nil
  }
}
