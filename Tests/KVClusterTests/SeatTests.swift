import KVBase
import KVCluster
import KVModel
import Testing

@Suite struct SeatTests {
  private let stage = SeatStage(partition: PartitionID(3), generation: 1, hop: 2)
  private let key = ObjectKey(type: "strong", bucket: "b", key: "k")

  private func scan(_ count: Int, isComplete: Bool) -> ReplicaScan {
    ReplicaScan(
      entries: (0..<count).map { ReplicaScan.Entry(key: key, encoded: [UInt8($0)]) },
      isComplete: isComplete)
  }

  private func handover() -> SeatHandover {
    SeatHandover(stage: stage, target: NodeID(rawValue: 7), firstNumber: 100)
  }

  @Test func `a seat is given after the last register was acknowledged by the same disk`() {
    var handover = handover()
    var actions: [SeatHandover.Action] = []
    handover.repeat(into: &actions)
    handover.claimed(by: 9, into: &actions)
    handover.scanned(scan(2, isComplete: false), into: &actions)
    // Another disk's receipt, and one of an earlier handover, mean nothing.
    handover.received(number: 100, by: 8, into: &actions)
    handover.received(number: 0, by: 9, into: &actions)
    handover.received(number: 100, by: 9, into: &actions)
    handover.scanned(scan(1, isComplete: true), into: &actions)
    handover.received(number: 101, by: 9, into: &actions)
    guard actions.count == 6, case .send(let first) = actions[2], case .send(let last) = actions[4]
    else {
      Issue.record("\(actions)")
      return
    }
    #expect(actions[0] == .offer(stage) && actions[1] == .scan(after: nil))
    #expect(first.number == 100 && last.number == 101 && last.instance == 9)
    #expect(actions[3] == .scan(after: key) && actions[5] == .give(instance: 9))
    #expect(handover.registers == 3)
  }

  @Test func `a disk that is replaced during a handover gets everything from the start`() {
    var handover = handover()
    var actions: [SeatHandover.Action] = []
    handover.claimed(by: 9, into: &actions)
    handover.scanned(scan(1, isComplete: true), into: &actions)
    actions = []
    handover.claimed(by: 10, into: &actions)
    #expect(actions == [.scan(after: nil)])
    handover.scanned(scan(1, isComplete: true), into: &actions)
    actions = []
    handover.received(number: 100, by: 9, into: &actions)
    #expect(actions.isEmpty)
    handover.repeat(into: &actions)
    guard case .send(let batch)? = actions.first else { return }
    #expect(batch.instance == 10 && batch.number == 101)
  }

  @Test func `an empty seat moves without a batch`() {
    var handover = handover()
    var actions: [SeatHandover.Action] = []
    handover.claimed(by: 9, into: &actions)
    handover.scanned(scan(0, isComplete: true), into: &actions)
    #expect(actions == [.scan(after: nil), .give(instance: 9)])
  }

  // MARK: Recovery

  private func reply(
    _ action: SeatRecovery.Action, _ outcome: CatchUpReply.Outcome
  ) throws -> CatchUpReply {
    switch action {
    case .ask(let request), .search(_, let request):
      return CatchUpReply(request: request, outcome: outcome)
    case .merge, .take: throw DecodingFailure(expected: "a question, not \(action)", offset: 0)
    }
  }

  private let node = NodeID(rawValue: 7)

  private func answer(
    _ recovery: inout SeatRecovery, _ action: SeatRecovery.Action,
    _ outcome: CatchUpReply.Outcome, _ actions: inout [SeatRecovery.Action]
  ) throws {
    recovery.receive(try reply(action, outcome), from: node, into: &actions)
  }

  @Test func `a lost seat is taken when all others have vowed and told everything`() throws {
    var recovery = SeatRecovery(
      partition: PartitionID(3), known: 1, instance: 5,
      neighbours: [PartitionID(2), PartitionID(4)])
    var asked: [SeatRecovery.Action] = []
    recovery.repeat(searching: [node], into: &asked)
    #expect(asked.count == 3 && !recovery.isCommitted)
    let search = asked.removeFirst()
    var actions: [SeatRecovery.Action] = []
    try answer(&recovery, asked[0], .ready(fence: 4), &actions)
    try answer(&recovery, asked[1], .absent, &actions)
    try answer(&recovery, asked[1], .ready(fence: 0), &actions)
    // Somebody has it, or may have it.
    try answer(&recovery, search, .ready(fence: 1), &actions)
    #expect(actions.isEmpty && !recovery.isCommitted)
    try answer(&recovery, search, .absent, &actions)
    #expect(actions.count == 2 && recovery.isCommitted && recovery.newGeneration == 5)
    let vows = actions
    actions = []
    let entry = ReplicaScan.Entry(key: key, encoded: [1])
    try answer(&recovery, vows[0], .page([entry], next: key), &actions)
    guard actions.count == 2, actions[0] == .merge([entry]) else {
      Issue.record("\(actions)")
      return
    }
    let next = actions[1]
    actions = []
    // The same page twice, and an answer to a question of the past.
    try answer(&recovery, vows[0], .page([entry], next: key), &actions)
    try answer(&recovery, asked[1], .ready(fence: 9), &actions)
    #expect(actions.isEmpty)
    try answer(&recovery, vows[1], .page([], next: nil), &actions)
    #expect(actions == [.merge([])])
    try answer(&recovery, next, .page([], next: nil), &actions)
    #expect(actions.last == .take(generation: 5))
  }

  @Test func `a recovery that somebody else overtakes begins again above`() throws {
    var recovery = SeatRecovery(
      partition: PartitionID(3), known: 1, instance: 5,
      neighbours: [PartitionID(2), PartitionID(4)])
    var asked: [SeatRecovery.Action] = []
    recovery.repeat(searching: [], into: &asked)
    var vows: [SeatRecovery.Action] = []
    for question in asked { try answer(&recovery, question, .ready(fence: 1), &vows) }
    var actions: [SeatRecovery.Action] = []
    try answer(&recovery, vows[0], .page([], next: nil), &actions)
    actions = []
    try answer(&recovery, vows[1], .refused(fence: 6), &actions)
    #expect(recovery.newGeneration == 7 && actions.count == 2)
  }
}
