import KVBase
import KVCluster
import KVModel
import KVNode

/// The end of an `entropy` run: replicas agree although nobody reads, come to differ in every way
/// there is, and agree again on what they held.
extension Simulation {
  mutating func checkEntropy() throws(SimulationFailure) {
    try waitForReplicas()
    let samples = history.keys.indices.map { replicas(of: $0).first?.object }
    try writeOnceMore()
    try waitForReplicas()
    guard settings.nVal > 1 else { return }
    let before = history.keys.indices.map { contents(of: $0) }
    for _ in 0..<1 + random.below(3) {
      try lapse(samples)
      try waitForReplicas()
      for key in history.keys.indices {
        let after = contents(of: key)
        guard after != before[key] else { continue }
        throw SimulationFailure(
          checker: .entropy,
          explanation: "\(Describe.name(history.keys[key].name)) was "
            + "\(Describe.text(of: KVObject(clock: VersionVector(), siblings: before[key]))) before "
            + "replicas diverged and is "
            + Describe.text(of: KVObject(clock: VersionVector(), siblings: after)))
      }
    }
    try checkIdleness()
  }

  /// The live contents of a key, at its first replica: tombstones and clocks may go meanwhile.
  private mutating func contents(of key: Int) -> [Sibling] {
    guard let encoded = replicas(of: key).first?.object,
      let object = try? KVObject(encoded: encoded)
    else { return [] }
    return object.isDeleted ? [] : object.siblings
  }

  /// The longest that comparing every pair of vnodes may take.
  private var cycle: UInt64 {
    let pairs = world.nodes.indices.map { node in
      let shards = world.nodes[node].shards
      guard let view = shards.first?.shard.view else { return 0 }
      let placement = KeyPlacement(view)
      let counts = view.ring.partitions(of: world.nodes[node].member.id).map { partition in
        placement.groups(of: partition).reduce(0) { $0 + $1.nVal - 1 }
      }
      return counts.reduce(0, +)
    }
    let interval = settings.shard.entropy.interval?.wholeNanoseconds ?? 0
    return UInt64(pairs.max() ?? 0) * interval + Self.second
  }

  /// Waits until no two replicas differ: for the trees to be built again, for three rounds, and for a
  /// lazy store to set damage apart.
  private mutating func waitForReplicas() throws(SimulationFailure) {
    let lifetime = settings.shard.entropy.treeLifetime.wholeNanoseconds
    let limit = 2 * lifetime + 3 * cycle + 8 * settings.backgroundInterval + 60 * Self.second
    let areEqual = try wait(upTo: limit, every: Self.second) {
      $0.divergence() == nil && !$0.world.hasDamage()
    }
    guard areEqual else {
      throw SimulationFailure(
        checker: .entropy,
        explanation: "after \(limit / Self.second) s without a read: "
          + (divergence() ?? "damage is left"))
    }
  }

  /// Compares for a while what does not differ.
  private mutating func checkIdleness() throws(SimulationFailure) {
    // Exchanges that saw the last difference may still end.
    try advance(to: world.time + 5 * Self.second)
    let before = repairCount
    try advance(to: world.time + 2 * cycle + 20 * Self.second)
    guard repairCount == before else {
      throw SimulationFailure(
        checker: .idleness,
        explanation: "\(repairCount - before) objects were repaired although all were equal")
    }
  }

  private var repairCount: Int {
    world.nodes.reduce(0) { sum, node in
      node.shards.reduce(sum) { $0 + $1.shard.statistics.entropyRepairs }
    }
  }

  // MARK: Lapses

  private mutating func lapse(_ samples: [Bytes?]) throws(SimulationFailure) {
    for key in history.keys.indices where random.chance(0.4) {
      let kind = Lapse(rawValue: random.below(4)) ?? .lostObject
      try lapse(kind, key, samples[key])
    }
    guard random.chance(0.5) else { return }
    // Whatever else is wrong must be right again before a whole shard may lose its objects.
    try waitForReplicas()
    let node = members[random.below(members.count)]
    let place = ShardPlace(node: node, shard: random.below(world.nodes[node].shards.count))
    guard isSpare(place) else { return }
    switch random.below(3) {
    case 0 where place.shard > 0:
      world.probes.count("sim: lapse \(Lapse.lostDirectory)")
      world.loseDirectory(of: place)
      try advance(to: world.time + 5 * Self.second)
      try waitForAgreement(upTo: 120 * Self.second)
    case 1:
      world.probes.count("sim: lapse \(Lapse.emptiedShard)")
      world.empty(place)
    default:
      isRotten = true
      if world.rotTable(of: place, random: &random) {
        world.probes.count("sim: lapse \(Lapse.rottenTable)")
      }
    }
  }

  private mutating func lapse(
    _ kind: Lapse, _ key: Int, _ sample: Bytes?
  ) throws(SimulationFailure) {
    let places = places(of: key)
    guard places.count > 1, let victim = places.indices.randomElement(using: &random) else {
      return
    }
    let isStale = kind == .staleObject || kind == .stalenessBehindTrees
    world.probes.count("sim: lapse \(kind)")
    world.put(
      isStale ? sample : nil, of: history.keys[key].name, in: places[victim].partition,
      at: places[victim].place,
      behindTrees: kind == .removedBehindTrees || kind == .stalenessBehindTrees)
  }

  /// Where the primaries of a key are.
  private func places(of key: Int) -> [(partition: PartitionID, place: ShardPlace)] {
    guard let view = world.nodes[members[0]].shards.first?.shard.view else { return [] }
    return view.ring.preferencePartitions(of: history.keys[key].name, n: settings.nVal)
      .compactMap { partition in
        let owner = view.ring.owner(of: partition)
        guard let node = members.first(where: { world.nodes[$0].member.id == owner }) else {
          return nil
        }
        let shard = world.nodes[node].member.shard(of: partition).index
        return (partition, ShardPlace(node: node, shard: shard))
      }
  }

  /// True when every key has a replica elsewhere.
  private func isSpare(_ place: ShardPlace) -> Bool {
    history.keys.indices.allSatisfy { key in places(of: key).contains { $0.place != place } }
  }
}
