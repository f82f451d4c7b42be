public import KVModel

/// Which vnodes together hold every key of the ring, and which keys each of them is to tell.
///
/// **Source**: reference section 4.8.
public struct CoveragePlan: Hashable, Sendable {
  /// One vnode and the first partitions of the keys it is to tell.
  public struct Part: Hashable, Sendable {
    /// The vnode's partition.
    public var partition: PartitionID
    /// The vnode's node.
    public var node: NodeID
    /// Keys whose preference list starts here.
    public var firstPartitions: [PartitionID]
  }

  /// One vnode.
  struct Vnode: Hashable, Sendable {
    var partition: PartitionID
    var node: NodeID
  }

  /// The vnodes, each key range assigned to exactly one.
  public private(set) var parts: [Part] = []

  /// A cover for keys with `n` replicas; `start` spreads the load of different listings.
  ///
  /// Fails when some keys have no available owner.
  public static func make(
    in view: ClusterView, n: Int, start: Int
  ) -> Result<CoveragePlan, RequestFailure> {
    let size = view.ring.size
    let n = min(n, size)
    var plan = CoveragePlan()
    var covered = 0
    while covered < size {
      let first = start + covered
      // The last owner of this range that is up covers the most ranges after it.
      guard
        let reach = (0..<n).last(where: { step in
          view.isAvailable(view.ring.owner(of: PartitionID((first + step) % size)))
        })
      else {
        return .failure(.insufficientVnodes(need: 1, got: 0))
      }
      let count = min(reach + 1, size - covered)
      let partition = PartitionID((first + reach) % size)
      plan.parts.append(
        Part(
          partition: partition, node: view.ring.owner(of: partition),
          firstPartitions: (0..<count).map { PartitionID((first + $0) % size) }))
      covered += count
    }
    return .success(plan)
  }
}

extension CoveragePlan {
  /// The parts that take over what `part` was to tell, without the vnodes `avoided`; nil when some of
  /// its keys have no other available owner.
  ///
  /// Each new part is the last allowed owner of its first range, which covers the most ranges after it.
  static func parts(
    instead part: Part, avoiding avoided: [Vnode], n: Int, in view: ClusterView
  ) -> [Part]? {
    let size = view.ring.size
    let n = min(n, size)
    var parts: [Part] = []
    var left = part.firstPartitions[...]
    while let first = left.first {
      guard
        let reach = (0..<n).last(where: { step in
          let partition = PartitionID((first.index + step) % size)
          let owner = view.ring.owner(of: partition)
          return view.isAvailable(owner)
            && !avoided.contains(Vnode(partition: partition, node: owner))
        })
      else { return nil }
      let partition = PartitionID((first.index + reach) % size)
      let covered = left.prefix { (partition.index - $0.index + size) % size <= reach }
      parts.append(
        Part(
          partition: partition, node: view.ring.owner(of: partition),
          firstPartitions: Array(covered)))
      left = left.dropFirst(covered.count)
    }
    return parts
  }
}
