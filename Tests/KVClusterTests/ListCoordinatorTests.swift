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
    _ scope: ListingScope, n: Int = 1, in fixture: CoordinatorFixture = CoordinatorFixture()
  ) throws -> (ListCoordinator, [Coverage.Question]) {
    let plan = try CoveragePlan.make(in: fixture.view, n: n, start: 0).get()
    var coordinator = ListCoordinator(scope: scope, plan: plan, n: n)
    var actions: [ListCoordinator.Action] = []
    coordinator.start(into: &actions)
    return (coordinator, questions(actions))
  }

  private func questions(_ actions: [ListCoordinator.Action]) -> [Coverage.Question] {
    actions.compactMap { if case .ask(let question) = $0 { question } else { nil } }
  }

  private func isFinished(_ actions: [ListCoordinator.Action]) -> Bool {
    actions.contains { if case .finished = $0 { true } else { false } }
  }

  @Test func `a few vnodes are asked at a time, each page by page`() throws {
    let view = CoordinatorFixture().view
    var (coordinator, asked) = try start(.keys(BucketID(name: [1])))
    #expect(asked.count == Coverage.window)
    let cursor = ObjectKey(bucket: "b", key: "k")
    var actions: [ListCoordinator.Action] = []
    let first = asked.removeFirst()
    coordinator.receive(
      .success(ListReply.Page(names: [[1]], cursor: cursor)), to: first.number, in: view,
      into: &actions)
    #expect(actions.first == .deliver([[1]]))
    #expect(questions(actions).first?.cursor == cursor)
    #expect(questions(actions).first?.part == first.part)
    asked += questions(actions)
    actions = []
    coordinator.receive(
      .success(ListReply.Page(names: [[9]], cursor: nil)), to: first.number, in: view,
      into: &actions)
    #expect(actions.isEmpty, "an answer counts once")
    while let next = asked.popLast() {
      actions = []
      coordinator.receive(
        .success(ListReply.Page(names: [], cursor: nil)), to: next.number, in: view,
        into: &actions)
      asked += questions(actions)
    }
    #expect(actions == [.finished(nil)])
  }

  @Test func `no more is asked while the client takes nothing`() throws {
    let view = CoordinatorFixture().view
    var (coordinator, asked) = try start(.keys(BucketID(name: [1])))
    let cursor = ObjectKey(bucket: "b", key: "k")
    var delivered = 0
    while !asked.isEmpty {
      var actions: [ListCoordinator.Action] = []
      coordinator.receive(
        .success(ListReply.Page(names: [[1]], cursor: cursor)), to: asked.removeFirst().number,
        in: view, into: &actions)
      delivered += actions.count { $0 == .deliver([[1]]) }
      asked += questions(actions)
      #expect(delivered <= ListCoordinator.deliveryLimit + Coverage.window)
    }
    #expect(delivered >= ListCoordinator.deliveryLimit)
    var actions: [ListCoordinator.Action] = []
    for _ in 0..<delivered { coordinator.taken(into: &actions) }
    #expect(!questions(actions).isEmpty, "what was held back is asked now")
  }

  @Test func `buckets are told once and the deadline ends the listing`() throws {
    let view = CoordinatorFixture().view
    var (coordinator, asked) = try start(.buckets(type: BucketID.defaultType))
    var actions: [ListCoordinator.Action] = []
    for question in asked.prefix(2) {
      coordinator.receive(
        .success(ListReply.Page(names: [[1]], cursor: nil)), to: question.number, in: view,
        into: &actions)
    }
    #expect(actions.count { $0 == .deliver([[1]]) } == 1)
    var end: [ListCoordinator.Action] = []
    coordinator.deadlineExpired(into: &end)
    #expect(end == [.finished(.timeout)])
  }

  @Test func `without another replica the loss of a vnode ends the listing`() throws {
    var (coordinator, _) = try start(.keys(BucketID(name: [1])))
    var end: [ListCoordinator.Action] = []
    coordinator.viewChanged(CoordinatorFixture(down: [3]).view, into: &end)
    #expect(end == [.finished(.insufficientVnodes(need: 1, got: 0))])
  }

  /// Listings of a modelled cluster in which vnodes are lost, come back, refuse, stay silent and give
  /// their partitions away: one that ends without an error has told every key once.
  @Test(arguments: 1...60) func `a listing stays complete while vnodes fail and move`(
    seed: Int
  ) throws {
    var random = SeededRandom(seed: UInt64(seed))
    var fixture = CoordinatorFixture()
    let n = 2 + random.below(3)
    let keys = (0..<60).map { ObjectKey(bucket: "b", key: "key \($0)") }.sorted()
    var (coordinator, open) = try start(.keys(keys[0].bucket), n: n, in: fixture)
    var told: [Bytes] = []
    var failure: RequestFailure??
    for _ in 0..<2_000 where failure == nil {
      var actions: [ListCoordinator.Action] = []
      if random.chance(0.1) {
        if random.chance(0.6) {
          fixture.setDown(random.chance(0.7) ? [random.below(5)] : [])
        } else {
          fixture.view.ring.owners[random.below(8)] = fixture.node(random.below(5))
        }
        coordinator.viewChanged(fixture.view, into: &actions)
      } else if !open.isEmpty {
        let question = open.remove(at: random.below(open.count))
        answer(question, keys, &random, &coordinator, fixture.view, &actions)
      }
      for action in actions {
        switch action {
        case .ask(let question): open.append(question)
        case .deliver(let names):
          told += names
          coordinator.taken(into: &actions)
        case .finished(let outcome): failure = .some(outcome)
        }
      }
      open += questions(actions).filter { question in
        !open.contains { $0.number == question.number }
      }
    }
    #expect(Set(told).count == told.count, "a key is told once")
    if failure == .some(nil) { #expect(told.count == keys.count) }
    #expect(failure != nil, "the listing ends")
  }

  private func answer(
    _ question: Coverage.Question, _ keys: [ObjectKey], _ random: inout SeededRandom,
    _ coordinator: inout ListCoordinator, _ view: ClusterView,
    _ actions: inout [ListCoordinator.Action]
  ) {
    if random.chance(0.1) {
      return coordinator.overdue(question.number, in: view, into: &actions)
    }
    guard view.ring.owner(of: question.part.partition) == question.part.node else {
      let refusal = RequestFailure.insufficientVnodes(need: 1, got: 0)
      return coordinator.receive(
        .failure(refusal), to: question.number, in: view, into: &actions)
    }
    let left = keys.filter { key in question.cursor.map { $0 < key } ?? true }
    let page = Array(left.prefix(5))
    let names = page.filter {
      question.part.firstPartitions.contains(view.ring.firstPartition(of: $0))
    }
    coordinator.receive(
      .success(
        ListReply.Page(names: names.map(\.key), cursor: left.count > 5 ? page.last : nil)),
      to: question.number, in: view, into: &actions)
  }
}
