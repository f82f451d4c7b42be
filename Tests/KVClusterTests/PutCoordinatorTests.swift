import KVBase
import KVCluster
import KVModel
import Testing

@Suite struct PutCoordinatorTests {
  private struct Run {
    var fixture: CoordinatorFixture
    var plan: PutPlan
    var coordinator: PutCoordinator
    var actions: [PutCoordinator.Action] = []

    /// nil: not answered; .some(nil): success.
    var answers: [RequestFailure?] {
      actions.compactMap { if case .answer(let failure) = $0 { .some(failure) } else { nil } }
    }

    var writes: [Replica] {
      actions.compactMap { if case .write(let replica, _) = $0 { replica } else { nil } }
    }

    mutating func reply(_ position: Int, _ outcome: WriteReply.Outcome) {
      let replica = plan.replicas[position]
      coordinator.receive(
        outcome, partition: replica.partition, node: replica.node, view: fixture.view,
        into: &actions)
    }
  }

  private func start(
    _ fixture: CoordinatorFixture = CoordinatorFixture(),
    _ change: (inout PutOptions) -> Void = { _ in }
  ) throws -> Run {
    var options = PutOptions()
    change(&options)
    let plan = try PutPlan.make(for: fixture.key, options: options, in: fixture.view).get()
    var run = Run(
      fixture: fixture, plan: plan,
      coordinator: PutCoordinator(
        key: fixture.key, encoded: [1], plan: plan, coordinator: plan.replicas[0]))
    run.coordinator.start(into: &run.actions)
    return run
  }

  @Test func `the others are sent the object at once`() throws {
    let run = try start()
    #expect(run.writes == Array(run.plan.replicas.dropFirst()))
    #expect(run.writes.count == 2)
  }

  @Test func `with sync_on_write=one the coordinator's own flush is awaited`() throws {
    var run = try start { $0.syncOnWrite = .one }
    run.reply(1, .stored)
    run.reply(2, .stored)
    #expect(run.answers.isEmpty)
    run.reply(0, .stored)
    #expect(run.answers == [nil])
    var refused = try start { $0.syncOnWrite = .one }
    refused.reply(1, .stored)
    refused.reply(0, .refused(.storage("full")))
    #expect(refused.answers == [.storage("full")])
  }

  @Test func `W and DW of the bucket are awaited: section 1-4 w dw`() throws {
    var run = try start()
    run.reply(0, .stored)
    #expect(run.answers.isEmpty)
    run.reply(2, .stored)
    #expect(run.answers == [nil])
    run.reply(1, .stored)
    #expect(run.actions.last == .finished)
    #expect(run.answers.count == 1)
  }

  @Test func `DW is at least one, the coordinator's own: section 1-4 dw`() throws {
    var run = try start(CoordinatorFixture()) {
      $0.w = .count(0)
      $0.dw = .count(0)
    }
    #expect(run.answers.isEmpty)
    run.reply(0, .stored)
    #expect(run.answers == [nil])
  }

  @Test func `receipts count for W alone: section 1-4 w`() throws {
    var run = try start(CoordinatorFixture()) {
      $0.w = .all
      $0.dw = .one
    }
    #expect(run.coordinator.wantsReceipts)
    run.reply(0, .stored)
    run.reply(1, .received)
    #expect(run.answers.isEmpty)
    run.reply(2, .received)
    #expect(run.answers == [nil])
  }

  @Test func `PW counts primaries only and is checked up front: section 1-4 pw`() throws {
    let down = CoordinatorFixture(down: [2])
    var options = PutOptions()
    options.pw = .all
    #expect(
      PutPlan.make(for: down.key, options: options, in: down.view)
        == .failure(.pwUnsatisfied(need: 3, got: 2)))
    var run = try start(down) { $0.pw = .count(2) }
    run.reply(0, .stored)
    run.reply(2, .stored)  // the fallback, last in the list
    #expect(run.answers.isEmpty)
    run.reply(1, .stored)
    #expect(run.answers == [nil])
  }

  @Test func `node_confirms counts different nodes: section 1-4 node_confirms`() throws {
    var run = try start(CoordinatorFixture(nodes: 2)) { $0.nodeConfirms = .count(2) }
    run.reply(0, .stored)
    run.reply(2, .stored)
    #expect(run.answers.isEmpty)
    run.reply(1, .stored)
    #expect(run.answers == [nil])
    var options = PutOptions()
    options.nodeConfirms = .count(2)
    let alone = CoordinatorFixture(nodes: 1)
    #expect(
      PutPlan.make(for: alone.key, options: options, in: alone.view)
        == .failure(.nodeConfirmsUnsatisfied(need: 2, got: 1)))
  }

  @Test func `plans that cannot be met: section 1-3`() {
    var options = PutOptions()
    func plan(_ fixture: CoordinatorFixture) -> RequestFailure? {
      switch PutPlan.make(for: fixture.key, options: options, in: fixture.view) {
      case .success: nil
      case .failure(let failure): failure
      }
    }
    options.w = .count(4)
    #expect(plan(CoordinatorFixture()) == .nValViolation(3))
    options = PutOptions()
    options.sloppyQuorum = false
    #expect(plan(CoordinatorFixture(down: [0, 1])) == .insufficientVnodes(need: 2, got: 1))
    #expect(plan(CoordinatorFixture(down: [0, 1, 2])) == .allNodesDown)
  }

  @Test func `a refusal is made up for by the next fallback`() throws {
    var run = try start()
    run.reply(0, .stored)
    run.reply(1, .refused(.storage("disk")))
    #expect(run.writes.last?.node == run.fixture.node(3))
    #expect(run.writes.last?.partition == run.fixture.partition(1))
    #expect(run.answers.isEmpty)
    run.coordinator.receive(
      .stored, partition: run.fixture.partition(1), node: run.fixture.node(3),
      view: run.fixture.view, into: &run.actions)
    #expect(run.answers == [nil])
  }

  @Test func `without fallbacks refusals fail with the exact counts: section 1-3`() throws {
    var run = try start(CoordinatorFixture()) { $0.sloppyQuorum = false }
    run.reply(0, .stored)
    run.reply(1, .refused(.storage("disk")))
    #expect(run.answers.isEmpty)
    run.reply(2, .refused(.storage("disk")))
    #expect(run.answers == [.dwUnsatisfied(need: 2, got: 1)])
    run = try start(CoordinatorFixture()) {
      $0.sloppyQuorum = false
      $0.pw = .all
    }
    run.reply(0, .stored)
    run.reply(1, .refused(.storage("disk")))
    #expect(run.answers == [.pwUnsatisfied(need: 3, got: 1)])
  }

  @Test func `overloaded replicas do not make a stored write one that was refused`() throws {
    var run = try start(CoordinatorFixture()) {
      $0.sloppyQuorum = false
      $0.w = .all
    }
    run.reply(0, .stored)
    run.reply(1, .refused(.overload))
    #expect(run.answers == [.dwUnsatisfied(need: 2, got: 1)])
  }

  @Test func `when the coordinator's own flush fails the client is told so`() throws {
    var run = try start(CoordinatorFixture()) {
      $0.sloppyQuorum = false
      $0.w = .all
    }
    run.reply(0, .refused(.storage("disk")))
    #expect(run.answers == [.storage("disk")])
  }

  @Test func `silence leads to a retry and a fallback, each once`() throws {
    var run = try start()
    run.reply(0, .stored)
    run.coordinator.retry(in: run.fixture.view, into: &run.actions)
    let nodes = run.writes.dropFirst(2).map(\.node)
    #expect(nodes == [1, 3, 2, 4].map(run.fixture.node))
    run.coordinator.receive(
      .stored, partition: run.fixture.partition(1), node: run.fixture.node(3),
      view: run.fixture.view, into: &run.actions)
    #expect(run.answers == [nil])
  }

  @Test func `a partition stored twice counts once`() throws {
    var run = try start(CoordinatorFixture()) { $0.w = .all }
    run.reply(0, .stored)
    run.coordinator.retry(in: run.fixture.view, into: &run.actions)
    run.reply(1, .stored)
    run.coordinator.receive(
      .stored, partition: run.fixture.partition(1), node: run.fixture.node(3),
      view: run.fixture.view, into: &run.actions)
    #expect(run.answers.isEmpty)
    run.reply(2, .stored)
    #expect(run.answers == [nil])
  }

  @Test func `a node that becomes unavailable gets its copy as a hint, also after the answer`()
    throws
  {
    var run = try start()
    run.reply(0, .stored)
    run.reply(1, .stored)
    #expect(run.answers == [nil])
    run.fixture.setDown([2])
    run.coordinator.viewChanged(run.fixture.view, into: &run.actions)
    #expect(run.writes.last?.partition == run.fixture.partition(2))
    #expect(run.writes.last?.role == .fallback)
    #expect(run.actions.last != .finished)
    run.coordinator.receive(
      .stored, partition: run.fixture.partition(2), node: run.fixture.node(3),
      view: run.fixture.view, into: &run.actions)
    #expect(run.actions.last == .finished)
  }

  @Test func `the deadline answers timeout and late copies still count for nothing`() throws {
    var run = try start()
    run.coordinator.deadlineExpired(into: &run.actions)
    #expect(run.answers == [.timeout])
    for position in 0..<3 { run.reply(position, .stored) }
    run.coordinator.abandon(into: &run.actions)
    #expect(run.answers == [.timeout])
    #expect(run.actions.count { $0 == .finished } == 1)
  }

  @Test func `second and foreign replies change nothing`() throws {
    var run = try start()
    for _ in 0..<3 { run.reply(1, .stored) }
    run.coordinator.receive(
      .stored, partition: run.fixture.partition(0), node: run.fixture.node(4),
      view: run.fixture.view, into: &run.actions)
    #expect(run.answers.isEmpty)
  }
}
