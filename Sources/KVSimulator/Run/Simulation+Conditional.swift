import KVBase
import KVCluster
import KVModel
import KVNode

/// Clients that race for the keys of consistent buckets.
///
/// In each round all clients try to release the same prescription, by a put if there is none or by
/// a put over the version that was issued; in between they read, replace and delete a few keys.
extension Simulation {
  static let strongType = BucketID(type: Bytes("strong".utf8), name: [])
  private static let strongBucket = BucketID(
    type: strongType.type, name: Bytes("prescriptions".utf8))
  private static let sharedKeyCount = 3
  /// About so many requests a run shall have.
  private static let requestGoal: UInt64 = 1_500

  /// The properties of the consistent bucket type.
  var strongProperties: BucketProperties {
    var properties = BucketProperties(untyped: false)
    properties.nVal = settings.nVal
    properties.isConsistent = true
    return properties
  }

  /// Nodes join and leave, but not where a disk is lost: that is a change of its own.
  var changesMembership: Bool {
    workload.changesMembership
      && !(workload == .conditional && settings.faults.kinds.contains(.lostDisk))
  }

  private static func registerName(_ key: Int) -> ObjectKey {
    ObjectKey(bucket: strongBucket, key: Bytes("r\(key)".utf8))
  }

  private var roundLength: UInt64 {
    max(20_000_000, settings.duration * UInt64(clients.count) / Self.requestGoal)
  }

  /// When a client is to send next: at the beginning of a round, like all others.
  func conditionalPause(_ random: inout SeededRandom) -> UInt64 {
    let length = roundLength
    return length - world.time % length + UInt64(random.below(15_000_000))
  }

  mutating func sendConditional(_ client: Int, to place: ShardPlace) {
    if clients[client].random.chance(0.7) {
      let key = Self.sharedKeyCount + Int(world.time / roundLength)
      race(client, key, to: place)
    } else {
      sendAny(client, clients[client].random.below(Self.sharedKeyCount), to: place)
    }
  }

  /// Tries to release the prescription of a round.
  private mutating func race(_ client: Int, _ key: Int, to place: ShardPlace) {
    let isIssuedFirst = key % 2 == 1
    if let held = clients[client].registers[key] {
      sendRegister(.update(expected: held.number), key, client, held.context, to: place)
    } else if isIssuedFirst, clients[client].random.chance(0.7) {
      sendRegister(.read, key, client, nil, to: place)
    } else {
      sendRegister(.create, key, client, nil, to: place)
    }
  }

  private mutating func sendAny(_ client: Int, _ key: Int, to place: ShardPlace) {
    let held = clients[client].registers[key]
    let choice = clients[client].random.below(10)
    switch (choice, held) {
    case (0..<4, _), (5..<8, nil): sendRegister(.read, key, client, nil, to: place)
    case (4, _): sendRegister(.create, key, client, nil, to: place)
    case (5..<8, let held?):
      sendRegister(.update(expected: held.number), key, client, held.context, to: place)
    case (8, let held?):
      sendRegister(.delete(expected: held.number), key, client, held.context, to: place)
    default: sendRegister(.delete(expected: nil), key, client, nil, to: place)
    }
  }

  private mutating func sendRegister(
    _ kind: RegisterHistory.Kind, _ key: Int, _ client: Int, _ context: VersionVector?,
    to place: ShardPlace
  ) {
    let number = registers.begin(kind, key: key, at: world.time)
    let timeout: Duration? =
      clients[client].random.chance(0.3)
      ? .milliseconds(100 + clients[client].random.below(1_500)) : nil
    submit(
      request(kind, key, number, context, timeout, &clients[client].random), .register(number),
      client: client, timeout: timeout, to: place)
  }

  private func request(
    _ kind: RegisterHistory.Kind, _ key: Int, _ number: Int, _ context: VersionVector?,
    _ timeout: Duration?, _ random: inout SeededRandom
  ) -> ClientRequest {
    let name = Self.registerName(key)
    var put = PutOptions()
    put.timeout = timeout
    put.returnBody = random.chance(0.3)
    let content = Content(value: WrittenValue.bytes(number, byteCount: 16))
    switch kind {
    case .read:
      var options = GetOptions()
      options.timeout = timeout
      return .get(name, options)
    case .create:
      put.ifNoneMatch = random.chance(0.7)
      return .put(name, context: VersionVector(), content, put)
    case .update:
      put.ifNotModified = random.chance(0.7)
      return .put(name, context: context ?? VersionVector(), content, put)
    case .delete:
      var options = DeleteOptions()
      options.timeout = timeout
      return .delete(name, context: context, options)
    }
  }

  // MARK: Answers

  /// Takes in the answer to an operation on a register; false when it is of the wrong kind.
  mutating func takeRegister(
    _ number: Int, _ reply: ClientReply, _ client: Int?
  ) throws(SimulationFailure) -> Bool {
    let operation = registers.operations[number - 1]
    switch (operation.kind, reply) {
    case (.read, .object(let object)):
      let observed = try registers.look(at: object, key: operation.key)
      registers.end(number, .done(observed: observed), at: world.time)
      if let client {
        clients[client].registers[operation.key] = observed.map {
          Client.HeldRegister(context: object.clock, number: $0)
        }
      }
    case (.create, .stored(let object)), (.update, .stored(let object)):
      registers.end(number, .done(observed: nil), at: world.time)
      if !object.isEmpty { _ = try registers.look(at: object, key: operation.key) }
      if let client { clients[client].registers[operation.key] = nil }
    case (.delete, .deleted): registers.end(number, .done(observed: nil), at: world.time)
    case (_, .failure(let failure)):
      registers.end(number, Self.outcome(of: failure), at: world.time)
      if let client { clients[client].registers[operation.key] = nil }
    default: return false
    }
    return true
  }

  private static func outcome(of failure: RequestFailure) -> RegisterHistory.Outcome {
    switch failure {
    case .matchFound, .modified, .notFound, .failed: .refused(failure)
    case .overload, .insufficientVnodes, .allNodesDown, .unknownBucketType, .tooLarge: .void
    default: .unknown
    }
  }

  // MARK: The end

  /// Reads every register once more and holds all that was said of it against one register.
  mutating func checkRegisters() throws(SimulationFailure) {
    let keys = Set(registers.operations.map(\.key)).sorted()
    for key in keys {
      let number = registers.begin(.read, key: key, at: world.time)
      var options = GetOptions()
      options.timeout = Self.calmTimeout
      let done = try ask(.get(Self.registerName(key), options), .register(number))
      if let failure = done.failure {
        throw SimulationFailure(
          checker: .availability, explanation: "a get of r\(key) from a whole cluster: \(failure)")
      }
      try registers.checkWinners(of: key)
      switch registers.isLinearizable(key) {
      case true?: break
      case nil: world.probes.count("sim: linearizability undecided")
      case false?:
        throw SimulationFailure(
          checker: .linearizability,
          explanation: "r\(key) is no register: \(registers.text(of: key))")
      }
      let isRace = key >= Self.sharedKeyCount
      let isWon = registers.operations(of: key).contains {
        if case (.create, .done) = ($1.kind, $1.outcome) { true } else { false }
      }
      if isRace, isWon { world.probes.count("sim: race won") }
    }
  }

  /// True when every seat is held by its owner and the node has no two of one key: then a quorum of
  /// each key's acceptors keeps its memory when the node's disk is lost.
  func maySeatsBeLost(_ node: Int) -> Bool {
    guard settings.nVal > 1,
      let view = world.nodes[members[0]].shards.first?.shard.view, view.transfers.isEmpty
    else { return false }
    for index in 0..<view.ring.size {
      let partition = PartitionID(index)
      guard let owner = members.first(where: { holdsSeat(of: partition, $0) }),
        world.nodes[owner].member.id == view.ring.owner(of: partition)
      else { return false }
    }
    let size = view.ring.size
    let own = view.ring.partitions(of: world.nodes[node].member.id).map(\.index)
    return own.allSatisfy { index in
      !(1..<settings.nVal).contains { own.contains((index + $0) % size) }
    }
  }

  private func holdsSeat(of partition: PartitionID, _ node: Int) -> Bool {
    let shards = world.nodes[node].shards
    let shard = world.nodes[node].member.shard(of: partition).index
    return shard < shards.count && shards[shard].shard.isSeated(in: partition)
  }

  /// What keeps an owner of a partition from voting for it, if anything.
  func missingSeats() -> String? {
    guard workload == .conditional else { return nil }
    for node in members {
      for (index, shard) in world.nodes[node].shards.enumerated() {
        let missing = shard.shard.statistics.seatsMissing
        if missing > 0 { return "n\(node)/\(index) lacks \(missing) seats" }
      }
    }
    return nil
  }
}

extension RegisterHistory {
  /// The operations on a key, for people.
  func text(of key: Int) -> String {
    operations(of: key).map { number, operation in
      let end = operation.end.map { "\($0 / 1000)" } ?? "?"
      return
        "w\(number) \(operation.kind) \(operation.start / 1000)-\(end) \(operation.outcome)"
    }.joined(separator: "; ")
  }
}
