import KVBase
import KVCluster
import KVModel
import Testing

@Suite struct HandoffTests {
  private let target = Address(node: NodeID(rawValue: 2), shard: ShardIndex(1))

  private func sender(_ kind: HandoffSender.Kind) -> HandoffSender {
    HandoffSender(
      kind: kind, partition: PartitionID(3), target: target,
      operation: OperationID(rawValue: 5))
  }

  private func entry(_ name: String) -> ReplicaScan.Entry {
    ReplicaScan.Entry(key: ObjectKey(bucket: "b", key: name), encoded: Bytes(name.utf8))
  }

  private func receipt(_ number: UInt32, accepted: Bool = true) -> HandoffReceipt {
    HandoffReceipt(
      operation: OperationID(rawValue: 5), number: number, isAccepted: accepted)
  }

  @Test func `hints are removed after the receipt and the scan goes on behind them`() {
    var sender = sender(.hinted)
    var actions: [HandoffSender.Action] = []
    sender.start(into: &actions)
    #expect(actions == [.scan(after: nil)])
    actions = []
    sender.scanned(
      ReplicaScan(entries: [entry("a"), entry("b")], isComplete: false), into: &actions)
    #expect(actions.count == 1 && sender.pendingNumber == 0)
    actions = []
    sender.receive(receipt(7), into: &actions)
    #expect(actions.isEmpty)
    sender.receive(receipt(0), into: &actions)
    #expect(
      actions == [
        .remove([entry("a"), entry("b")]), .scan(after: entry("b").key),
      ])
    actions = []
    sender.receive(receipt(0), into: &actions)
    #expect(actions.isEmpty)
    sender.scanned(ReplicaScan(entries: [entry("c")], isComplete: true), into: &actions)
    sender.receive(receipt(1), into: &actions)
    #expect(actions.suffix(2) == [.remove([entry("c")]), .completed])
    #expect(sender.objects == 3)
  }

  @Test func `an owner keeps its objects`() {
    var sender = sender(.ownership)
    var actions: [HandoffSender.Action] = []
    sender.scanned(ReplicaScan(entries: [entry("a")], isComplete: true), into: &actions)
    actions = []
    sender.receive(receipt(0), into: &actions)
    #expect(actions == [.completed])
  }

  @Test func `a batch without receipt is sent again a few times, then given up`() {
    var sender = sender(.hinted)
    var actions: [HandoffSender.Action] = []
    sender.scanned(ReplicaScan(entries: [entry("a")], isComplete: true), into: &actions)
    let sent = actions[0]
    actions = []
    for _ in 0..<3 { sender.receiptOverdue(number: 0, into: &actions) }
    #expect(actions == [sent, sent, .failed])
  }

  @Test func `a refused batch ends the handoff and removes nothing`() {
    var sender = sender(.hinted)
    var actions: [HandoffSender.Action] = []
    sender.scanned(ReplicaScan(entries: [entry("a")], isComplete: true), into: &actions)
    actions = []
    sender.receive(receipt(0, accepted: false), into: &actions)
    #expect(actions == [.failed])
  }

  @Test func `the plan tells hints, transfers, empty transfers and what must wait`() {
    var fixture = CoordinatorFixture(nodes: 3, down: [1])
    let local = fixture.view.local
    let own = fixture.view.ring.partitions(of: local)
    let others = (0..<2).map { fixture.view.ring.partitions(of: fixture.node($0))[0] }
    fixture.view.transfers = own.prefix(2).map {
      PendingTransfer(partition: $0, from: local, to: fixture.node(0))
    }
    let plan = HandoffPlan(
      view: fixture.view, shard: ShardIndex(0), shardCount: 1,
      occupied: [own[0], others[0], others[1]].sorted())
    #expect(plan.items.count == 2)
    #expect(
      plan.items.contains {
        $0 == .init(kind: .ownership, partition: own[0], node: fixture.node(0))
      })
    #expect(
      plan.items.contains {
        $0 == .init(kind: .hinted, partition: others[0], node: fixture.node(0))
      })
    #expect(plan.blocked.map(\.partition) == [others[1]])
    #expect(plan.emptyTransfers.map(\.partition) == [own[1]])
  }
}
