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

    mutating func run(
      _ actions: [IndexCoordinator.Action], plan: CoveragePlan, random: inout SeededRandom
    ) {
      var waiting = actions
      while !waiting.isEmpty {
        let action = waiting.remove(at: random.below(waiting.count))
        switch action {
        case .deliver(let entries): told += entries
        case .finished(let failure): end = .some(failure)
        case .ask(let part, let after):
          asked += 1
          let all = (held[part.partition.index] ?? []).filter { entry in
            after.map { $0 < entry } ?? true
          }
          let page = Array(all.prefix(3))
          var next: [IndexCoordinator.Action] = []
          coordinator.receive(
            .success(
              IndexReply.Page(entries: page, cursor: page.count < all.count ? page.last : nil)),
            partition: part.partition, node: part.node, into: &next)
          // What is told must arrive in order.
          for action in next {
            if case .deliver(let entries) = action {
              told += entries
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
      coordinator: IndexCoordinator(query: query, plan: plan, after: after, limit: limit),
      held: held)
    var actions: [IndexCoordinator.Action] = []
    world.coordinator.start(into: &actions)
    world.run(actions, plan: plan, random: &random)
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

  @Test func `a refusal, a lost vnode or the deadline ends the query once`() throws {
    let plan = try CoveragePlan.make(in: CoordinatorFixture().view, n: 1, start: 0).get()
    let fresh = IndexCoordinator(query: query, plan: plan, after: nil, limit: nil)
    func end(_ step: (inout IndexCoordinator, inout [IndexCoordinator.Action]) -> Void)
      -> [IndexCoordinator.Action]
    {
      var coordinator = fresh
      var actions: [IndexCoordinator.Action] = []
      coordinator.start(into: &actions)
      actions = []
      step(&coordinator, &actions)
      coordinator.deadlineExpired(into: &actions)
      return actions
    }
    #expect(end { _, _ in } == [.finished(.timeout)])
    #expect(
      end {
        $0.receive(
          .failure(.storage("x")), partition: plan.parts[0].partition, node: plan.parts[0].node,
          into: &$1)
      } == [.finished(.storage("x"))])
    #expect(
      end { $0.viewChanged(CoordinatorFixture(down: [3]).view, into: &$1) }
        == [.finished(.insufficientVnodes(need: 1, got: 0))])
  }
}
