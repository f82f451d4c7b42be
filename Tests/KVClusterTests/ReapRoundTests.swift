import KVBase
import KVCluster
import KVModel
import Testing

@Suite struct ReapRoundTests {
  private static func item(_ index: Int) -> ReapItem {
    ReapItem(
      key: ObjectKey(bucket: "b", key: "k\(index)"),
      clock: VersionVector([Dot(actor: VnodeID(rawValue: 1), counter: UInt64(index + 1))]))
  }

  private func begin(
    _ fixture: CoordinatorFixture, items: Int
  ) -> (round: ReapRound, asks: [(to: Address, order: ReapOrder)])? {
    let group = ReapGroup(in: fixture.view, first: fixture.partition(0), n: 3)
    guard
      let round = ReapRound(
        operation: OperationID(rawValue: 5), group: group,
        items: (0..<items).map(Self.item), in: fixture.view)
    else { return nil }
    var actions: [ReapRound.Action] = []
    round.start(into: &actions)
    let asks = actions.compactMap { action -> (to: Address, order: ReapOrder)? in
      if case .ask(let target, let order) = action { (target, order) } else { nil }
    }
    return (round, asks)
  }

  @Test func `every member is asked about all primaries' partitions`() throws {
    let fixture = CoordinatorFixture()
    let (_, asks) = try #require(begin(fixture, items: 2))
    #expect(Set(asks.map(\.to.node)).count == 5)
    #expect(asks.allSatisfy { $0.order.partitions.count == 3 && $0.order.items.count == 2 })
  }

  @Test func `no round begins while a member is away or a partition is on the move`() {
    #expect(begin(CoordinatorFixture(down: [3]), items: 1) == nil)
    var moving = CoordinatorFixture()
    moving.view.transfers = [
      PendingTransfer(
        partition: moving.partition(1), from: moving.node(1), to: moving.node(4))
    ]
    #expect(begin(moving, items: 1) == nil)
    moving.view.transfers[0].partition = moving.partition(5)
    #expect(begin(moving, items: 1) != nil, "other partitions may move")
  }

  @Test(arguments: 1...200) func `only what every vnode consents to is buried, whatever comes when`(
    seed: Int
  ) throws {
    var random = SeededRandom(seed: UInt64(seed))
    let count = 1 + random.below(5)
    var (round, asks) = try #require(begin(CoordinatorFixture(), items: count))
    var refused: Set<Int> = []
    var buried: [ReapOrder] = []
    var finals = 0
    var gone: [ObjectKey] = []
    func take(_ actions: [ReapRound.Action]) {
      for action in actions {
        switch action {
        case .bury(let target, let order):
          buried.append(order)
          #expect(order.partitions.count == 1 && order.group.owners.contains(target.node))
        case .finished(let keys, let open):
          finals += 1
          gone = keys
          #expect(Set(keys).isDisjoint(with: open) && keys.count + open.count == count)
        case .ask, .repair: break
        }
      }
    }
    let refusal: Double = random.chance(0.5) ? 0.03 : 0
    while !asks.isEmpty {
      let ask = asks.remove(at: random.below(asks.count))
      let verdicts = (0..<ask.order.partitions.count * count).map { position -> ReapVerdict in
        guard random.chance(refusal) else { return [.clear, .same, .buried][random.below(3)] }
        refused.insert(position % count)
        return [.absent, .differs, .held, .busy][random.below(4)]
      }
      var actions: [ReapRound.Action] = []
      let vote = ReapVote(operation: OperationID(rawValue: 5), verdicts: verdicts)
      if random.chance(0.2) {
        // Strangers and doubled votes decide nothing.
        round.receive(
          vote, from: Address(node: NodeID(rawValue: 9), shard: ShardIndex(0)), into: &actions)
        #expect(actions.isEmpty)
      }
      round.receive(vote, from: ask.to, into: &actions)
      if random.chance(0.2) { round.receive(vote, from: ask.to, into: &actions) }
      if !asks.isEmpty { #expect(buried.isEmpty && finals == 0) }
      take(actions)
    }
    for order in buried {
      #expect(order.items == (0..<count).filter { !refused.contains($0) }.map(Self.item))
    }
    #expect(buried.count == (refused.count < count ? 3 : 0))
    for order in buried {
      var actions: [ReapRound.Action] = []
      let owner = order.group.owners[
        order.group.partitions(ringSize: 8).firstIndex(of: order.partitions[0]) ?? 0]
      round.receive(
        ReapReceipt(operation: order.operation, count: 1),
        from: Address(node: owner, shard: ShardIndex(0)), into: &actions)
      take(actions)
    }
    #expect(finals == 1)
    #expect(gone.count == count - refused.count)
  }

  @Test func `a member that sees another cluster ends the round`() throws {
    var (round, asks) = try #require(begin(CoordinatorFixture(), items: 1))
    var actions: [ReapRound.Action] = []
    round.receive(
      ReapVote(operation: OperationID(rawValue: 5), verdicts: []), from: asks[0].to,
      into: &actions)
    #expect(actions == [.finished(gone: [], open: [Self.item(0).key])])
    actions = []
    round.deadlineExpired(into: &actions)
    #expect(actions.isEmpty)
  }

  @Test func `a trim retires actors that nobody counts under and no content names`() throws {
    let fixture = CoordinatorFixture()
    let dots = (1...4).map { Dot(actor: VnodeID(rawValue: $0), counter: 3) }
    let item = ReapItem(
      key: fixture.key, clock: VersionVector(dots), siblings: [dots[0]])
    let group = ReapGroup(in: fixture.view, first: fixture.partition(0), n: 3)
    var round = try #require(
      ReapRound(
        operation: OperationID(rawValue: 5), purpose: .trim, group: group, items: [item],
        in: fixture.view))
    var actions: [ReapRound.Action] = []
    round.start(into: &actions)
    let asked = actions
    actions = []
    for case .ask(let target, let order) in asked {
      var vote = ReapVote(
        operation: order.operation, verdicts: order.partitions.map { _ in .same })
      vote.actors = [dots[1].actor]
      round.receive(vote, from: target, into: &actions)
    }
    var orders = actions.compactMap { if case .bury(_, let order) = $0 { order } else { nil } }
    #expect(orders.isEmpty, "a GET may still hold an older copy")
    let drains = actions.compactMap { action -> (to: Address, order: ReapOrder)? in
      if case .ask(let target, let order) = action { (target, order) } else { nil }
    }
    let shards = fixture.view.members.reduce(0) { $0 + $1.shardCount }
    #expect(drains.count == shards && drains.allSatisfy { $0.order.partitions.isEmpty })
    actions = []
    for (index, drain) in drains.enumerated() {
      #expect(actions.isEmpty, "\(index) shards have no GET of it any more")
      let late = ReapVote(operation: drain.order.operation, verdicts: [.same])
      round.receive(late, from: drain.to, into: &actions)
      let vote = ReapVote(operation: drain.order.operation, verdicts: [])
      round.receive(vote, from: drain.to, into: &actions)
    }
    orders = actions.compactMap { if case .bury(_, let order) = $0 { order } else { nil } }
    #expect(orders.count == 3)
    #expect(orders.allSatisfy { $0.items[0].retired == [dots[2].actor, dots[3].actor] })
  }

  @Test func `the queue gives out what is due, in order, once`() {
    var random = SeededRandom(seed: 4)
    var queue = ReapQueue()
    for index in 0..<200 {
      let due = Instant(nanoseconds: UInt64(random.below(1000)))
      queue.add(
        ReapQueue.Candidate(
          key: Self.item(index % 150).key, partition: PartitionID(0), first: PartitionID(0),
          due: due))
    }
    #expect(queue.count == 150)
    let first = queue.takeDue(at: Instant(nanoseconds: 500), limit: .max) { _ in true }
    #expect(first.allSatisfy { $0.due.nanoseconds <= 500 })
    #expect(zip(first, first.dropFirst()).allSatisfy { $0.due <= $1.due })
    queue.retry(first[0], at: Instant(nanoseconds: 500))
    #expect(queue.count == 151 - first.count)
    queue.postpone(dueAt: Instant(nanoseconds: 1000), until: Instant(nanoseconds: 9000))
    #expect(queue.firstDue(at: Instant(nanoseconds: 8999)) == nil)
  }

  @Test func `the queue is bounded and gives up after some rounds`() {
    var queue = ReapQueue()
    for index in 0...ReapQueue.limit {
      let candidate = ReapQueue.Candidate(
        key: Self.item(index).key, partition: PartitionID(0), first: PartitionID(0),
        due: Instant(nanoseconds: 1))
      #expect(queue.add(candidate) == (index < ReapQueue.limit))
    }
    var other = ReapQueue()
    var candidate = ReapQueue.Candidate(
      key: Self.item(0).key, partition: PartitionID(0), first: PartitionID(0),
      due: Instant(nanoseconds: 1))
    for _ in 1..<ReapQueue.attemptLimit {
      other.retry(candidate, at: Instant(nanoseconds: 1))
      candidate = other.takeDue(at: .distantFuture, limit: 1) { _ in true }[0]
    }
    other.retry(candidate, at: Instant(nanoseconds: 1))
    #expect(other.count == 0)
  }
}
