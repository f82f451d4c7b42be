import KVBase
import KVCluster
import KVModel
import KVNode

/// What must hold of deletes and of listings while nodes fail and partitions move.
extension Simulation {
  static let settledCount = 24

  /// Writes keys to every replica, before anything goes wrong: from now on each listing that ends
  /// without an error must tell exactly these, whatever happens to the vnodes that are asked.
  mutating func settleKeys() throws(SimulationFailure) {
    guard workload.mix.listings > 0 || workload.mix.queries > 0, !workload.losesDisks else {
      return
    }
    var options = PutOptions()
    options.w = .all
    options.dw = .all
    options.pw = .all
    options.syncOnWrite = .all
    options.timeout = Self.calmTimeout
    for index in 0..<Self.settledCount {
      let name = ObjectKey(bucket: Self.settledBucket, key: Self.settledName(index))
      let put = ClientRequest.put(
        name, context: VersionVector(), settledContent(index), options)
      var done = try ask(put, .settling)
      // A hasty detector errs also when all is well: the cluster is whole again at once.
      for _ in 0..<5 where done.failure != nil {
        try waitForAgreement(upTo: 10 * Self.second)
        done = try ask(put, .settling)
      }
      if let failure = done.failure {
        throw SimulationFailure(
          checker: .availability,
          explanation: "a put of \(Describe.name(name)) to a whole cluster: \(failure)")
      }
    }
    hasSettled = true
  }

  static func settledName(_ index: Int) -> Bytes { Bytes("s\(index)".utf8) }

  /// Every other key is in one index, the rest in another, with the number in its term.
  static func settledIndex(_ index: Int) -> Pair {
    Pair(
      key: Bytes(index % 2 == 0 ? "even_bin".utf8 : "odd_bin".utf8), value: Bytes("x|\(index)".utf8)
    )
  }

  /// The settled keys of both indexes together.
  static let settledQuery: KeyQuery = {
    func query(_ field: String, _ evaluation: String) -> IndexQuery {
      var query = IndexQuery(
        bucket: settledBucket, field: Bytes(field.utf8), lower: Bytes("x".utf8),
        upper: Bytes("x~".utf8))
      query.filter = try? TermFilter(
        TermFilter.Source(
          evaluation: Bytes(evaluation.utf8), condition: Bytes("attribute_exists($n)".utf8)))
      return query
    }
    let parts = [
      KeyQuery.Part(tag: 1, query: query("even_bin", "delim($term, \"|\", ($x, $n))")),
      KeyQuery.Part(tag: 2, query: query("odd_bin", "delim($term, \"|\", ($x, $n))")),
    ]
    return KeyQuery(
      bucket: settledBucket, parts: parts, expression: .union(.query(1), .query(2)),
      answer: .keys)
  }()

  /// Holds a listing or a query of the settled keys against what was written.
  mutating func checkSettled(_ names: [Bytes], _ what: String) throws(SimulationFailure) {
    guard !hasLostReplicas else { return }
    world.probes.count("sim: \(what) held against settled keys")
    func texts(_ names: [Bytes]) -> [String] {
      names.map { String(decoding: $0, as: UTF8.self) }.sorted()
    }
    let wanted = texts((0..<Self.settledCount).map(Self.settledName))
    let found = texts(names)
    guard found != wanted else { return }
    let missing = wanted.filter { !found.contains($0) }
    throw SimulationFailure(
      checker: .listing,
      explanation: "a \(what) told \(found.count) of \(wanted.count) keys that never change; "
        + "missing are \(missing)")
  }

  /// Waits until no primary holds a tombstone any more, unless they are to be kept.
  ///
  /// Members of the first release cannot be asked about theirs: nothing is reaped before they are
  /// upgraded.
  mutating func waitForReaping(upTo duration: UInt64) throws(SimulationFailure) {
    guard settings.shard.deleteMode != .keep,
      members.allSatisfy({ world.nodes[$0].protocolVersion >= 2 })
    else { return }
    let isDone = try wait(upTo: duration) { $0.leftTombstone() == nil }
    guard !isDone, let left = leftTombstone() else { return }
    throw SimulationFailure(
      checker: .reaping, explanation: "after \(duration / Self.second) s: \(left)")
  }

  private mutating func leftTombstone() -> String? {
    for key in history.keys.indices {
      for copy in replicas(of: key) {
        guard let bytes = copy.object, let object = try? KVObject(encoded: bytes),
          object.isDeleted
        else { continue }
        return "n\(copy.node) still holds the tombstone "
          + "\(Describe.name(history.keys[key].name)) \(Describe.text(of: object))"
      }
    }
    return nil
  }

  // MARK: Dropping a bucket

  /// Drops the bucket of the settled keys, as the last thing of a run: nothing that was written
  /// before the drop, by the coordinator's clock, may be left.
  mutating func dropSettledKeys() throws(SimulationFailure) {
    guard hasSettled else { return }
    if hasLostReplicas { try repairSettledKeys() }
    try querySettledKeys()
    let done = try ask(.dropBucket(Self.settledBucket), .settling)
    let isGone = try wait(upTo: 60 * Self.second) { !$0.holdsDroppedKeys() }
    let listing = try ask(
      .listKeys(Self.settledBucket, timeout: Self.calmTimeout), .listing(isOfKeys: true))
    let left = Set(storedSettledKeys().filter { !$0.isDropped }.map(\.name))
    guard done.failure == nil, isGone, listing.failure == nil,
      Set(listing.names) == left, listing.names.count == left.count
    else {
      throw SimulationFailure(
        checker: .drop,
        explanation: "after the drop \(listing.names.count) keys are listed, not \(left.count); "
          + "of the dropped ones on disk there is " + (isGone ? "nothing" : "something")
          + (done.failure.map { ", \($0)" } ?? ""))
    }
    try checkDroppedIndex(left)
  }

  /// A query of a whole cluster tells exactly what was written; members of the first release cannot be
  /// asked.
  private mutating func querySettledKeys() throws(SimulationFailure) {
    guard !hasLostReplicas, members.allSatisfy({ world.nodes[$0].protocolVersion >= 2 }) else {
      return
    }
    let done = try ask(
      .keyQuery(Self.settledQuery, timeout: Self.calmTimeout), .settledQuery)
    if let failure = done.failure {
      throw SimulationFailure(
        checker: .availability, explanation: "a query of a whole cluster: \(failure)")
    }
    try checkSettled(done.names, "key query")
  }

  /// Gives every primary its replicas of the settled keys again, by reading them.
  private mutating func repairSettledKeys() throws(SimulationFailure) {
    var options = GetOptions()
    options.r = .all
    options.pr = .all
    options.timeout = Self.calmTimeout
    for index in 0..<Self.settledCount {
      let name = ObjectKey(bucket: Self.settledBucket, key: Self.settledName(index))
      let done = try ask(.get(name, options), .settling)
      if let failure = done.failure {
        throw SimulationFailure(
          checker: .availability,
          explanation: "a get of \(Describe.name(name)) from a whole cluster: \(failure)")
      }
    }
    try advance(to: world.time + 3 * Self.second)
  }

  private mutating func holdsDroppedKeys() -> Bool {
    storedSettledKeys().contains(where: \.isDropped)
  }

  /// What members hold of the settled keys, and whether it was written before the drop.
  private mutating func storedSettledKeys() -> [(name: Bytes, isDropped: Bool)] {
    var found: [(name: Bytes, isDropped: Bool)] = []
    for node in members {
      for shard in world.nodes[node].shards {
        let time = shard.shard.view.dropTime(of: Self.settledBucket)
        do throws(ReplicaStoreFailure) {
          for partition in try shard.replicas.occupiedPartitions() {
            let scan = try shard.replicas.scan(
              partition, bucket: Self.settledBucket, after: nil, limit: 100, byteLimit: 1 << 20,
              headsOnly: true)
            for entry in scan.entries {
              let object = try? KVObject(encodedHead: entry.encoded)
              let latest = object?.siblings.map(\.content.lastModified).max()
              let isDropped = time.map { latest ?? $0 <= $0 } ?? true
              found.append((entry.key.key, isDropped))
            }
          }
        } catch {
          world.fail(.storage, "n\(node) cannot be read: \(error)")
        }
      }
    }
    return found
  }
}
