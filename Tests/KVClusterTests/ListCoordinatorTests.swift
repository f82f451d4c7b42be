import KVBase
import KVCluster
import KVModel
import Testing

@Suite struct ListCoordinatorTests {
  @Test func `a cover tells every key range once, by a vnode that holds it: section 4-8`() throws {
    var random = SeededRandom(seed: 3)
    for _ in 0..<200 {
      var fixture = CoordinatorFixture()
      let n = 1 + random.below(4)
      if n > 1, random.chance(0.7) { fixture.setDown([random.below(4)]) }
      let start = random.below(8)
      let plan = try CoveragePlan.make(in: fixture.view, n: n, start: start).get()
      let all = plan.parts.flatMap(\.firstPartitions)
      #expect(all.map(\.index).sorted() == Array(0..<8))
      for part in plan.parts {
        #expect(fixture.view.isAvailable(part.node))
        #expect(fixture.view.ring.owner(of: part.partition) == part.node)
        for first in part.firstPartitions {
          #expect((part.partition.index - first.index + 8) % 8 < n)
        }
      }
    }
  }

  @Test func `without an owner for some keys there is no cover`() {
    let fixture = CoordinatorFixture(down: [1])
    #expect(
      CoveragePlan.make(in: fixture.view, n: 1, start: 0)
        == .failure(.insufficientVnodes(need: 1, got: 0)))
  }

  private func start(
    _ scope: ListingScope
  ) throws -> (ListCoordinator, CoveragePlan, [ListCoordinator.Action]) {
    let plan = try CoveragePlan.make(in: CoordinatorFixture().view, n: 1, start: 0).get()
    var coordinator = ListCoordinator(scope: scope, plan: plan)
    var actions: [ListCoordinator.Action] = []
    coordinator.start(into: &actions)
    return (coordinator, plan, actions)
  }

  @Test func `a few vnodes are asked at a time, each page by page`() throws {
    var (coordinator, plan, actions) = try start(.keys(BucketID(name: [1])))
    #expect(actions.count == ListCoordinator.window)
    let cursor = ObjectKey(bucket: "b", key: "k")
    actions = []
    func reply(_ index: Int, _ page: ListReply.Page) {
      coordinator.receive(
        .success(page), partition: plan.parts[index].partition, node: plan.parts[index].node,
        into: &actions)
    }
    reply(0, ListReply.Page(names: [[1]], cursor: cursor))
    #expect(actions == [.deliver([[1]]), .ask(plan.parts[0], cursor: cursor)])
    actions = []
    reply(7, ListReply.Page(names: [[9]], cursor: nil))
    #expect(actions.isEmpty, "a vnode that was not asked")
    for index in 0..<8 { reply(index, ListReply.Page(names: [], cursor: nil)) }
    #expect(actions.last == .finished(nil))
    #expect(actions.count { if case .finished = $0 { true } else { false } } == 1)
  }

  @Test func `buckets are told once and a lost vnode or the deadline ends the listing`() throws {
    var (coordinator, plan, actions) = try start(.buckets(type: BucketID.defaultType))
    actions = []
    for part in plan.parts.prefix(2) {
      coordinator.receive(
        .success(ListReply.Page(names: [[1]], cursor: nil)), partition: part.partition,
        node: part.node, into: &actions)
    }
    #expect(actions.count { $0 == .deliver([[1]]) } == 1)
    var late = coordinator
    var end: [ListCoordinator.Action] = []
    late.deadlineExpired(into: &end)
    #expect(end == [.finished(.timeout)])
    end = []
    coordinator.viewChanged(CoordinatorFixture(down: [3]).view, into: &end)
    #expect(end == [.finished(.insufficientVnodes(need: 1, got: 0))])
  }
}
