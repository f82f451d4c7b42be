import KVBase

/// An assignment of partitions to nodes 0, 1, 2, … under improvement.
struct Arrangement {
  /// Swaps tried when the present owners cannot simply be kept.
  static let searchBudget = 1_000_000

  /// What a pair of partitions of one node costs, beside one of one location.
  private static let nodeWeight = 1 << 20
  /// Rounds without progress after which the search for better spaced locations ends.
  private static let patience = 60

  let before: [Int]
  let rules: SpacingRules
  private(set) var nodes: [Int]
  private var random = SeededRandom(seed: 0x5EED)

  init(before: [Int], rules: SpacingRules) {
    self.before = before
    self.rules = rules
    nodes = before
  }

  private var spacing: Int { rules.spacing }

  private var nodeCount: Int { rules.locations.count }

  /// The weighted sum of both kinds of violations; 0 when there are none.
  var violations: Int { nodes.indices.reduce(0) { $0 + conflicts(at: $1, with: nodes[$1]) } / 2 }

  /// Partitions whose owner is another than before.
  var movedCount: Int { zip(nodes, before).count { $0 != $1 } }

  /// What tells which of two arrangements is better: the lower.
  var cost: (nodes: Int, locationsAndMoves: Int) {
    let counts = violationCounts
    return (counts.nodes, 4 * counts.locations + movedCount)
  }

  /// Pairs too close together: of one node, and of one location.
  var violationCounts: (nodes: Int, locations: Int) {
    let total = violations
    return (total / Self.nodeWeight, total % Self.nodeWeight)
  }

  /// The weight of the partitions near `index` that are too close to it for `node`.
  private func conflicts(at index: Int, with node: Int) -> Int {
    let size = nodes.count
    let location = node >= 0 ? rules.locations[node] : -1
    var count = 0
    var distance = 1
    while distance < spacing {
      let isNear = distance < rules.locationSpacing
      let next = nodes[index + distance < size ? index + distance : index + distance - size]
      let previous = nodes[index >= distance ? index - distance : index - distance + size]
      count += cost(of: next, beside: node, location, isNear)
      count += cost(of: previous, beside: node, location, isNear)
      distance += 1
    }
    return count
  }

  private func cost(of neighbour: Int, beside node: Int, _ location: Int, _ isNear: Bool) -> Int {
    if neighbour == node { return Self.nodeWeight }
    return isNear && neighbour >= 0 && rules.locations[neighbour] == location ? 1 : 0
  }

  /// Takes partitions from nodes above their quota and gives all vacant ones away, to the node below
  /// its quota that then has the fewest conflicts.
  mutating func fillGreedily(quotas: [Int]) {
    var room = quotas
    for node in nodes where node >= 0 { room[node] -= 1 }
    let taker = room.indices.filter { room[$0] > 0 }
    let vacant = nodes.indices.filter { nodes[$0] < 0 }
    for index in vacant { give(index, to: taker, room: &room) }
    for node in taker where room[node] > 0 { collect(for: node, room: &room) }
  }

  /// Takes what `node` lacks from those above their quota.
  private mutating func collect(for node: Int, room: inout [Int]) {
    var costs = nodes.indices.map { donationCost($0, to: node) }
    while room[node] > 0, let index = bestDonation(costs, room: room) {
      room[nodes[index]] += 1
      room[node] -= 1
      nodes[index] = node
      for distance in -spacing...spacing {
        let near = (index + distance + nodes.count) % nodes.count
        costs[near] = donationCost(near, to: node)
      }
    }
  }

  private func donationCost(_ index: Int, to node: Int) -> Int {
    conflicts(at: index, with: node) * 2 - conflicts(at: index, with: nodes[index])
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

  /// The partition of a node above its quota that suits best: no new conflict first, then one that
  /// ends an old conflict, then one from the node furthest above.
  private func bestDonation(_ costs: [Int], room: [Int]) -> Int? {
    var best: (cost: Int, room: Int, index: Int)?
    for index in nodes.indices where nodes[index] >= 0 && room[nodes[index]] < 0 {
      let (cost, above) = (costs[index], room[nodes[index]])
      if let found = best, (found.cost, found.room) <= (cost, above) { continue }
      best = (cost, above, index)
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
    var sinceProgress = 0
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
      sinceProgress += 1
      if present < best.1 {
        best = (nodes, present)
        sinceProgress = 0
      }
      // Shares that differ may leave no arrangement that keeps locations apart.
      if best.1 < Self.nodeWeight, sinceProgress > Self.patience { break }
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
        for other in nodes.indices where nodes[other] == home || before[other] == nodes[index] {
          guard nodes[index] != home, nodes[other] != nodes[index] else { continue }
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
    let classes = rules.classes
    var nodeOf = Array(repeating: -1, count: nodeCount)
    var isTaken = Array(repeating: false, count: nodeCount)
    for _ in 0..<nodeCount {
      var best: (count: Int, label: Int, node: Int)?
      for label in 0..<nodeCount where nodeOf[label] < 0 {
        for node in 0..<nodeCount where !isTaken[node] && classes[node] == pattern.classes[label] {
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
