import KVBase
public import KVModel

/// What exchanges read, on either side.
extension TreeKeeper {
  /// The tree of a group; nil unless the vnode has trees and they are built.
  public func tree(of group: TreeGroup, in partition: PartitionID) -> HashTree? {
    vnodes[partition]?.tree(of: group)
  }

  /// True when the vnode has trees and they are built.
  public func isBuilt(_ partition: PartitionID) -> Bool { vnodes[partition]?.trees != nil }

  /// The partitions that have trees, sorted.
  public var partitions: [PartitionID] { vnodes.keys.sorted() }

  /// Answers a question about a vnode of this store.
  ///
  /// The objects of ``EntropyQuestion/push(_:)`` are the vnode's business.
  public func answer(_ request: EntropyRequest) -> EntropyAnswer {
    guard let placement, placement.signature == request.signature else {
      return .refused(.otherPlacement)
    }
    guard let vnode = vnodes[request.partition],
      request.group.includes(request.partition, ringSize: placement.ringSize)
    else { return .refused(.notPrimary) }
    do throws(ReplicaStoreFailure) {
      switch request.question {
      case .root:
        guard let tree = vnode.tree(of: request.group) else { return .refused(.notBuilt) }
        return .root(tree.branchHashes)
      case .leaves(let branches):
        guard let tree = vnode.tree(of: request.group) else { return .refused(.notBuilt) }
        return .leaves(branches.prefix(EntropyLimits.branches).map { tree.leaves(of: Int($0)) })
      case .entries(let leaves, let after, let through):
        return .entries(
          try page(
            of: request.group, in: request.partition, leaves, after: after, through: through))
      case .fetch(let wanted): return .found(try find(wanted, in: request.partition))
      case .push: return .refused(.storage)
      }
    } catch {
      return .refused(.storage)
    }
  }

  /// The next objects of a group in the given leaves, in key order.
  ///
  /// It goes through at most ``EntropyLimits/pageScans`` objects of the vnode.
  public func page(
    of group: TreeGroup, in partition: PartitionID, _ leaves: LeafSet, after: ObjectKey?,
    through: ObjectKey?
  ) throws(ReplicaStoreFailure) -> EntropyPage {
    let scan = try scan(
      partition, bucket: nil, after: after, limit: EntropyLimits.pageScans,
      byteLimit: EntropyLimits.pageBytes, headsOnly: true)
    var page = EntropyPage(entries: [], through: scan.isComplete ? nil : scan.entries.last?.key)
    for entry in scan.entries {
      if let through, through < entry.key {
        page.through = nil
        break
      }
      let nameHash = ObjectHash.name(entry.key)
      guard leaves.contains(LeafID(nameHash: nameHash)), placement?.group(of: entry.key) == group
      else { continue }
      page.entries.append(
        EntropyEntry(
          key: entry.key, hash: ObjectHash.object(entry.encoded, nameHash: nameHash),
          clock: (try? KVObject(encodedHead: entry.encoded))?.clock ?? VersionVector()))
    }
    return page
  }

  /// The hash of the object that a vnode holds of a key now.
  public func hash(
    of key: ObjectKey, in partition: PartitionID
  ) throws(ReplicaStoreFailure) -> UInt64? {
    try head(key, in: partition).map { ObjectHash.object($0, nameHash: ObjectHash.name(key)) }
  }

  /// The object that stands for what a vnode holds of a key: for a grave, its clock without contents.
  func objectOrGrave(
    of key: ObjectKey, in partition: PartitionID
  ) throws(ReplicaStoreFailure) -> Bytes? {
    if let encoded = try object(key, in: partition) { return encoded }
    guard let grave = try grave(of: key, in: partition) else { return nil }
    var reader = ByteReader(grave)
    guard let clock = try? VersionVector(decoding: &reader) else { return nil }
    return KVObject(clock: clock, siblings: []).encoded().bytes
  }

  /// What a vnode holds of some keys: of as many as fit a message.
  func find(
    _ wanted: [EntropyWanted], in partition: PartitionID
  ) throws(ReplicaStoreFailure) -> [EntropyFound] {
    var found: [EntropyFound] = []
    var byteCount = 0
    for item in wanted where byteCount < EntropyLimits.batchBytes {
      guard item.wantsObject else {
        found.append(
          EntropyFound(key: item.key, hash: try hash(of: item.key, in: partition), encoded: nil))
        continue
      }
      let encoded = try object(item.key, in: partition)
      let hash = encoded.map { ObjectHash.object($0, nameHash: ObjectHash.name(item.key)) }
      found.append(EntropyFound(key: item.key, hash: hash, encoded: encoded))
      byteCount += encoded?.count ?? 0
    }
    return found
  }
}
