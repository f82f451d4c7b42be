/// How far apart partitions of one node and of one location are to be.
struct SpacingRules: Hashable, Sendable {
  /// Consecutive partitions that should be on different nodes.
  let spacing: Int
  /// Consecutive partitions that should be at different locations.
  let locationSpacing: Int
  /// Each node's location, as a number; a node without one has a number to itself.
  let locations: [Int]
  /// The same, but equal for all nodes that have a location to themselves: those may trade places
  /// in a pattern.
  let classes: [Int]

  init(
    nodes: [NodeID], partitionCount: Int, targetNVal: Int, locations names: [NodeID: String]
  ) {
    spacing = max(1, min(targetNVal, nodes.count, partitionCount))
    var numbers: [String: Int] = [:]
    var locations: [Int] = []
    for (index, node) in nodes.enumerated() {
      let name = names[node] ?? ""
      let number = name.isEmpty ? index : numbers[name] ?? index
      if !name.isEmpty { numbers[name] = number }
      locations.append(number)
    }
    self.locations = locations
    var sizes = Array(repeating: 0, count: nodes.count)
    for location in locations { sizes[location] += 1 }
    classes = locations.map { sizes[$0] > 1 ? $0 : -1 }
    let distinct = sizes.count { $0 > 0 }
    locationSpacing = distinct == nodes.count ? 1 : max(1, min(targetNVal - 1, spacing, distinct))
  }

  /// The nodes in an order that spreads each location evenly.
  var interleaved: [Int] {
    var sizes = Array(repeating: 0, count: locations.count)
    for location in locations { sizes[location] += 1 }
    var seen = Array(repeating: 0, count: locations.count)
    var places: [(place: Double, node: Int)] = []
    for (node, location) in locations.enumerated() {
      let place = (Double(seen[location]) + 0.5) / Double(sizes[location])
      seen[location] += 1
      places.append((place, node))
    }
    return places.sorted { ($0.place, locations[$0.node]) < ($1.place, locations[$1.node]) }
      .map(\.node)
  }
}

/// A balanced pattern of labels that repeats none within the spacing, where one is found.
///
/// Labels in turn around the ring, and for the last partitions an arrangement that also fits the
/// beginning, found by depth-first search. Where the labels are as few as the spacing and do not
/// divide the ring there is none, and the tail is left as it comes.
struct StripedPattern {
  private(set) var labels: [Int]
  /// The class of the node that each label must stand for.
  let classes: [Int]
  private let nodeCount: Int
  private let spacing: Int
  private var stepsLeft = 0

  init(size: Int, rules: SpacingRules) {
    let nodeCount = rules.locations.count
    let spacing = rules.spacing
    self.nodeCount = nodeCount
    self.spacing = spacing
    classes = rules.interleaved.map { rules.classes[$0] }
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
