import KVBase
import KVCluster
import KVModel
import Testing

@Suite struct IndexCoordinatorTests {
  private let query = IndexQuery(
    bucket: BucketID(name: [1]), field: Bytes("a_bin".utf8), lower: [], upper: nil)

  /// Vnodes that hold hits, and a client that collects what it is told.
  private struct World {
    var coordinator: IndexCoordinator
    var held: [Int: [IndexEntry]]
    var told: [IndexEntry] = []
    var end: RequestFailure??
    var asked = 0

    mutating func run(_ actions: [IndexCoordinator.Action], random: inout SeededRandom) {
      let view = CoordinatorFixture().view
      var waiting = actions
      while !waiting.isEmpty {
        let action = waiting.remove(at: random.below(waiting.count))
        switch action {
        case .deliver(let entries):
          told += entries
          coordinator.taken(into: &waiting)
        case .finished(let failure): end = .some(failure)
        case .ask(let question):
          asked += 1
          let all = (held[question.part.partition.index] ?? []).filter { entry in
            question.after.map { $0 < entry } ?? true
          }
          let page = Array(all.prefix(3))
          var next: [IndexCoordinator.Action] = []
          coordinator.receive(
            .success(
              IndexReply.Page(entries: page, cursor: page.count < all.count ? page.last : nil)),
            to: question.number, in: view, into: &next)
          // What is told must arrive in order.
          for action in next {
            if case .deliver(let entries) = action {
              told += entries
              coordinator.taken(into: &waiting)
            } else {
              waiting.append(action)
            }
          }
        }
      }
    }
  }

  private func run(
    seed: UInt64, after: IndexEntry? = nil, limit: Int?
  ) throws -> (world: World, all: [IndexEntry]) {
    var random = SeededRandom(seed: seed)
    let plan = try CoveragePlan.make(in: CoordinatorFixture().view, n: 1, start: 0).get()
    var held: [Int: [IndexEntry]] = [:]
    for number in 0..<random.below(60) {
      let entry = IndexEntry(term: [UInt8(random.below(5))], key: [UInt8(number)])
      held[plan.parts[random.below(plan.parts.count)].partition.index, default: []].append(entry)
    }
    held = held.mapValues { $0.sorted() }
    var world = World(
      coordinator: IndexCoordinator(query: query, plan: plan, n: 1, after: after, limit: limit),
      held: held)
    var actions: [IndexCoordinator.Action] = []
    world.coordinator.start(into: &actions)
    world.run(actions, random: &random)
    return (world, held.values.flatMap { $0 }.sorted())
  }

  @Test func `hits of all vnodes are told in order, each once`() throws {
    for seed in UInt64(1)...60 {
      let (world, all) = try run(seed: seed, limit: nil)
      #expect(world.told == all, "seed \(seed)")
      #expect(world.end == .some(nil))
    }
  }

  @Test func `a limit ends the query, and what follows can be asked for`() throws {
    for seed in UInt64(1)...60 {
      var after: IndexEntry?
      var told: [IndexEntry] = []
      var all: [IndexEntry] = []
      repeat {
        let (world, held) = try run(seed: seed, after: after, limit: 7)
        all = held
        #expect(world.told.count <= 7)
        told += world.told
        after = world.told.count == 7 ? world.told.last : nil
      } while after != nil
      #expect(told == all, "seed \(seed)")
    }
  }

  @Test func `without another replica a refusal, a lost vnode or the deadline ends the query once`()
    throws
  {
    let view = CoordinatorFixture().view
    let plan = try CoveragePlan.make(in: view, n: 1, start: 0).get()
    let fresh = IndexCoordinator(query: query, plan: plan, n: 1, after: nil, limit: nil)
    func end(_ step: (inout IndexCoordinator, inout [IndexCoordinator.Action]) -> Void)
      -> [IndexCoordinator.Action]
    {
      var coordinator = fresh
      var actions: [IndexCoordinator.Action] = []
      coordinator.start(into: &actions)
      actions = []
      step(&coordinator, &actions)
      coordinator.deadlineExpired(into: &actions)
      return actions.filter { if case .finished = $0 { true } else { false } }
    }
    #expect(end { _, _ in } == [.finished(.timeout)])
    #expect(
      end { coordinator, actions in
        for number in UInt32(0)..<100 {
          coordinator.receive(
            .failure(.storage("x")), to: number, in: view, into: &actions)
        }
      } == [.finished(.storage("x"))])
    #expect(
      end { $0.viewChanged(CoordinatorFixture(down: [3]).view, into: &$1) }
        == [.finished(.insufficientVnodes(need: 1, got: 0))])
  }

  @Test func `no more is told or asked while the client takes nothing`() throws {
    let view = CoordinatorFixture().view
    let plan = try CoveragePlan.make(in: view, n: 1, start: 0).get()
    var coordinator = IndexCoordinator(query: query, plan: plan, n: 1, after: nil, limit: nil)
    var actions: [IndexCoordinator.Action] = []
    coordinator.start(into: &actions)
    var told = 0
    for round in UInt8(0)..<100 {
      let asked = actions.compactMap { if case .ask(let question) = $0 { question } else { nil } }
      actions = []
      for (index, question) in asked.enumerated() {
        let hit = IndexEntry(term: [round], key: [UInt8(index)])
        coordinator.receive(
          .success(IndexReply.Page(entries: [hit], cursor: hit)), to: question.number, in: view,
          into: &actions)
      }
      told += actions.count { if case .deliver = $0 { true } else { false } }
    }
    #expect(actions.isEmpty)
    #expect(told == IndexCoordinator.deliveryLimit)
    coordinator.taken(into: &actions)
    #expect(!actions.isEmpty, "what was held back goes on")
  }

  /// Queries of a modelled cluster in which vnodes are lost, come back, refuse, stay silent and give
  /// their partitions away: what is told is in order and whole up to where it ends.
  @Test(arguments: 1...100) func `a query stays complete while vnodes fail and move`(
    seed: Int
  ) throws {
    var random = SeededRandom(seed: UInt64(seed))
    var fixture = CoordinatorFixture()
    let n = 2 + random.below(3)
    let hits = Set(
      (0..<60).map { number in
        IndexEntry(term: [UInt8(random.below(9))], key: Bytes("key \(number)".utf8))
      }
    ).sorted()
    let plan = try CoveragePlan.make(in: fixture.view, n: n, start: random.below(8)).get()
    let limit = random.chance(0.3) ? random.below(hits.count) : nil
    var coordinator = IndexCoordinator(
      query: query, plan: plan, n: n, after: nil, limit: limit)
    var actions: [IndexCoordinator.Action] = []
    coordinator.start(into: &actions)
    var open: [IndexCoordinator.Question] = []
    var told: [IndexEntry] = []
    var end: RequestFailure??
    for _ in 0..<2_000 where end == nil {
      while !actions.isEmpty {
        switch actions.removeFirst() {
        case .ask(let question): open.append(question)
        case .deliver(let entries):
          told += entries
          coordinator.taken(into: &actions)
        case .finished(let failure): end = .some(failure)
        }
      }
      if random.chance(0.1) {
        if random.chance(0.6) {
          fixture.setDown(random.chance(0.7) ? [random.below(5)] : [])
        } else {
          fixture.view.ring.owners[random.below(8)] = fixture.node(random.below(5))
        }
        coordinator.viewChanged(fixture.view, into: &actions)
      } else if !open.isEmpty {
        let question = open.remove(at: random.below(open.count))
        answer(question, hits, &random, &coordinator, fixture.view, &actions)
      }
    }
    #expect(end != nil, "the query ends")
    #expect(told == Array(hits.prefix(told.count)), "in order, each once, none left out")
    if end == .some(nil) { #expect(told.count == limit ?? hits.count) }
  }

  private func answer(
    _ question: IndexCoordinator.Question, _ hits: [IndexEntry], _ random: inout SeededRandom,
    _ coordinator: inout IndexCoordinator, _ view: ClusterView,
    _ actions: inout [IndexCoordinator.Action]
  ) {
    if random.chance(0.1) {
      return coordinator.overdue(question.number, in: view, into: &actions)
    }
    guard view.ring.owner(of: question.part.partition) == question.part.node else {
      let refusal = RequestFailure.insufficientVnodes(need: 1, got: 0)
      return coordinator.receive(
        .failure(refusal), to: question.number, in: view, into: &actions)
    }
    let left = hits.filter { hit in question.after.map { $0 < hit } ?? true }
    let page = Array(left.prefix(5))
    let told = page.filter { hit in
      question.part.firstPartitions.contains(
        view.ring.firstPartition(of: ObjectKey(bucket: query.bucket, key: hit.key)))
    }
    coordinator.receive(
      .success(IndexReply.Page(entries: told, cursor: left.count > 5 ? page.last : nil)),
      to: question.number, in: view, into: &actions)
  }
}
