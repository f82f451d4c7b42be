import KVBase
import KVCluster
import KVModel
import KVNode

/// The end of a run: the faults are over, the cluster mends itself, and everything is checked.
extension Simulation {
  /// Ends all faults and waits until the cluster is whole.
  mutating func calm() throws(SimulationFailure) {
    world.network.isFaulty = false
    world.network.heal()
    for node in world.nodes.indices {
      world.nodes[node].diskSlowUntil = 0
      world.nodes[node].slowUntil = 0
      world.freeDisk(of: node)
      world.nodes[node].nextSyncFails = false
      if world.nodes[node].hasSyncFailed { world.crash(node, losesPower: false) }
      if members.contains(node) || membership.joining == node { world.boot(node) }
    }
    // What nodes still remember of the storm must not count against the calm.
    let paused = world.nodes.map(\.pausedUntil).max() ?? 0
    try advance(to: max(world.time, paused) + 5 * Self.second)
    try inspectDisks()
    let patience = settings.shard.requestTimeout.wholeNanoseconds + settings.faults.longest
    guard try wait(upTo: patience + 15 * Self.second, until: { $0.pending.isEmpty }) else {
      throw SimulationFailure(
        checker: .replies, explanation: "\(pending.count) requests are never answered")
    }
    guard try wait(upTo: 300 * Self.second, until: { $0.membership.stage == .idle }) else {
      throw SimulationFailure(
        checker: .ring,
        explanation: "a change of membership never ends: \(membership), "
          + (disagreement() ?? "all agree") + ", " + (misplacedData() ?? "data is at home"))
    }
    try waitForAgreement(upTo: 120 * Self.second)
    try waitForHome(upTo: 120 * Self.second)
    guard try wait(upTo: 120 * Self.second, until: { $0.missingSeats() == nil }) else {
      throw SimulationFailure(checker: .hints, explanation: missingSeats() ?? "seats are missing")
    }
  }

  private mutating func waitForHome(upTo duration: UInt64) throws(SimulationFailure) {
    let isHome = try wait(upTo: duration) { $0.misplacedData() == nil }
    guard !isHome, let reason = misplacedData() else { return }
    throw SimulationFailure(
      checker: .hints, explanation: "after \(duration / Self.second) s: \(reason)")
  }

  /// Holds what is left against what the cluster had vouched for.
  mutating func checkEverything() throws(SimulationFailure) {
    try writeOnceMore()
    try repairAll()
    try waitForHome(upTo: 60 * Self.second)
    try waitForAgreement(upTo: 60 * Self.second)
    try waitForReaping(upTo: 180 * Self.second)
    var present: [Bytes] = []
    var objects: [KVObject] = []
    for key in history.keys.indices {
      let object = try finalObject(of: key)
      try history.checkFinal(object, key: key)
      objects.append(object)
      let name = history.keys[key].name
      if name.bucket == Self.siblingsBucket, !object.isEmpty {
        // Tombstones that are kept are listed too.
        present.append(name.key)
      }
    }
    try checkRegisters()
    try checkListing(present)
    try checkIndexes(objects)
    try checkTypes()
    try checkProperties()
    try dropSettledKeys()
  }

  private mutating func finalObject(of key: Int) throws(SimulationFailure) -> KVObject {
    guard let encoded = replicas(of: key).first?.object else { return KVObject() }
    do { return try KVObject(encoded: encoded) } catch {
      throw SimulationFailure(
        checker: .integrity,
        explanation: "\(Describe.name(history.keys[key].name)) cannot be decoded: \(error)")
    }
  }

  // MARK: A whole cluster answers

  /// Time enough for any request to a cluster without faults.
  static let calmTimeout = Duration.seconds(6)

  /// Sends a request of the simulation's own, and waits for the end of the answer.
  mutating func ask(
    _ request: ClientRequest, _ kind: PendingRequest.Kind
  ) throws(SimulationFailure) -> PendingRequest {
    guard let place = somePlace(&random) else {
      throw SimulationFailure(checker: .availability, explanation: "no node takes requests")
    }
    let id = world.submit(request, to: place)
    pending[id] = PendingRequest(client: nil, kind: kind, place: place, start: world.time)
    let limit = Self.calmTimeout.wholeNanoseconds + 5 * Self.second
    guard try wait(upTo: limit, every: 10_000_000, until: { $0.pending[id] == nil }),
      let request = finished.removeValue(forKey: id)
    else {
      throw SimulationFailure(
        checker: .replies, explanation: "request \(id.rawValue) to a whole cluster has no answer")
    }
    return request
  }

  /// One more write of some keys, which everybody must take.
  mutating func writeOnceMore() throws(SimulationFailure) {
    for key in history.keys.indices where random.chance(0.3) { try write(key) }
  }

  /// Writes the keys that no client writes.
  mutating func writeColdKeys() throws(SimulationFailure) {
    for key in history.keys.indices.dropFirst(hotKeyCount) { try write(key) }
  }

  private mutating func write(_ key: Int) throws(SimulationFailure) {
    let number = history.begin(
      History.Write(
        key: key, isDelete: false, seen: WriteSet(), readsBefore: false, byteCount: 16,
        primaryCount: settings.nVal, start: world.time))
    var options = PutOptions()
    options.w = .all
    options.pw = .all
    options.timeout = Self.calmTimeout
    let content = content(number, byteCount: 16)
    let name = history.keys[key].name
    let done = try ask(.put(name, context: VersionVector(), content, options), .put(number))
    if case .tooLarge = done.failure, settings.shard.siblingLimit < 10 { return }
    if let failure = done.failure {
      throw SimulationFailure(
        checker: .availability,
        explanation: "a put of \(Describe.name(name)) to a whole cluster: \(failure)")
    }
  }

  /// Reads every key from all replicas until they are equal: runs differ in how often they compare
  /// replicas, if at all.
  private mutating func repairAll() throws(SimulationFailure) {
    for _ in 0..<4 {
      for key in history.keys.indices {
        var options = GetOptions()
        options.r = .all
        options.pr = .all
        options.timeout = Self.calmTimeout
        let name = history.keys[key].name
        let done = try ask(
          .get(name, options), .get(key: key, primaryCount: settings.nVal, intent: .look))
        if let failure = done.failure {
          throw SimulationFailure(
            checker: .availability,
            explanation: "a get of \(Describe.name(name)) from a whole cluster: \(failure)")
        }
      }
      if try wait(upTo: 3 * Self.second, until: { $0.divergence() == nil }) { return }
    }
    guard let reason = divergence() else { return }
    throw SimulationFailure(checker: .convergence, explanation: reason)
  }

  // MARK: Listings and properties

  private mutating func checkListing(_ present: [Bytes]) throws(SimulationFailure) {
    let keys = try ask(
      .listKeys(Self.siblingsBucket, timeout: Self.calmTimeout), .listing(isOfKeys: true))
    try compare(keys, with: present, "keys")
    guard !present.isEmpty else { return }
    let buckets = try ask(
      .listBuckets(type: BucketID.defaultType, timeout: Self.calmTimeout),
      .listing(isOfKeys: false))
    guard buckets.failure == nil, buckets.names.contains(Self.siblingsBucket.name) else {
      throw SimulationFailure(
        checker: .listing, explanation: "a bucket with \(present.count) keys is not listed")
    }
  }

  private func compare(
    _ listing: PendingRequest, with expected: [Bytes], _ what: String
  ) throws(SimulationFailure) {
    let found = listing.names.map { String(decoding: $0, as: UTF8.self) }.sorted()
    let wanted = expected.map { String(decoding: $0, as: UTF8.self) }.sorted()
    guard listing.failure == nil, found == wanted else {
      throw SimulationFailure(
        checker: .listing,
        explanation: "the \(what) listed are \(found), not \(wanted), "
          + (listing.failure.map { "\($0)" } ?? "without an error"))
    }
  }

  private func checkProperties() throws(SimulationFailure) {
    guard let view = world.nodes[members[0]].shards.first?.shard.view else { return }
    for bucket in Self.scratchBuckets {
      try propertyHistory.checkFinal(view.properties(of: bucket), of: bucket)
    }
  }
}
