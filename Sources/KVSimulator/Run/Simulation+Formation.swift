import KVBase
import KVCluster
import KVModel
import KVNode

/// The beginning of a run: single nodes become a cluster by the commands an operator would give,
/// and the buckets get their properties.
extension Simulation {
  static let second: UInt64 = 1_000_000_000
  static let siblingsBucket = BucketID(name: Bytes("siblings".utf8))
  /// Holds keys that are written before the storm and never again.
  static let settledBucket = BucketID(name: Bytes("settled".utf8))
  static let newestBucket = BucketID(name: Bytes("newest".utf8))
  static let lastWriteBucket = BucketID(name: Bytes("last".utf8))
  /// Buckets that hold nothing and whose properties clients change.
  static let scratchBuckets = ["p0", "p1"].map { BucketID(name: Bytes($0.utf8)) }

  /// The keys of a run, in three buckets.
  static func keys(_ settings: RunSettings) -> [History.Key] {
    func key(_ bucket: BucketID, _ index: Int, _ mode: History.Mode) -> History.Key {
      History.Key(name: ObjectKey(bucket: bucket, key: Bytes("k\(index)".utf8)), mode: mode)
    }
    let cold = (0..<settings.coldKeyCount).map { index in
      History.Key(
        name: ObjectKey(bucket: siblingsBucket, key: Bytes("\(coldPrefix)\(index)".utf8)),
        mode: .siblings)
    }
    return (0..<settings.keyCount).map { key(siblingsBucket, $0, .siblings) }
      + [key(newestBucket, 0, .newest), key(lastWriteBucket, 0, .lastWrite)] + cold
  }

  /// How the names of keys begin that no client writes.
  static let coldPrefix = "cold"

  /// The keys that clients write, the first of all keys.
  var hotKeyCount: Int { history.keys.count - settings.coldKeyCount }

  /// The properties of the buckets that hold keys.
  var bucketProperties: [(bucket: BucketID, properties: BucketProperties)] {
    var siblings = BucketProperties()
    siblings.nVal = settings.nVal
    siblings.allowMult = true
    // Clocks are to be trimmed often.
    siblings.smallVclock = 3
    var newest = siblings
    newest.allowMult = false
    var last = newest
    last.lastWriteWins = true
    let strong = workload.isConsistent ? [(Self.strongType, strongProperties)] : []
    let types = workload.mix.types > 0 ? [(Self.typesBucket, siblings)] : []
    return strong + types + [
      (Self.settledBucket, siblings), (Self.siblingsBucket, siblings), (Self.newestBucket, newest),
      (Self.lastWriteBucket, last),
    ]
  }

  /// Starts the first nodes and joins them into one cluster.
  mutating func formCluster() throws(SimulationFailure) {
    for node in 0..<settings.nodeCount {
      world.queue.schedule(.boot(node: node), at: UInt64(random.below(300_000_000)))
    }
    try advance(to: Self.second)
    members = [0]
    let joinsOneByOne = random.chance(0.3)
    for node in 1..<max(settings.nodeCount, 1) {
      try join(node)
      members.append(node)
      if joinsOneByOne || node == settings.nodeCount - 1 { try commit() }
    }
    try waitForAgreement(upTo: 120 * Self.second)
  }

  private mutating func join(_ node: Int) throws(SimulationFailure) {
    let endpoint = world.nodes[0].member.endpoint
    var answer = "nothing"
    for _ in 0..<5 {
      let reply = try ask(.join(endpoint), of: node)
      if case .done = reply { return }
      answer = reply.map { "\($0)" } ?? "nothing"
      try advance(to: world.time + Self.second)
    }
    throw SimulationFailure(checker: .ring, explanation: "n\(node) cannot join: \(answer)")
  }

  private mutating func commit() throws(SimulationFailure) {
    var answer = "nothing"
    for _ in 0..<10 {
      try advance(to: world.time + Self.second)
      let plan = try ask(.plan, of: 0)
      answer = plan.map { "\($0)" } ?? "nothing"
      guard case .plan(let changes) = plan, changes.membersAfter.count == members.count else {
        continue
      }
      let reply = try ask(.commit, of: 0)
      if case .done = reply { return }
      answer = reply.map { "\($0)" } ?? "nothing"
    }
    throw SimulationFailure(
      checker: .ring,
      explanation: "the joins of \(members.count) nodes are not committed: \(answer)")
  }

  /// Gives a command and waits for the answer.
  private mutating func ask(
    _ command: AdminCommand, of node: Int
  ) throws(SimulationFailure) -> AdminReply? {
    let id = send(command, to: node)
    _ = try wait(upTo: 10 * Self.second) { $0.adminReplies[id] != nil }
    return adminReplies[id]
  }

  /// Gives a command; the answer will be among ``adminReplies``.
  mutating func send(_ command: AdminCommand, to node: Int) -> RequestID {
    let id = world.nextRequestID()
    commands.insert(id)
    world.command(command, id: id, to: node)
    return id
  }

  /// Sets the properties of the buckets that hold keys and waits until every node has them.
  mutating func configureBuckets() throws(SimulationFailure) {
    for (bucket, properties) in bucketProperties {
      let node = members[random.below(members.count)]
      let id = world.submit(
        .setBucketProperties(bucket, properties), to: ShardPlace(node: node, shard: 0))
      pending[id] = PendingRequest(
        client: nil, kind: .readProperties, place: ShardPlace(node: node, shard: 0),
        start: world.time)
      guard try wait(upTo: 20 * Self.second, until: { $0.pending[id] == nil }) else {
        throw SimulationFailure(
          checker: .properties, explanation: "n\(node) does not answer to set-bucket-properties")
      }
    }
    let agree = try wait(upTo: 60 * Self.second) { simulation in
      simulation.members.allSatisfy { simulation.knowsBuckets($0) }
    }
    guard agree else {
      throw SimulationFailure(
        checker: .properties, explanation: "bucket properties do not reach every node")
    }
  }

  /// True when every shard of a running node has the properties that the history counts on.
  func knowsBuckets(_ node: Int) -> Bool {
    world.nodes[node].shards.indices.allSatisfy { shard in
      bucketProperties.allSatisfy {
        world.nodes[node].shards[shard].shard.view.properties(of: $0.bucket) == $0.properties
      }
    }
  }
}
