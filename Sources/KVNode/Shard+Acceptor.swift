import KVBase
import KVCluster
import KVModel

/// Registers, as the acceptor of a partition keeps them.
extension Shard {
  /// Votes, and tells nobody before what the vote rests on is durable.
  mutating func castVote(_ request: RegisterRequest, from: Address) {
    guard runs(request.partition), phase == .serving || phase == .stopping, storeFailure == nil
    else { return }
    var vote = RegisterVote(
      operation: request.operation, partition: request.partition, phase: request.step.phase,
      ballot: request.ballot, outcome: .absent, generation: 0, fences: [])
    guard let generation = votingGeneration(of: request.partition), isAcceptor(request) else {
      counters.votesWithheld += 1
      return tell(.vote(vote), to: from)
    }
    vote.generation = generation
    // The next round of a proposer here should not begin below what it could know of.
    consensus.highestCounter = max(consensus.highestCounter, request.ballot.counter)
    do throws(ReplicaStoreFailure) {
      vote.fences = try fences(around: request.partition, key: request.key, n: request.n)
      vote.outcome = try decide(request, generation: generation, fences: vote.fences)
    } catch {
      log(.error, "a register of partition \(request.partition.index) is not at hand: \(error)")
    }
    counters.votes += 1
    let name = ConsensusState.RegisterName(partition: request.partition, key: request.key)
    tell(.vote(vote), to: from, after: consensus.sequence(of: name))
  }

  /// Sends once everything through `sequence` is durable.
  mutating func tell(
    _ message: ConsensusMessage, to target: Address, after sequence: UInt64 = 0
  ) {
    let message = PeerMessage.consensus(message, cluster: view.cluster)
    guard sequence > store.sequences.synced else { return send(message, to: target) }
    durability.wait(
      .message(message, to: target), for: max(sequence, durability.lastSequence ?? 0))
  }

  /// The generation of the seat of `partition` if this node may vote from it now.
  mutating func votingGeneration(of partition: PartitionID) -> UInt32? {
    guard areSeatsReady, !hasDeparted, view.ring.owner(of: partition) == address.node,
      let seat = seat(of: partition), seat.state == .held,
      consensus.seatSequences[partition] ?? 0 <= store.sequences.synced
    else { return nil }
    return seat.generation
  }

  /// True when the proposer counts this vnode among the acceptors of the key for good reason.
  private func isAcceptor(_ request: RegisterRequest) -> Bool {
    let properties = view.properties(of: request.key.bucket)
    return properties.isConsistent && min(properties.nVal, view.ring.size) == request.n
      && view.ring.preferencePartitions(of: request.key, n: request.n)
        .contains(request.partition)
  }

  /// The vows of this shard about other acceptors of the key.
  private mutating func fences(
    around partition: PartitionID, key: ObjectKey, n: Int
  ) throws(ReplicaStoreFailure) -> [SeatMark] {
    var marks: [SeatMark] = []
    for other in view.ring.preferencePartitions(of: key, n: n) where other != partition {
      if let fence = try consensus.seats?.fence(of: other, in: store) {
        marks.append(SeatMark(partition: other, generation: fence.generation))
      }
    }
    return marks
  }

  private mutating func decide(
    _ request: RegisterRequest, generation: UInt32, fences: [SeatMark]
  ) throws(ReplicaStoreFailure) -> RegisterVote.Outcome {
    var register = try register(request.key, in: request.partition, generation)
    let before = register
    switch request.step {
    case .query(let byteLimit):
      let isSmall = register.value.object.count <= byteLimit
      return .granted(accepted: register.accepted, value: isSmall ? register.value : nil)
    case .prepare:
      guard register.prepare(request.ballot) else {
        return .refused(promised: register.promised)
      }
      if register != before { try keep(register, of: request.key, in: request.partition) }
      return .granted(accepted: register.accepted, value: register.value)
    case .accept(let value, let quorum):
      let own = SeatMark(partition: request.partition, generation: generation)
      let isVoid = (fences + [own]).contains { fence in
        quorum.contains { $0.partition == fence.partition && $0.generation < fence.generation }
      }
      if isVoid { probe("round of a void seat refused") }
      guard !isVoid, register.accept(request.ballot, value) else {
        return .refused(promised: register.promised)
      }
      if register != before { try keep(register, of: request.key, in: request.partition) }
      return .granted(accepted: .zero, value: nil)
    }
  }

  /// The register of a key; a blank one when there is none of this seat.
  func register(
    _ key: ObjectKey, in partition: PartitionID, _ generation: UInt32
  ) throws(ReplicaStoreFailure) -> Register {
    let cluster = consensus.seats?.cluster ?? 0
    let blank = Register(cluster: cluster, generation: generation)
    guard let bytes = try store.register(key, in: partition) else { return blank }
    let stored = try Self.register(decoding: bytes, partition)
    return stored.cluster == cluster && stored.generation == generation ? stored : blank
  }

  /// A register as it was stored; one that is damaged must not pass for a blank one.
  static func register(
    decoding bytes: Bytes, _ partition: PartitionID
  ) throws(ReplicaStoreFailure) -> Register {
    do {
      return try Register(encoded: bytes)
    } catch {
      throw ReplicaStoreFailure(
        code: ClusterError.Code.malformedObject.rawValue,
        description: "a register of partition \(partition.index) does not decode: \(error)")
    }
  }

  private mutating func keep(
    _ register: Register, of key: ObjectKey, in partition: PartitionID
  ) throws(ReplicaStoreFailure) {
    let sequence = try store.apply(registers: [
      RegisterChange(key: key, partition: partition, encoded: register.encoded())
    ])
    consensus.changed(
      ConsensusState.RegisterName(partition: partition, key: key), by: sequence)
  }
}

extension RegisterRequest.Step {
  fileprivate var phase: RegisterVote.Phase {
    switch self {
    case .query: .query
    case .prepare: .prepare
    case .accept: .accept
    }
  }
}
