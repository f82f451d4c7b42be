import KVBase
import KVCluster
import KVModel

/// Writes and listings as a vnode serves them.
extension Shard {
  mutating func serveWrite(_ request: WriteRequest, from: Address) {
    guard runs(request.partition) else { return }
    if let refusal = writeRefusal() { return refuse(request, refusal, from: from) }
    switch vnodes?.merge(
      request.encoded, of: request.key, in: request.partition,
      keepsSiblings: request.keepsSiblings)
    {
    case .success(let stored):
      note(stored.warning, about: request.key)
      if stored.isChanged { noteStored(request.key, stored.encoded, in: request.partition) }
      acknowledge(request, stored, to: from)
    case .failure(let failure): refuse(request, failure, from: from)
    case nil: break
    }
  }

  /// Tells operators of an object that is growing beyond what is good for it.
  mutating func note(_ warning: String?, about key: ObjectKey) {
    guard let warning else { return }
    counters.limitWarnings += 1
    log(.warning, "\(key.text) \(warning)")
  }

  /// Why no write can be taken now.
  func writeRefusal() -> RequestFailure? {
    if let storeFailure { return .storage(storeFailure.description) }
    if durability.count > 4 * configuration.requestLimit { return .overload }
    return view.isClosing || phase == .stopped ? .overload : nil
  }

  private mutating func acknowledge(
    _ request: WriteRequest, _ stored: Vnodes.Stored, to target: Address
  ) {
    guard request.operation != .none else { return }
    var reply = WriteReply(
      operation: request.operation, partition: request.partition, outcome: .stored)
    guard request.waitsForSync else { return send(.writeReply(reply), to: target) }
    send(.writeReply(reply), to: target, whenSynced: stored.sequence)
    if request.wantsReceipt {
      reply.outcome = .received
      send(.writeReply(reply), to: target)
    }
  }

  private mutating func refuse(
    _ request: WriteRequest, _ failure: RequestFailure, from: Address
  ) {
    counters.vnodeRefusals += 1
    // A store that takes no writes has said so once.
    if case .storage(let text) = failure, storeFailure == nil {
      log(.error, "a write failed: \(text)")
    }
    guard request.operation != .none else { return }
    let reply = WriteReply(
      operation: request.operation, partition: request.partition, outcome: .refused(failure))
    send(.writeReply(reply), to: from)
  }

  /// After a vnode of this shard has stored something new: counts it, and forwards it when the
  /// partition is on its way to another node.
  mutating func noteStored(_ key: ObjectKey, _ encoded: Bytes, in partition: PartitionID) {
    counters.vnodePuts += 1
    if view.ring.owner(of: partition) != address.node {
      counters.hintsStored += 1
      probe("hint stored")
    }
    guard let target = nextOwnerToTell(of: partition) else { return }
    probe("write forwarded during transfer")
    forward(key, encoded, in: partition, to: target)
  }

  /// Forwards what a batch has brought, when the partition is on its way to another node.
  mutating func noteMerged(
    _ entries: [ReplicaScan.Entry], changed: Int, in partition: PartitionID
  ) {
    guard changed > 0, let target = nextOwnerToTell(of: partition) else { return }
    probe("batch forwarded during transfer")
    for entry in entries { forward(entry.key, entry.encoded, in: partition, to: target) }
  }

  /// The shard to which what is new in the partition must be forwarded at once, if any.
  private func nextOwnerToTell(of partition: PartitionID) -> Address? {
    guard let transfer = view.transfer(of: partition), transfer.from == address.node,
      handoffs.mustForward(transfer)
    else { return nil }
    return view.address(of: partition, on: transfer.to)
  }

  private mutating func forward(
    _ key: ObjectKey, _ encoded: Bytes, in partition: PartitionID, to target: Address
  ) {
    let request = WriteRequest(
      operation: .none, partition: partition, key: key, encoded: encoded, keepsSiblings: true,
      waitsForSync: false, wantsReceipt: false)
    send(.write(request), to: target)
  }

  /// Lists a page for as long as the partition is this node's.
  ///
  /// What moves away is removed here bit by bit, and a listing of the rest would not be complete. A
  /// node that has left and is alone owns all of its own ring, but that is nothing to those it has
  /// left.
  mutating func serveList(_ request: ListRequest, from: Address) {
    guard runs(request.partition), let vnodes, phase == .serving || phase == .stopping else {
      return
    }
    var reply = ListReply(
      operation: request.operation, partition: request.partition,
      result: .failure(.insufficientVnodes(need: 1, got: 0)))
    let isOwner = view.ring.owner(of: request.partition) == address.node
    if isOwner, view.member(from.node) != nil {
      reply.result =
        isConsistent(request.scope.bucket)
        ? vnodes.listRegisters(request, ringSize: view.ring.size)
        : vnodes.list(request, ringSize: view.ring.size)
    } else {
      probe("listing refused by a former owner")
    }
    send(.listReply(reply), to: from)
  }
}
