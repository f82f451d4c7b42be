public import KVModel

/// A vnode that takes part in a request: who runs it, and whether it is at home there.
public struct Replica: Hashable, Sendable {
  /// Whether the vnode belongs to its node or stands in for one that is down.
  public enum Role: UInt8, Hashable, Sendable {
    /// The partition's owner.
    case primary = 0
    /// Another node, holding the data until the owner is back.
    case fallback = 1
  }

  /// The partition the vnode serves.
  public var partition: PartitionID
  /// The node that runs it.
  public var node: NodeID
  /// Owner or stand-in.
  public var role: Role

  /// The vnode of `partition` on `node`.
  public init(partition: PartitionID, node: NodeID, role: Role) {
    self.partition = partition
    self.node = node
    self.role = role
  }
}

extension ClusterView {
  /// The available vnodes for a key in preference order: the owner of each of the `n` partitions
  /// where it is available, else the next available node clockwise that is not taking part yet.
  ///
  /// With `sloppy` false, or when no further node is left, a partition without an available owner
  /// has no vnode in the list.
  public func preferenceList(for key: ObjectKey, n: Int, sloppy: Bool) -> [Replica] {
    preferenceList(startingAt: ring.firstPartition(of: key), n: n, sloppy: sloppy)
  }

  /// The available vnodes for the keys whose preference list starts at `first`.
  public func preferenceList(startingAt first: PartitionID, n: Int, sloppy: Bool) -> [Replica] {
    let partitions = (0..<min(n, ring.size)).map { PartitionID((first.index + $0) % ring.size) }
    var replicas: [Replica] = []
    var vacant: [PartitionID] = []
    for partition in partitions {
      let owner = ring.owner(of: partition)
      if isAvailable(owner) {
        replicas.append(Replica(partition: partition, node: owner, role: .primary))
      } else {
        vacant.append(partition)
      }
    }
    guard sloppy, !vacant.isEmpty else { return replicas }
    var step = partitions.count
    var taken = replicas.map(\.node)
    while !vacant.isEmpty, step < ring.size {
      let candidate = ring.owner(of: PartitionID((first.index + step) % ring.size))
      step += 1
      guard isAvailable(candidate), !taken.contains(candidate) else { continue }
      taken.append(candidate)
      replicas.append(Replica(partition: vacant.removeFirst(), node: candidate, role: .fallback))
    }
    // With fewer available nodes than replicas a node may hold a fallback beside its own vnodes:
    // another copy on another partition is better than none.
    step = 0
    while !vacant.isEmpty, step < ring.size {
      let candidate = ring.owner(of: PartitionID((first.index + step) % ring.size))
      step += 1
      guard isAvailable(candidate) else { continue }
      replicas.append(Replica(partition: vacant.removeFirst(), node: candidate, role: .fallback))
    }
    return replicas
  }
}
