import KVBase
import KVModel
import Testing

@testable import KVCluster

@Suite struct RingPlanTests {
  static func member(_ index: Int) -> Member { MembershipEncodingTests.member("n\(index)@h") }

  @Test func `any sequence of staged changes keeps the ring sound`() {
    for seed in 0..<60 as Range<UInt64> {
      var random = SeededRandom(seed: seed)
      var state = RingState(singleton: Self.member(0), ringSize: 16, clusterID: seed)
      for step in 0..<30 {
        Self.change(&state, &random)
        state.settle()
        #expect(state.invariantViolation == nil, "seed \(seed) step \(step)")
      }
    }
  }

  static func change(_ state: inout RingState, _ random: inout SeededRandom) {
    let index = random.below(8)
    let name = member(index).name
    switch random.below(8) {
    case 0, 1: if state.member(named: name) == nil { _ = state.stageJoin(member(index)) }
    case 2: _ = state.stageLeave(name)
    case 3: _ = state.stageForceRemove(name)
    case 4: _ = state.stageReplace(name, with: member(random.below(8)).name)
    case 5: state.clearStaged()
    case 6:
      if !state.transfers.isEmpty {
        _ = state.complete(state.transfers[random.below(state.transfers.count)])
      }
    default: state = RingPlan(for: state, targetNVal: 4)?.next ?? state
    }
    // The claimant never goes without an heir; that is the membership's part.
    if state.member(state.claimant)?.status == .exiting {
      state.claimant = state.members.first { $0.status == .valid }?.id ?? state.claimant
    }
    for node in state.members where node.status == .exiting && node.id != state.claimant {
      state.remove(node.id)
    }
  }

  static func committed(_ state: RingState) throws -> RingState {
    try #require(RingPlan(for: state, targetNVal: 4)).next
  }

  @Test func `plans are equal as long as nothing that matters changes`() throws {
    var state = RingState(singleton: Self.member(0), ringSize: 64, clusterID: 1)
    for index in 1..<4 { _ = state.stageJoin(Self.member(index)) }
    state = try Self.committed(state)
    _ = state.stageLeave(Self.member(2).name)
    let before = RingPlan(for: state, targetNVal: 4)?.digest
    // A transfer of the earlier commit ends: the ring it leads to is the same.
    _ = state.complete(state.transfers[0])
    #expect(RingPlan(for: state, targetNVal: 4)?.digest == before)
    _ = state.stageLeave(Self.member(3).name)
    #expect(RingPlan(for: state, targetNVal: 4)?.digest != before)
  }

  @Test func `partitions of a node that is down move at once`() throws {
    var state = RingState(singleton: Self.member(0), ringSize: 8, clusterID: 1)
    _ = state.stageJoin(Self.member(1))
    state = try Self.committed(state)
    #expect(state.transfers.count == 4)
    // While nobody would own anything there is no plan.
    var empty = state
    for index in empty.members.indices { empty.members[index].status = .leaving }
    #expect(RingPlan(for: empty, targetNVal: 4)?.digest == nil)
    state.claimant = Self.member(1).id
    state.setStatus(.down, of: Self.member(0).id)
    state.settle()
    #expect(state.transfers.isEmpty)
    #expect(state.owners.count { $0 == Self.member(1).id } == 4)
  }
}
