import KVBase
import KVCluster
import KVModel
import Testing

@Suite struct GetCoordinatorTests {
  typealias Outcome = Result<KVObject, RequestFailure>
  static let old = CoordinatorFixture.object("old")
  static let new = CoordinatorFixture.object("new", 2, after: old)
  static let nothing = KVObject()

  /// Runs one GET: replies of the replicas in preference order; nil for none.
  private func run(
    _ replies: [ReplicaReading?], fixture: CoordinatorFixture = CoordinatorFixture(),
    _ change: (inout GetOptions) -> Void = { _ in }
  ) throws -> (actions: [GetCoordinator.Action], coordinator: GetCoordinator) {
    var options = GetOptions()
    change(&options)
    let plan = try GetPlan.make(for: fixture.key, options: options, in: fixture.view).get()
    var coordinator = GetCoordinator(
      key: fixture.key, plan: plan, headOnly: options.headOnly, inlineByteLimit: 1000)
    var actions: [GetCoordinator.Action] = []
    coordinator.start(into: &actions)
    for (replica, reply) in zip(plan.replicas, replies) {
      guard let reply else { continue }
      coordinator.receive(
        reply, partition: replica.partition, node: replica.node, into: &actions)
    }
    return (actions, coordinator)
  }

  private func answers(_ actions: [GetCoordinator.Action]) -> [Outcome] {
    actions.compactMap { if case .answer(let result) = $0 { result } else { nil } }
  }

  private func outcome(
    _ replies: [ReplicaReading?], fixture: CoordinatorFixture = CoordinatorFixture(),
    _ change: (inout GetOptions) -> Void = { _ in }
  ) throws -> Outcome? {
    let all = answers(try run(replies, fixture: fixture, change).actions)
    #expect(all.count <= 1)
    return all.first
  }

  @Test func `R replies are awaited and merged: section 1-4 r`() throws {
    #expect(try outcome([Self.old.whole]) == nil)
    #expect(try outcome([Self.old.whole, Self.new.whole]) == .success(Self.new))
    #expect(try outcome([Self.old.whole]) { $0.r = .one } == .success(Self.old))
    let all = try outcome([Self.old.whole, Self.old.whole, Self.new.whole]) { $0.r = .all }
    #expect(all == .success(Self.new))
  }

  @Test func `not found counts towards R by default: section 1-4 notfound_ok`() throws {
    #expect(try outcome([.notFound, .notFound]) == .success(Self.nothing))
    #expect(try outcome([.notFound, Self.new.whole]) == .success(Self.new))
    let strict: (inout GetOptions) -> Void = { $0.notFoundOK = false }
    #expect(try outcome([.notFound], strict) == nil)
    #expect(try outcome([.notFound, .notFound], strict) == .success(Self.nothing))
    #expect(try outcome([.notFound, Self.new.whole], strict) == nil)
    #expect(
      try outcome([.notFound, Self.new.whole, .notFound], strict)
        == .failure(.rUnsatisfied(need: 2, got: 1)))
    #expect(
      try outcome([.notFound, Self.new.whole, Self.new.whole], strict) == .success(Self.new))
  }

  @Test func `basic quorum gives up early: section 1-4 basic_quorum`() throws {
    let one: (inout GetOptions) -> Void = {
      $0.r = .one
      $0.notFoundOK = false
    }
    #expect(try outcome([.notFound, .notFound], one) == nil)
    let basic = try outcome([.notFound, .notFound]) {
      one(&$0)
      $0.basicQuorum = true
    }
    #expect(basic == .success(Self.nothing))
  }

  @Test func `errors fail at N - max R PR + 1: section 1-4 failure threshold`() throws {
    let error = ReplicaReading.failure(.storage("disk"))
    #expect(try outcome([error, Self.new.whole]) == nil)
    #expect(try outcome([error, error]) == .failure(.rUnsatisfied(need: 2, got: 0)))
    #expect(
      try outcome([Self.new.whole, error, error]) == .failure(.rUnsatisfied(need: 2, got: 1)))
    #expect(try outcome([error, Self.new.whole, Self.new.whole]) == .success(Self.new))
    let overload = ReplicaReading.failure(.overload)
    #expect(try outcome([overload, overload]) == .failure(.overload))
  }

  @Test func `PR counts primaries and is checked up front: section 1-4 pr`() throws {
    let fixture = CoordinatorFixture(down: [0])
    let key = fixture.key
    var options = GetOptions()
    options.pr = .all
    #expect(
      GetPlan.make(for: key, options: options, in: fixture.view)
        == .failure(.prUnsatisfied(need: 3, got: 2)))
    let readings = [Self.new.whole, .failure(.storage("disk")), Self.new.whole]
    #expect(
      try outcome(readings, fixture: fixture) { $0.pr = .count(2) }
        == .failure(.prUnsatisfied(need: 2, got: 1)))
  }

  @Test func `plans that cannot be met: section 1-3`() {
    var options = GetOptions()
    options.nVal = 4
    let fixture = CoordinatorFixture(nodes: 1)
    func plan(_ fixture: CoordinatorFixture) -> RequestFailure? {
      switch GetPlan.make(for: fixture.key, options: options, in: fixture.view) {
      case .success: nil
      case .failure(let failure): failure
      }
    }
    #expect(plan(fixture) == .nValViolation(4))
    options = GetOptions()
    options.r = .count(4)
    #expect(plan(fixture) == .nValViolation(3))
    options = GetOptions()
    options.nodeConfirms = .count(2)
    #expect(plan(fixture) == .insufficientNodes(need: 2, got: 1))
    options = GetOptions()
    options.sloppyQuorum = false
    #expect(
      plan(CoordinatorFixture(down: [1, 2])) == .insufficientVnodes(need: 2, got: 1))
    #expect(plan(CoordinatorFixture(down: [2])) == nil)
  }

  @Test func `node_confirms waits for different nodes: section 1-4 node_confirms`() throws {
    // One node is left, which holds all three vnodes; then two.
    let two = CoordinatorFixture(nodes: 2)
    let waits = try outcome([Self.new.whole, nil, Self.new.whole], fixture: two) {
      $0.nodeConfirms = .count(2)
    }
    #expect(waits == nil)
    let met = try outcome([Self.new.whole, Self.new.whole], fixture: two) {
      $0.nodeConfirms = .count(2)
    }
    #expect(met == .success(Self.new))
  }

  @Test func `stale and missing replicas are repaired after the answer: section 5-2`() throws {
    let (actions, _) = try run([Self.new.whole, Self.old.whole, .notFound])
    let repaired = actions.compactMap { action -> Replica? in
      guard case .repair(let replica, let bytes) = action else { return nil }
      #expect(bytes == Self.new.encoded().bytes)
      return replica
    }
    let fixture = CoordinatorFixture()
    #expect(repaired.map(\.node) == [fixture.node(1), fixture.node(2)])
    #expect(actions.last == .finished)
    let agreed = try run([Self.new.whole, Self.new.whole, Self.new.whole]).actions
    #expect(!agreed.contains { if case .repair = $0 { true } else { false } })
  }

  @Test func `late replies are collected until the deadline, then repaired: section 5-2`() throws {
    var (actions, coordinator) = try run([Self.new.whole, Self.old.whole])
    #expect(answers(actions).count == 1 && actions.last != .finished)
    coordinator.deadlineExpired(into: &actions)
    #expect(actions.last == .finished)
    #expect(actions.count { if case .repair = $0 { true } else { false } } == 1)
    #expect(answers(actions).count == 1)
  }

  @Test func `without enough replies the answer is timeout`() throws {
    var (actions, coordinator) = try run([Self.new.whole])
    coordinator.deadlineExpired(into: &actions)
    #expect(answers(actions) == [.failure(.timeout)])
    #expect(actions.last == .finished)
  }

  @Test func `bodies of large objects are fetched from one vnode that has them`() throws {
    let fixture = CoordinatorFixture()
    var (actions, coordinator) = try run([Self.old.head, Self.new.head])
    let fetch = GetCoordinator.Action.read(
      Replica(partition: fixture.partition(1), node: fixture.node(1), role: .primary),
      byteLimit: Int(Int32.max))
    #expect(actions.last == fetch)
    coordinator.receive(
      Self.new.whole, partition: fixture.partition(1), node: fixture.node(1), into: &actions)
    #expect(answers(actions) == [.success(Self.new)])
    coordinator.receive(
      Self.new.head, partition: fixture.partition(2), node: fixture.node(2), into: &actions)
    #expect(actions.count { if case .repair = $0 { true } else { false } } == 1)
    #expect(actions.last == .finished)
  }

  @Test func `a body that is late is asked of a second vnode, once`() throws {
    let fixture = CoordinatorFixture()
    var (actions, coordinator) = try run([Self.new.head, Self.new.head])
    #expect(actions.count { $0 == .awaitBody } == 1)
    actions.removeAll()
    let isHedged = coordinator.hedge(into: &actions)
    #expect(isHedged)
    let second = Replica(partition: fixture.partition(1), node: fixture.node(1), role: .primary)
    #expect(actions == [.read(second, byteLimit: Int(Int32.max))])
    let isHedgedAgain = coordinator.hedge(into: &actions)
    #expect(!isHedgedAgain, "nobody else is known to have it")
    coordinator.receive(
      Self.new.whole, partition: fixture.partition(1), node: fixture.node(1), into: &actions)
    #expect(answers(actions) == [.success(Self.new)])
    let isHedgedLate = coordinator.hedge(into: &actions)
    #expect(!isHedgedLate, "it is answered")
    coordinator.receive(
      Self.new.whole, partition: fixture.partition(0), node: fixture.node(0), into: &actions)
    #expect(answers(actions).count == 1)
  }

  @Test func `a vnode that fails to send the body is replaced by another that has it`() throws {
    let fixture = CoordinatorFixture()
    var (actions, coordinator) = try run([Self.new.head, Self.new.head])
    coordinator.receive(
      .failure(.storage("disk")), partition: fixture.partition(0), node: fixture.node(0),
      into: &actions)
    coordinator.receive(
      Self.new.head, partition: fixture.partition(2), node: fixture.node(2), into: &actions)
    coordinator.receive(
      Self.new.whole, partition: fixture.partition(1), node: fixture.node(1), into: &actions)
    #expect(answers(actions) == [.success(Self.new)])
  }

  @Test func `a head is enough when only the head is wanted`() throws {
    let result = try outcome([Self.new.head, Self.new.head]) { $0.headOnly = true }
    #expect(try result?.get().clock == Self.new.clock)
  }

  @Test func `a node that becomes unavailable is replaced by a fallback`() throws {
    var fixture = CoordinatorFixture()
    var (actions, coordinator) = try run([Self.new.whole, nil, nil])
    fixture.setDown([1])
    coordinator.viewChanged(fixture.view, into: &actions)
    let fallback = Replica(
      partition: fixture.partition(1), node: fixture.node(3), role: .fallback)
    #expect(actions.last == .read(fallback, byteLimit: 1000))
    coordinator.receive(
      .notFound, partition: fixture.partition(1), node: fixture.node(3), into: &actions)
    #expect(answers(actions) == [.success(Self.new)])
  }

  @Test func `second, late and foreign replies change nothing`() throws {
    let fixture = CoordinatorFixture()
    var (actions, coordinator) = try run([Self.new.whole])
    for _ in 0..<3 {
      coordinator.receive(
        Self.new.whole, partition: fixture.partition(0), node: fixture.node(0), into: &actions)
      coordinator.receive(
        Self.new.whole, partition: fixture.partition(1), node: fixture.node(4), into: &actions)
    }
    #expect(answers(actions).isEmpty)
  }

  @Test func `concurrent objects become siblings, or the newest where only one may stay`() throws {
    let a = CoordinatorFixture.object("a", 1)
    let b = CoordinatorFixture.object("b", 2)
    #expect(try outcome([a.whole, b.whole])?.get().siblings.count == 1)
    #expect(try outcome([a.whole, b.whole])?.get().siblings[0].content.value == Bytes("b".utf8))
    var properties = BucketProperties()
    properties.allowMult = true
    let both = try outcome(
      [a.whole, b.whole], fixture: CoordinatorFixture(properties: properties))
    #expect(try both?.get().siblings.count == 2)
  }
}
