import KVBase
import KVCluster
import Testing

/// The claim's promises over the whole range of sizes; a few sizes of each in the short form.
@Suite struct LocationClaimTests {
  static let names = (0..<200).map { NodeID(name: "n\($0)@host") }

  static func locations(_ nodes: [NodeID], _ count: Int) -> [NodeID: String] {
    var locations: [NodeID: String] = [:]
    for node in nodes {
      locations[node] = "rack\((names.firstIndex(of: node) ?? 0) % count)"
    }
    return locations
  }

  static func isBalanced(_ claim: Claim, _ nodes: [NodeID]) -> Bool {
    var held: [NodeID: Int] = [:]
    for owner in claim.owners { held[owner, default: 0] += 1 }
    let counts = nodes.map { held[$0] ?? 0 }
    return (counts.max() ?? 0) - (counts.min() ?? 0) <= 1
      && counts.reduce(0, +) == claim.owners.count
  }

  /// Pairs of partitions too close together, counted from the owners: of one node, of one location.
  static func closePairs(
    _ claim: Claim, _ locations: [NodeID: String] = [:]
  ) -> (nodes: Int, locations: Int) {
    var found = (nodes: 0, locations: 0)
    let owners = claim.owners
    for index in owners.indices {
      for distance in 1..<max(2, claim.spacing) {
        let (one, other) = (owners[index], owners[(index + distance) % owners.count])
        if one == other, distance < claim.spacing { found.nodes += 1 }
        guard one != other, distance < claim.locationSpacing, let location = locations[one] else {
          continue
        }
        if location == locations[other] { found.locations += 1 }
      }
    }
    return found
  }

  /// What a claim says of itself is what its owners show.
  static func isHonest(_ claim: Claim, _ locations: [NodeID: String] = [:]) -> Bool {
    closePairs(claim, locations) == (claim.violationCount, claim.locationViolationCount)
  }

  /// The pairs that shares alone force: a location with more than its part of the ring.
  static func unavoidable(_ claim: Claim, _ locations: [NodeID: String]) -> Int {
    var held: [String: Int] = [:]
    for owner in claim.owners { held[locations[owner] ?? "", default: 0] += 1 }
    return held.values.reduce(0) {
      $0 + max(0, $1 * claim.locationSpacing - claim.owners.count)
    }
  }

  @Test(arguments: Ring.sizes)
  func `any number of nodes from 1 to 200 divides any ring`(size: Int) {
    for count in [1, 2, 4, 5, 6, 7, 9, 16, 31, 50, 128, 200]
    where size <= 512 || [5, 31, 200].contains(count) {
      let nodes = Array(Self.names.prefix(count))
      let claim = Claim(
        owners: Array(repeating: nodes[0], count: size), claimers: nodes, targetNVal: 4)
      #expect(Self.isBalanced(claim, nodes), "\(count) nodes, ring \(size)")
      #expect(claim.violationCount == 0, "\(count) nodes, ring \(size)")
      #expect(Self.isHonest(claim), "\(count) nodes, ring \(size)")
      #expect(
        claim.movedCount
          == Claim.leastMoves(
            owners: Array(repeating: nodes[0], count: size), claimers: nodes))
    }
  }

  @Test(arguments: [8, 32, 64, 256, 1024])
  func `equal locations are kept apart`(size: Int) {
    for racks in [2, 3, 4, 5] {
      for perRack in [1, 2, 3, 8] where racks * perRack > 3 && racks * perRack <= size / 2 {
        guard size <= 256 || perRack == 3 else { continue }
        let nodes = Array(Self.names.prefix(racks * perRack))
        let locations = Self.locations(nodes, racks)
        let claim = Claim(
          owners: Array(repeating: nodes[0], count: size), claimers: nodes, targetNVal: 4,
          locations: locations)
        #expect(claim.locationSpacing == (perRack == 1 ? 1 : min(3, racks)))
        #expect(Self.isBalanced(claim, nodes))
        #expect(claim.violationCount == 0, "\(racks) racks of \(perRack), ring \(size)")
        #expect(Self.isHonest(claim, locations), "\(racks) racks of \(perRack), ring \(size)")
        let least = Self.unavoidable(claim, locations)
        #expect(
          claim.locationViolationCount <= 2 * least + 2,
          "\(racks) racks of \(perRack), ring \(size): shares force \(least)")
      }
    }
  }

  @Test func `unequal locations share as few preference lists as their shares allow`() {
    var random = SeededRandom(seed: 3)
    for _ in 0..<12 {
      let count = 5 + random.below(12)
      let nodes = Array(Self.names.prefix(count))
      var locations: [NodeID: String] = [:]
      for node in nodes { locations[node] = "rack\(random.below(4))" }
      let claim = Claim(
        owners: Array(repeating: nodes[0], count: 128), claimers: nodes, targetNVal: 4,
        locations: locations)
      #expect(Self.isBalanced(claim, nodes))
      #expect(claim.violationCount == 0)
      #expect(Self.isHonest(claim, locations))
      let least = Self.unavoidable(claim, locations)
      #expect(claim.locationViolationCount <= 2 * least + 12)
    }
  }

  @Test func `a location that is given later moves no more than it must`() {
    let nodes = Array(Self.names.prefix(6))
    let fresh = Claim(
      owners: Array(repeating: nodes[0], count: 64), claimers: nodes, targetNVal: 4)
    let locations = Self.locations(nodes, 3)
    let located = Claim(
      owners: fresh.owners, claimers: nodes, targetNVal: 4, locations: locations)
    // 64 partitions give some rack 22, one more than fits three apart.
    #expect(located.locationViolationCount <= 2)
    #expect(located.movedCount < 52)
    let again = Claim(
      owners: located.owners, claimers: nodes, targetNVal: 4, locations: locations)
    #expect(again.movedCount == 0)
    // A location of one's own is none that is shared.
    let alone = Dictionary(uniqueKeysWithValues: nodes.map { ($0, "site of \($0.rawValue)") })
    #expect(
      Claim(owners: fresh.owners, claimers: nodes, targetNVal: 4, locations: alone).movedCount == 0)
  }

  /// Joins and leaves one after the other, with and without racks; what moved is reported beside
  /// what balance alone would move.
  static func churn(size: Int, racks: Int, steps: Int, nodes limit: Int) -> (Int, Int, Bool) {
    var random = SeededRandom(seed: UInt64(size + racks))
    var claimers = Array(names.prefix(6))
    var locations = racks > 0 ? locations(names, racks) : [:]
    if racks == 0 { locations = [:] }
    var owners = Claim(
      owners: Array(repeating: names[0], count: size), claimers: claimers, targetNVal: 4,
      locations: locations
    ).owners
    var (moved, least, isSound) = (0, 0, true)
    for _ in 0..<steps {
      if claimers.count < 5 || (random.below(3) > 0 && claimers.count < limit) {
        let absent = names.prefix(limit + 4).filter { !claimers.contains($0) }
        claimers.append(absent[random.below(absent.count)])
      } else {
        claimers.remove(at: random.below(claimers.count))
      }
      let claim = Claim(
        owners: owners, claimers: claimers, targetNVal: 4, locations: locations)
      isSound =
        isSound && isBalanced(claim, claimers) && claim.violationCount == 0
        && isHonest(claim, locations)
      moved += claim.movedCount
      least += Claim.leastMoves(owners: owners, claimers: claimers)
      owners = claim.owners
    }
    return (moved, least, isSound)
  }

  @Test(arguments: [64, 256])
  func `joins and leaves move little`(size: Int) {
    for racks in [0, 3, 5] {
      let (moved, least, isSound) = Self.churn(
        size: size, racks: racks, steps: size > 64 ? 8 : 25, nodes: 20)
      print("ring \(size), \(racks) racks: moved \(moved), balance alone \(least)")
      #expect(isSound)
      #expect(moved <= least * (racks == 0 ? 3 : 5))
    }
  }
}
