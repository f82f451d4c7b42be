import KVBase

/// Decides who owns each partition after a change of membership.
///
/// The result is balanced (each claimer has the floor or the ceiling of its share), keeps each
/// node's partitions `spacing` apart where an arrangement is found, and moves few partitions. Spacing
/// counts for more than movement: replicas on one node are lost together, a transfer is paid once.
/// The result follows from the arguments alone.
///
/// Two candidates are made and the better is taken: the present owners changed as little as possible
/// and then repaired by swaps, and a fresh pattern whose nodes are named so that most partitions
/// stay.
///
/// **Source**: the goals are those of Riak's claim (reference section 4.3); the search is our own.
public struct Claim: Hashable, Sendable {
  /// The owners, by partition.
  public var owners: [NodeID]
  /// The spacing that was aimed at: the target, or the number of claimers when that is less.
  public var spacing: Int
  /// Pairs of partitions of one node that are closer together than ``spacing``.
  public var violationCount: Int
  /// Partitions whose owner is another than before.
  public var movedCount: Int

  /// The owners after `claimers` divide the partitions of `owners` among them.
  ///
  /// Owners that are not among the claimers lose everything. Needs at least one claimer. Cost is
  /// linear in ring size × claimers where the present owners can be kept, and bounded by
  /// ``Arrangement/searchBudget`` evaluations otherwise.
  public init(owners: [NodeID], claimers: [NodeID], targetNVal: Int) {
    precondition(!claimers.isEmpty, "no node claims \(owners.count) partitions")
    let names = claimers.sorted()
    let spacing = max(1, min(targetNVal, names.count, owners.count))
    let before = owners.map { owner in names.firstIndex(of: owner) ?? -1 }
    let wanted = Self.quotas(before, nodeCount: names.count)

    var best = Arrangement(before: before, nodeCount: names.count, spacing: spacing)
    best.fillGreedily(quotas: wanted)
    best.repair()
    if best.violations > 0 {
      var pattern = Arrangement(before: before, nodeCount: names.count, spacing: spacing)
      pattern.adopt(StripedPattern(size: owners.count, nodeCount: names.count, spacing: spacing))
      if pattern.violations < best.violations { best = pattern }
    }
    best.undoNeedlessMoves()
    self.owners = best.nodes.map { names[$0] }
    self.spacing = spacing
    violationCount = best.violations
    movedCount = zip(best.nodes, before).count { $0 != $1 }
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

/// An assignment of partitions to nodes 0, 1, 2, … under improvement.
struct Arrangement {
  /// Swaps tried when the present owners cannot simply be kept.
  static let searchBudget = 1_000_000

  let before: [Int]
  let nodeCount: Int
  let spacing: Int
  private(set) var nodes: [Int]
  private var random = SeededRandom(seed: 0x5EED)

  init(before: [Int], nodeCount: Int, spacing: Int) {
    self.before = before
    self.nodeCount = nodeCount
    self.spacing = spacing
    nodes = before
  }

  /// Pairs of equal nodes closer together than the spacing.
  var violations: Int { nodes.indices.reduce(0) { $0 + conflicts(at: $1, with: nodes[$1]) } / 2 }

  /// How many partitions within the spacing of `index` belong to `node`.
  private func conflicts(at index: Int, with node: Int) -> Int {
    let size = nodes.count
    var count = 0
    for distance in 1..<max(2, spacing) where distance < spacing {
      let next = index + distance
      if nodes[next < size ? next : next - size] == node { count += 1 }
      let previous = index - distance
      if nodes[previous >= 0 ? previous : previous + size] == node { count += 1 }
    }
    return count
  }

  /// Takes partitions from nodes above their quota and gives all vacant ones away, to the node below
  /// its quota that then has the fewest conflicts.
  mutating func fillGreedily(quotas: [Int]) {
    var room = quotas
    for node in nodes where node >= 0 { room[node] -= 1 }
    let taker = room.indices.filter { room[$0] > 0 }
    let vacant = nodes.indices.filter { nodes[$0] < 0 }
    for index in vacant { give(index, to: taker, room: &room) }
    for node in taker {
      while room[node] > 0, let index = bestDonation(to: node, room: room) {
        room[nodes[index]] += 1
        room[node] -= 1
        nodes[index] = node
      }
    }
  }

  private mutating func give(_ index: Int, to takers: [Int], room: inout [Int]) {
    let open = takers.filter { room[$0] > 0 }
    guard
      let node = open.min(by: {
        (conflicts(at: index, with: $0), -room[$0], $0)
          < (conflicts(at: index, with: $1), -room[$1], $1)
      })
    else { return }
    room[node] -= 1
    nodes[index] = node
  }

  /// The partition of a node above its quota that suits `node` best: no new conflict first, then one
  /// that ends an old conflict, then one from the node furthest above, then soon after the last.
  private func bestDonation(to node: Int, room: [Int]) -> Int? {
    var best: (cost: (Int, Int), index: Int)?
    for index in nodes.indices where nodes[index] >= 0 && room[nodes[index]] < 0 {
      let cost = (
        conflicts(at: index, with: node) * 2 - conflicts(at: index, with: nodes[index]),
        room[nodes[index]]
      )
      if let found = best, found.cost <= cost { continue }
      best = (cost, index)
    }
    return best?.index
  }

  /// Swaps owners until no violation is left or the budget is spent; keeps the best seen.
  mutating func repair() {
    var present = violations
    // With as many nodes as the spacing only a strict rotation fits; swaps do not find it.
    guard present > 0, nodeCount > spacing else { return }
    var best = (nodes, present)
    var budget = Self.searchBudget
    var lastTouched = Array(repeating: -100, count: nodes.count)
    var round = 0
    while present > 0, budget > 0 {
      round += 1
      let conflicted = nodes.indices.filter { conflicts(at: $0, with: nodes[$0]) > 0 }
      let index = conflicted[random.below(conflicted.count)]
      budget -= nodes.count * spacing
      guard let other = bestSwap(of: index, round: round, lastTouched: lastTouched) else {
        continue
      }
      nodes.swapAt(index, other)
      lastTouched[index] = round
      lastTouched[other] = round
      present = violations
      if present < best.1 { best = (nodes, present) }
    }
    nodes = best.0
  }

  /// The partition whose swap with `index` leaves the fewest conflicts, then the fewest moves;
  /// partitions swapped lately are left alone so that the search does not circle.
  private mutating func bestSwap(of index: Int, round: Int, lastTouched: [Int]) -> Int? {
    var best: (cost: (Int, Int), index: Int)?
    var ties = 0
    for other in nodes.indices where nodes[other] != nodes[index] {
      guard round - lastTouched[other] > 6 else { continue }
      let cost = swapCost(index, other)
      if let found = best, found.cost < cost { continue }
      if let found = best, found.cost == cost {
        ties += 1
        guard random.below(ties + 1) == 0 else { continue }
      } else {
        ties = 0
      }
      best = (cost, other)
    }
    return best?.index
  }

  /// How conflicts and moves change when two partitions swap owners.
  private mutating func swapCost(_ a: Int, _ b: Int) -> (Int, Int) {
    let (nodeA, nodeB) = (nodes[a], nodes[b])
    let old = conflicts(at: a, with: nodeA) + conflicts(at: b, with: nodeB)
    nodes.swapAt(a, b)
    let new = conflicts(at: a, with: nodeB) + conflicts(at: b, with: nodeA)
    nodes.swapAt(a, b)
    let moves = moved(a, nodeB) + moved(b, nodeA) - moved(a, nodeA) - moved(b, nodeB)
    return (new - old, moves)
  }

  private func moved(_ index: Int, _ node: Int) -> Int { before[index] == node ? 0 : 1 }

  /// Swaps that bring partitions back to their present owners and cost no spacing.
  mutating func undoNeedlessMoves() {
    var improved = true
    while improved {
      improved = false
      for index in nodes.indices where moved(index, nodes[index]) == 1 {
        let home = before[index]
        for other in nodes.indices where nodes[index] != before[index] {
          let helps = nodes[other] == home || before[other] == nodes[index]
          guard helps, nodes[other] != nodes[index] else { continue }
          let cost = swapCost(index, other)
          guard cost.0 <= 0, cost.1 < 0 else { continue }
          nodes.swapAt(index, other)
          improved = true
        }
      }
    }
  }

  /// Takes a pattern over, naming its nodes so that many partitions keep their owner.
  mutating func adopt(_ pattern: StripedPattern) {
    var overlap = Array(repeating: Array(repeating: 0, count: nodeCount), count: nodeCount)
    for (label, node) in zip(pattern.labels, before) where node >= 0 { overlap[label][node] += 1 }
    var nodeOf = Array(repeating: -1, count: nodeCount)
    var isTaken = Array(repeating: false, count: nodeCount)
    for _ in 0..<nodeCount {
      var best: (count: Int, label: Int, node: Int)?
      for label in 0..<nodeCount where nodeOf[label] < 0 {
        for node in 0..<nodeCount where !isTaken[node] {
          if let found = best, found.count >= overlap[label][node] { continue }
          best = (overlap[label][node], label, node)
        }
      }
      guard let best else { break }
      nodeOf[best.label] = best.node
      isTaken[best.node] = true
    }
    nodes = pattern.labels.map { nodeOf[$0] }
  }
}

/// A balanced pattern of labels that repeats none within the spacing, where one is found.
///
/// Labels in turn around the ring, and for the last partitions an arrangement that also fits the
/// beginning, found by depth-first search. Where the labels are as few as the spacing and do not
/// divide the ring there is none, and the tail is left as it comes.
struct StripedPattern {
  private(set) var labels: [Int]
  private let nodeCount: Int
  private let spacing: Int
  private var stepsLeft = 0

  init(size: Int, nodeCount: Int, spacing: Int) {
    self.nodeCount = nodeCount
    self.spacing = spacing
    labels = (0..<size).map { $0 % nodeCount }
    let rest = size % nodeCount
    guard rest > 0, rest < spacing, nodeCount > spacing else { return }
    let striped = labels
    var tail = rest + nodeCount
    while tail <= size {
      stepsLeft = 100_000
      var room = Array(repeating: 0, count: nodeCount)
      for label in striped.suffix(tail) { room[label] += 1 }
      for index in size - tail..<size { labels[index] = -1 }
      if fill(size - tail, room: &room) { return }
      labels = striped
      tail += nodeCount
    }
  }

  private mutating func fill(_ index: Int, room: inout [Int]) -> Bool {
    guard index < labels.count else { return true }
    stepsLeft -= 1
    guard stepsLeft > 0 else { return false }
    let open = (0..<nodeCount).filter { room[$0] > 0 && fits($0, at: index) }
    for label in open.sorted(by: { (room[$1], $0) < (room[$0], $1) }) {
      labels[index] = label
      room[label] -= 1
      if fill(index + 1, room: &room) { return true }
      room[label] += 1
      labels[index] = -1
    }
    return false
  }

  private func fits(_ label: Int, at index: Int) -> Bool {
    (1..<spacing).allSatisfy { distance in
      labels[(index + distance) % labels.count] != label
        && labels[(index - distance + labels.count) % labels.count] != label
    }
  }
}
