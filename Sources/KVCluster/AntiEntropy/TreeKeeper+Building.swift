public import KVBase
import KVModel

/// Which vnodes have trees, and how these come to be.
extension TreeKeeper {
  private static let directoryName = "entropy/trees"
  /// The most objects that one step of a build counts.
  public static let buildStepCount = 256
  private static let buildStepBytes = 1 << 20

  private static func treeName(_ partition: PartitionID) -> String {
    "entropy/tree/\(partition.index)"
  }

  /// Takes over the trees that a stop in order saved, and removes them from the store: whatever
  /// happens from now on outdates them.
  public func restore(startedCleanly: Bool, at now: Instant) throws(ReplicaStoreFailure) {
    guard let directory = try metadata(Self.directoryName) else { return }
    var changes: [ReplicaChange] = [.metadata(Self.directoryName, nil)]
    var reader = ByteReader(directory)
    let signature = try? reader.readFixed(UInt64.self)
    let partitions = try? reader.readList(minimumBytes: 2) { (r) throws(DecodingFailure) in
      try PartitionID(decoding: &r)
    }
    for partition in partitions ?? [] {
      let name = Self.treeName(partition)
      if startedCleanly, let bytes = try metadata(name) {
        var reader = ByteReader(bytes)
        saved[partition] = try? VnodeTrees(decoding: &reader, at: now)
      }
      changes.append(.metadata(name, nil))
    }
    savedSignature = signature
    _ = try apply(changes)
  }

  /// Saves all trees that are built; the store must take no change afterwards.
  public func save(at now: Instant) throws(ReplicaStoreFailure) {
    guard let placement else { return }
    let partitions = vnodes.keys.sorted().filter { vnodes[$0]?.trees != nil }
    guard !partitions.isEmpty else { return }
    var directory = ByteWriter()
    directory.write(fixed: placement.signature)
    directory.write(list: partitions) { $1.encode(into: &$0) }
    var changes: [ReplicaChange] = [.metadata(Self.directoryName, directory.bytes)]
    for partition in partitions {
      var writer = ByteWriter()
      vnodes[partition]?.encode(into: &writer, at: now)
      changes.append(.metadata(Self.treeName(partition), writer.bytes))
    }
    _ = try apply(changes)
  }

  /// Keeps trees for exactly these partitions from now on, under the placement.
  ///
  /// New ones are to be built, unless saved trees of theirs are at hand; under another placement
  /// all are.
  public func adopt(_ partitions: [PartitionID], _ placement: KeyPlacement, at now: Instant) {
    if placement != self.placement {
      if placement.signature != savedSignature { saved = [:] }
      self.placement = placement
      vnodes = [:]
    }
    var kept: [PartitionID: VnodeTrees] = [:]
    for partition in partitions {
      kept[partition] =
        vnodes[partition] ?? saved[partition]
        ?? VnodeTrees(trees: nil, build: VnodeTrees.Build(), rebuildAt: now)
    }
    vnodes = kept
    saved = [:]
  }

  /// Begins a build of the trees that are older than they should be; true when any is under way.
  public func startDueBuilds(at now: Instant) -> Bool {
    for partition in vnodes.keys.sorted() {
      guard let vnode = vnodes[partition], vnode.build == nil, vnode.rebuildAt <= now else {
        continue
      }
      vnodes[partition]?.build = VnodeTrees.Build()
    }
    return vnodes.values.contains { $0.build != nil }
  }

  /// Has the vnode's trees built again: they seem to be wrong.
  public func rebuild(_ partition: PartitionID) {
    if vnodes[partition]?.build == nil { vnodes[partition]?.build = VnodeTrees.Build() }
  }

  /// Counts the next objects of a build under way: at most ``buildStepCount``.
  ///
  /// - Parameter lifetime: how long the trees may be used before they are built again.
  /// - Returns: true while there is more to build.
  public func buildStep(
    at now: Now, lifetime: Duration
  ) throws(ReplicaStoreFailure) -> Bool {
    guard let placement, let partition = vnodes.keys.sorted().first(where: { isBuilding($0) }),
      var vnode = vnodes[partition], var build = vnode.build
    else { return false }
    // Nothing else may hold the trees, or changing them copies them.
    vnodes[partition] = nil
    vnode.build = nil
    let scan: ReplicaScan
    do throws(ReplicaStoreFailure) {
      scan = try self.scan(
        partition, bucket: nil, after: build.cursor, limit: Self.buildStepCount,
        byteLimit: Self.buildStepBytes, headsOnly: true)
    } catch {
      // Begun again later: what was counted so far may be of no use then.
      vnode.rebuildAt = now.instant + Self.retryInterval
      vnodes[partition] = vnode
      throw error
    }
    for entry in scan.entries {
      let group = placement.group(of: entry.key)
      guard group.includes(partition, ringSize: placement.ringSize) else { continue }
      let nameHash = ObjectHash.name(entry.key)
      build.trees[group, default: HashTree()].toggle(
        ObjectHash.object(entry.encoded, nameHash: nameHash), in: LeafID(nameHash: nameHash))
      build.objects += 1
    }
    if let last = scan.entries.last { build.cursor = last.key }
    vnode.build = build
    if scan.isComplete { vnode.finishBuild(at: now, lifetime: lifetime) }
    vnodes[partition] = vnode
    return vnodes.values.contains { $0.build != nil }
  }

  private static let retryInterval = Duration.seconds(10)

  private func isBuilding(_ partition: PartitionID) -> Bool { vnodes[partition]?.build != nil }
}

extension VnodeTrees {
  fileprivate mutating func finishBuild(at now: Now, lifetime: Duration) {
    guard let build else { return }
    trees = build.trees
    objects = build.objects
    builtAt = now.wallClock
    rebuildAt = now.instant + lifetime
    self.build = nil
  }
}
