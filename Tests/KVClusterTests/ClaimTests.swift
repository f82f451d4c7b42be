import KVBase
import KVCluster
import Testing

@Suite struct ClaimTests {
  static let names = (0..<48).map { NodeID(name: "n\($0)@host") }

  static func spread(_ claim: Claim, _ claimers: [NodeID]) -> (least: Int, most: Int) {
    let counts = claimers.map { node in claim.owners.count { $0 == node } }
    return (counts.min() ?? 0, counts.max() ?? 0)
  }

  @Test(arguments: [8, 16, 32, 64, 128, 256, 512])
  func `any number of nodes divides a new ring evenly and well spaced`(size: Int) {
    for count in 1...40 where size < 256 || count % 5 == 2 {
      let claimers = Array(Self.names.prefix(count))
      let owners = Array(repeating: Self.names[0], count: size)
      let claim = Claim(owners: owners, claimers: claimers, targetNVal: 4)
      let (least, most) = Self.spread(claim, claimers)
      #expect(most - least <= 1, "\(count) nodes, ring \(size)")
      // Three nodes never divide a power of two, so somewhere the turn is broken.
      if count == 3 {
        #expect(claim.violationCount <= 3)
      } else {
        #expect(claim.violationCount == 0, "\(count) nodes, ring \(size)")
      }
      // The first node keeps its share and no more moves than that allows.
      #expect(claim.movedCount == size - most, "\(count) nodes, ring \(size)")
    }
  }

  @Test(arguments: [8, 16, 32, 64, 128, 256, 512])
  func `nodes that join and leave in turn move little`(size: Int) {
    var random = SeededRandom(seed: UInt64(size))
    var claimers = [Self.names[0]]
    var owners = Array(repeating: Self.names[0], count: size)
    var moved = 0
    var least = 0
    for step in 0..<(size > 128 ? 12 : 50) {
      let before = claimers
      if claimers.count < 2 || (random.below(3) > 0 && claimers.count < 40) {
        let absent = Self.names.filter { !claimers.contains($0) }
        claimers.append(absent[random.below(absent.count)])
      } else {
        claimers.remove(at: random.below(claimers.count))
      }
      let claim = Claim(owners: owners, claimers: claimers, targetNVal: 4)
      let (low, high) = Self.spread(claim, claimers)
      #expect(high - low <= 1, "step \(step), ring \(size), \(claimers.count) nodes")
      if claimers.count != 3 {
        #expect(
          claim.violationCount == 0,
          "step \(step), ring \(size), \(before.count) to \(claimers.count) nodes")
      }
      moved += claim.movedCount
      least += Self.leastMoves(owners, claimers)
      owners = claim.owners
    }
    print("ring \(size): \(moved) partitions moved where balance alone needs \(least)")
    #expect(moved <= least * 4)
  }

  static func leastMoves(_ owners: [NodeID], _ claimers: [NodeID]) -> Int {
    let held = claimers.map { node in owners.count { $0 == node } }.sorted(by: >)
    let share = owners.count / claimers.count
    let extra = owners.count % claimers.count
    let kept = held.enumerated().reduce(0) {
      $0 + min($1.element, share + ($1.offset < extra ? 1 : 0))
    }
    return owners.count - kept
  }

  @Test func `the result does not depend on the order of the claimers`() {
    let owners = (0..<64).map { Self.names[$0 % 5] }
    let claimers = Array(Self.names.prefix(9))
    let claim = Claim(owners: owners, claimers: claimers, targetNVal: 4)
    #expect(claim == Claim(owners: owners, claimers: claimers.reversed(), targetNVal: 4))
  }

  @Test func `three nodes share a preference list in at most two places of 64`() {
    let owners = Array(repeating: Self.names[0], count: 64)
    let claim = Claim(owners: owners, claimers: Array(Self.names.prefix(3)), targetNVal: 4)
    let shared = (0..<64).count { first in
      Set((0..<3).map { claim.owners[(first + $0) % 64] }).count < 3
    }
    #expect(shared <= 2)
    #expect(Claim.sharesNodes(claim.owners, n: 3))
  }

  @Test func `without a change nothing moves`() {
    for count in [1, 2, 3, 4, 5, 8, 13] {
      let claimers = Array(Self.names.prefix(count))
      let owners = Array(repeating: Self.names[0], count: 64)
      let first = Claim(owners: owners, claimers: claimers, targetNVal: 4)
      let again = Claim(owners: first.owners, claimers: claimers, targetNVal: 4)
      #expect(again.movedCount == 0)
    }
  }
}
