import KVBase

/// Decides who owns each partition after a change of membership.
///
/// The result is balanced (each claimer has the floor or the ceiling of its share), keeps each
/// node's partitions `spacing` apart where an arrangement is found, keeps partitions of nodes at one
/// location `locationSpacing` apart as far as their shares allow, and moves few partitions. The
/// goals count in this order: replicas on one node are lost together, replicas in one rack nearly
/// so (to keep two apart is worth four transfers), and a transfer is paid once. The result follows from the arguments alone.
///
/// Two candidates are made and the better is taken: the present owners changed as little as possible
/// and then repaired by swaps, and a fresh pattern whose nodes are named so that most partitions
/// stay.
///
/// **Source**: the goals are those of Riak's claim (reference section 4.3) and of its location-aware
/// fourth version; the search is our own.
public struct Claim: Hashable, Sendable {
  /// The owners, by partition.
  public var owners: [NodeID]
  /// The spacing that was aimed at: the target, or the number of claimers when that is less.
  public var spacing: Int
  /// The spacing of locations that was aimed at: one less than the target, since a preference list
  /// of N is one shorter than target_n_val, or the number of locations when that is less.
  public var locationSpacing: Int
  /// Pairs of partitions of one node that are closer together than ``spacing``.
  public var violationCount: Int
  /// Pairs of partitions of different nodes of one location that are closer together than
  /// ``locationSpacing``.
  public var locationViolationCount: Int
  /// Partitions whose owner is another than before.
  public var movedCount: Int

  /// The owners after `claimers` divide the partitions of `owners` among them.
  ///
  /// Owners that are not among the claimers lose everything. Nodes without a location share none
  /// with others. Needs at least one claimer. Cost is about ring size² where many partitions move,
  /// and bounded by ``Arrangement/searchBudget`` evaluations for the repairs.
  public init(
    owners: [NodeID], claimers: [NodeID], targetNVal: Int, locations: [NodeID: String] = [:]
  ) {
    precondition(!claimers.isEmpty, "no node claims \(owners.count) partitions")
    let names = claimers.sorted()
    let rules = SpacingRules(
      nodes: names, partitionCount: owners.count, targetNVal: targetNVal, locations: locations)
    let position = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, $0) })
    let before = owners.map { position[$0] ?? -1 }

    var best = Arrangement(before: before, rules: rules)
    best.fillGreedily(quotas: Self.quotas(before, nodeCount: names.count))
    best.repair()
    best.undoNeedlessMoves()
    if best.violations > 0 {
      var pattern = Arrangement(before: before, rules: rules)
      pattern.adopt(StripedPattern(size: owners.count, rules: rules))
      pattern.repair()
      pattern.undoNeedlessMoves()
      if pattern.cost < best.cost { best = pattern }
    }
    self.owners = best.nodes.map { names[$0] }
    spacing = rules.spacing
    locationSpacing = rules.locationSpacing
    (violationCount, locationViolationCount) = best.violationCounts
    movedCount = best.movedCount
  }

  /// The fewest partitions that must move so that `claimers` have equal shares, spacing aside.
  public static func leastMoves(owners: [NodeID], claimers: [NodeID]) -> Int {
    let position = Dictionary(uniqueKeysWithValues: claimers.enumerated().map { ($1, $0) })
    var held = Array(repeating: 0, count: claimers.count)
    for owner in owners {
      if let index = position[owner] { held[index] += 1 }
    }
    held.sort(by: >)
    let (share, extra) = (owners.count / claimers.count, owners.count % claimers.count)
    let kept = held.enumerated().reduce(0) {
      $0 + min($1.element, share + ($1.offset < extra ? 1 : 0))
    }
    return owners.count - kept
  }

  /// How many partitions each node gets: what is left over goes to those that have most now.
  static func quotas(_ before: [Int], nodeCount: Int) -> [Int] {
    var held = Array(repeating: 0, count: nodeCount)
    for node in before where node >= 0 { held[node] += 1 }
    var quotas = Array(repeating: before.count / nodeCount, count: nodeCount)
    let byHolding = (0..<nodeCount).sorted { (held[$1], $0) < (held[$0], $1) }
    for node in byHolding.prefix(before.count % nodeCount) { quotas[node] += 1 }
    return quotas
  }

  /// True when some `n` consecutive partitions of `owners` share a node.
  public static func sharesNodes(_ owners: [NodeID], n: Int) -> Bool {
    owners.indices.contains { index in
      (1..<max(1, min(n, owners.count))).contains {
        owners[index] == owners[(index + $0) % owners.count]
      }
    }
  }
}
