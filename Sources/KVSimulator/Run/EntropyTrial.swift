import KVBase
import KVCluster
import KVModel
import KVNode
public import KVStorage

/// Two vnodes of one group on real stores, full of objects, one of which differs: how much work it is
/// to find and repair it.
///
/// Whoever runs it has the clock; each method is one part to be timed.
public struct EntropyTrial {
  /// What an exchange did.
  public struct Result: Sendable {
    /// Questions asked, each with its answer.
    public var questionCount = 0
    /// Bytes of all questions and answers.
    public var byteCount = 0
    /// Objects repaired.
    public var repairedCount = 0
    /// True when both sides agreed.
    public var isAgreed = false

    /// Nothing done yet.
    public init() {}
  }

  private static let ringSize = 8
  private static let batchCount = 1000
  private static let start = Now(
    instant: Instant(nanoseconds: 1), wallClock: WallClock(microseconds: 1))
  private let stores: [Store]
  private let keepers: [TreeKeeper]
  private var vnodes: [Vnodes]
  private let placement: KeyPlacement
  private let partitions = [PartitionID(1), PartitionID(2)]
  private let group = TreeGroup(first: PartitionID(1), nVal: 3)
  private var nextKey = 0

  /// Opens two stores below the directory.
  public init(directory: String, fileSystem: any FileSystem) throws {
    let member = Member(
      name: "trial", endpoint: Endpoint(host: "trial", port: 1),
      clientEndpoint: Endpoint(host: "trial", port: 2), shardCount: 1, status: .valid)
    placement = KeyPlacement(ClusterView(local: member, ringSize: Self.ringSize))
    var options = StoreOptions()
    options.background = .thread
    var stores: [Store] = []
    for side in 0..<2 {
      stores.append(
        try Store.open(at: "\(directory)/\(side)", fileSystem: fileSystem, options: options))
    }
    self.stores = stores
    keepers = stores.map { TreeKeeper(store: LSMReplicaStore(store: $0)) }
    vnodes = []
    for (side, keeper) in keepers.enumerated() {
      let restored = try VnodeIdentities.restore(
        from: keeper, random: UInt64(side) + 1, startedCleanly: false)
      vnodes.append(
        Vnodes(
          store: keeper, identities: restored.identities,
          limits: Vnodes.Limits(objectBytes: 1 << 20, siblings: 100)))
    }
  }

  /// Keys of the group, not given out before.
  private mutating func keys(_ count: Int) -> [ObjectKey] {
    var keys: [ObjectKey] = []
    while keys.count < count {
      let key = ObjectKey(bucket: "patients", key: "patient-\(nextKey)")
      nextKey += 1
      if placement.group(of: key) == group { keys.append(key) }
    }
    return keys
  }

  /// Writes so many new objects to both vnodes; with trees, once these are built.
  public mutating func write(_ count: Int, byteCount: Int) throws {
    var rest = count
    while rest > 0 {
      let keys = keys(min(rest, Self.batchCount))
      rest -= keys.count
      var changes: [[ReplicaChange]] = [[], []]
      for (index, key) in keys.enumerated() {
        var object = KVObject()
        let value = Bytes(repeating: UInt8(index % 251), count: byteCount)
        object.write(
          Content(value: value), context: VersionVector(), by: VnodeID(rawValue: 9))
        let (encoded, headByteCount) = object.encoded()
        for side in 0..<2 {
          changes[side].append(
            .put(key, partitions[side], encoded: encoded, headByteCount: headByteCount))
        }
      }
      for side in 0..<2 { _ = try keepers[side].apply(changes[side]) }
    }
  }

  /// Builds both trees from the ledgers' heads.
  public func build() throws {
    for (side, keeper) in keepers.enumerated() {
      keeper.adopt([partitions[side]], placement, at: Self.start.instant)
      while try keeper.buildStep(at: Self.start, lifetime: .seconds(1 << 30)) {}
    }
  }

  /// Bytes of memory that the trees of one vnode take.
  public var treeByteCount: Int {
    keepers[0].tree(of: group, in: partitions[0])?.byteCount ?? 0
  }

  /// Takes the object written last away from the second vnode.
  public func loseOne() throws {
    let key = ObjectKey(bucket: "patients", key: "patient-\(nextKey - 1)")
    _ = try keepers[1].apply([.remove(key, partitions[1])])
  }

  /// Compares the vnodes and repairs what differs; pauses take no time.
  public mutating func exchange() throws -> Result {
    var exchange = EntropyExchange(
      partition: partitions[0], peer: partitions[1],
      target: Address(node: NodeID(rawValue: 1), shard: ShardIndex(0)), group: group,
      operation: OperationID(rawValue: 1), signature: placement.signature,
      pace: EntropyExchange.Pace())
    var result = Result()
    var actions: [EntropyExchange.Action] = []
    exchange.start(into: &actions)
    while let action = actions.popLast() {
      switch action {
      case .ask(let request):
        let answer = try carry(request, &result)
        exchange.receive(answer, keepers[0], into: &actions)
      case .pause(_, let number): exchange.resume(number, keepers[0], into: &actions)
      case .store(let entries):
        let merged = try vnodes[0].merge(entries, in: partitions[0])
        exchange.stored(merged.changed, keepers[0], into: &actions)
      case .finished(let outcome):
        result.repairedCount = exchange.repairedCount
        result.isAgreed = outcome == .agreed
      }
    }
    return result
  }

  /// A question and its answer, encoded and decoded as between nodes.
  private mutating func carry(
    _ request: EntropyRequest, _ result: inout Result
  ) throws -> EntropyReply {
    var answer = EntropyAnswer.refused(.storage)
    let question = PeerMessage.entropy(.request(request)).encoded()
    if case .entropy(.request(let received)) = try PeerMessage(decoding: question) {
      if case .push(let entries) = received.question {
        answer = .stored(changed: try vnodes[1].merge(entries, in: partitions[1]).changed)
      } else {
        answer = keepers[1].answer(received)
      }
    }
    let reply = EntropyReply(
      operation: request.operation, number: request.number, answer: answer)
    let bytes = PeerMessage.entropy(.reply(reply)).encoded()
    result.questionCount += 1
    result.byteCount += question.count + bytes.count
    guard case .entropy(.reply(let read)) = try PeerMessage(decoding: bytes) else { return reply }
    return read
  }

  /// Closes both stores.
  public func close() throws { for store in stores { try store.close() } }
}
