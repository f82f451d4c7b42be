import KVBase
import KVCluster
import KVModel
import KVNode
import Testing

/// Two vnodes of one group, each with trees over a store of its own, and the exchange between them
/// without a network.
final class EntropyFixture {
  static let ringSize = 16
  let partitions = [PartitionID(3), PartitionID(4)]
  let placement: KeyPlacement
  let keepers: [TreeKeeper]
  var vnodes: [Vnodes] = []
  /// Keys of one group that both hold.
  let keys: [ObjectKey]
  let group: TreeGroup
  var questions: [EntropyQuestion] = []
  var largestMessage = 0
  var now = Now(instant: Instant(nanoseconds: 1), wallClock: WallClock(microseconds: 1))
  /// Called before each question reaches the other side.
  var meanwhile: (Int) throws -> Void = { _ in }

  init(
    keyCount: Int, stores: [any ReplicaStore] = [ModelReplicaStore(), ModelReplicaStore()]
  ) throws {
    let member = TestCluster.member("n@test", 1)
    let view = ClusterView(local: member, ringSize: Self.ringSize)
    placement = KeyPlacement(view)
    group = TreeGroup(first: PartitionID(2), nVal: 3)
    var keys: [ObjectKey] = []
    var index = 0
    while keys.count < keyCount {
      let key = ObjectKey(bucket: "b\(index % 3)", key: "k\(index)")
      if placement.group(of: key) == group { keys.append(key) }
      index += 1
    }
    self.keys = keys
    keepers = stores.map { TreeKeeper(store: $0) }
    for (side, keeper) in keepers.enumerated() {
      let restored = try VnodeIdentities.restore(
        from: keeper, random: UInt64(side) + 1, startedCleanly: false)
      vnodes.append(
        Vnodes(
          store: keeper, identities: restored.identities,
          limits: Vnodes.Limits(objectBytes: 1 << 20, siblings: 100)))
      keeper.adopt([partitions[side]], placement, at: now.instant)
      try build(side)
    }
  }

  func build(_ side: Int) throws {
    while try keepers[side].buildStep(at: now, lifetime: .seconds(3600)) {}
  }

  /// A write at one side; both when `replicates`.
  func write(
    _ key: ObjectKey, _ value: Bytes, at side: Int, replicates: Bool = true
  ) throws {
    let stored = vnodes[side].coordinate(
      CoordinatedWrite(
        key: key, context: try object(key, side)?.clock ?? VersionVector(),
        content: Content(value: value), keepsSiblings: true, replacesAll: false),
      in: partitions[side], at: now)
    let encoded = try stored.get().encoded
    guard replicates else { return }
    _ = try vnodes[1 - side].merge(
      encoded, of: key, in: partitions[1 - side], keepsSiblings: true
    ).get()
  }

  func remove(_ key: ObjectKey, at side: Int) throws {
    _ = try keepers[side].apply([.remove(key, partitions[side])])
  }

  func object(_ key: ObjectKey, _ side: Int) throws -> KVObject? {
    try keepers[side].object(key, in: partitions[side]).map { try KVObject(encoded: $0) }
  }

  func isEqual() throws -> Bool {
    try keys.allSatisfy { try object($0, 0) == object($0, 1) }
  }

  /// Runs one exchange to its end.
  func exchange() throws -> (outcome: EntropyExchange.Outcome, repaired: Int, differing: Int) {
    var exchange = EntropyExchange(
      partition: partitions[0], peer: partitions[1],
      target: Address(node: NodeID(rawValue: 1), shard: ShardIndex(0)), group: group,
      operation: OperationID(rawValue: 7), signature: placement.signature,
      pace: EntropyExchange.Pace())
    var actions: [EntropyExchange.Action] = []
    exchange.start(into: &actions)
    var rest = actions[...]
    var steps = 0
    while let action = rest.popFirst() {
      steps += 1
      #expect(steps < 100_000)
      var next: [EntropyExchange.Action] = []
      switch action {
      case .ask(let request):
        try meanwhile(questions.count)
        questions.append(request.question)
        let reply = try carry(request)
        exchange.receive(reply, keepers[0], into: &next)
      case .pause(_, let number): exchange.resume(number, keepers[0], into: &next)
      case .store(let entries):
        let merged = try vnodes[0].merge(entries, in: partitions[0])
        exchange.stored(merged.changed, keepers[0], into: &next)
      case .finished(let outcome):
        return (outcome, exchange.repairedCount, exchange.differingCount)
      }
      rest += next
    }
    Issue.record("the exchange does not end")
    return (.timedOut, 0, 0)
  }

  /// A question and its answer, through their encodings.
  private func carry(_ request: EntropyRequest) throws -> EntropyReply {
    let bytes = PeerMessage.entropy(.request(request)).encoded()
    largestMessage = max(largestMessage, bytes.count)
    guard case .entropy(.request(let received)) = try PeerMessage(decoding: bytes) else {
      throw DecodingFailure(expected: "a request", offset: 0)
    }
    let answer: EntropyAnswer
    if case .push(let entries) = received.question {
      answer = .stored(changed: try vnodes[1].merge(entries, in: partitions[1]).changed)
    } else {
      answer = keepers[1].answer(received)
    }
    let reply = EntropyReply(
      operation: request.operation, number: request.number, answer: answer)
    let answerBytes = PeerMessage.entropy(.reply(reply)).encoded()
    largestMessage = max(largestMessage, answerBytes.count)
    guard case .entropy(.reply(let read)) = try PeerMessage(decoding: answerBytes) else {
      throw DecodingFailure(expected: "a reply", offset: 0)
    }
    return read
  }
}
