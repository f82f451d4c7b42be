import KVBase
import KVCluster
import KVModel
import Testing

@Suite struct ProposerTests {
  private let key = ObjectKey(type: "strong", bucket: "b", key: "k")
  private let now = Now(instant: Instant(nanoseconds: 0), wallClock: WallClock(microseconds: 9))
  private let replicas = (0..<3).map {
    Replica(partition: PartitionID($0), node: NodeID(rawValue: UInt64($0)), role: .primary)
  }

  private func ballot(_ counter: UInt64) -> Ballot { Ballot(counter: counter, actor: 1) }

  private func value(_ number: UInt64) -> RegisterValue {
    let dot = Dot(actor: ConditionalWrite.actor, counter: number)
    let object = KVObject(
      clock: VersionVector([dot]),
      siblings: [Sibling(dot: dot, content: Content(value: [UInt8(number)]))])
    return RegisterValue(object: object.encoded().bytes, recent: [number])
  }

  private func write(_ number: UInt64 = 100, ifNoneMatch: Bool = true) -> ConditionalWrite {
    ConditionalWrite(
      number: number, context: VersionVector(), content: Content(value: [1]),
      ifNoneMatch: ifNoneMatch, ifNotModified: false, byteLimit: 1 << 20)
  }

  private func proposer(_ purpose: Proposer.Purpose) -> Proposer {
    Proposer(key: key, n: 3, purpose: purpose, inlineByteLimit: 100)
  }

  private func vote(
    _ partition: Int, _ phase: RegisterVote.Phase, _ ballot: Ballot, accepted: Ballot = .zero,
    value: RegisterValue? = RegisterValue(), generation: UInt32 = 1, fences: [SeatMark] = []
  ) -> RegisterVote {
    RegisterVote(
      operation: .none, partition: PartitionID(partition), phase: phase, ballot: ballot,
      outcome: .granted(accepted: accepted, value: value), generation: generation,
      fences: fences)
  }

  private func refusal(
    _ partition: Int, _ phase: RegisterVote.Phase, _ ballot: Ballot, promised: Ballot
  ) -> RegisterVote {
    RegisterVote(
      operation: .none, partition: PartitionID(partition), phase: phase, ballot: ballot,
      outcome: .refused(promised: promised), generation: 1, fences: [])
  }

  private func give(_ proposer: inout Proposer, _ votes: [RegisterVote]) -> [Proposer.Action] {
    var actions: [Proposer.Action] = []
    for vote in votes {
      proposer.receive(
        vote, from: NodeID(rawValue: UInt64(vote.partition.index)), at: now, into: &actions)
    }
    return actions
  }

  private func begin(_ proposer: inout Proposer, _ counter: UInt64) -> [Proposer.Action] {
    var actions: [Proposer.Action] = []
    proposer.begin(ballot(counter), replicas: replicas, into: &actions)
    return actions
  }

  private func accepted(_ actions: [Proposer.Action]) -> [RegisterValue] {
    actions.compactMap { if case .accept(_, _, let value, _) = $0 { value } else { nil } }
  }

  @Test func `a write is answered after a quorum has promised and a quorum has accepted`() {
    var proposer = proposer(.write(write()))
    #expect(begin(&proposer, 1).count == 3)
    #expect(give(&proposer, [vote(0, .prepare, ballot(1))]).isEmpty)
    let sent = give(&proposer, [vote(1, .prepare, ballot(1))])
    #expect(accepted(sent).count == 3)
    #expect(give(&proposer, [vote(2, .accept, ballot(1), value: nil)]).isEmpty)
    // A promise that comes late is no acceptance.
    #expect(give(&proposer, [vote(0, .prepare, ballot(1))]).isEmpty)
    // Nor is a second acceptance of the same acceptor.
    #expect(give(&proposer, [vote(2, .accept, ballot(1), value: nil)]).isEmpty)
    let answer = give(&proposer, [vote(0, .accept, ballot(1), value: nil)])
    #expect(answer == [.answer(.success(accepted(sent)[0]))])
    #expect(!proposer.isUnderway)
  }

  @Test func `the latest accepted value is what a write builds on`() {
    var proposer = proposer(.write(write(ifNoneMatch: false)))
    _ = begin(&proposer, 9)
    let old = vote(0, .prepare, ballot(9), accepted: ballot(3), value: value(1))
    let new = vote(1, .prepare, ballot(9), accepted: ballot(4), value: value(2))
    let sent = give(&proposer, [old, new])
    // The condition fails on a value that may not be chosen: it is written back first.
    #expect(accepted(sent) == [value(2), value(2), value(2)])
    let answer = give(
      &proposer,
      [vote(0, .accept, ballot(9), value: nil), vote(1, .accept, ballot(9), value: nil)])
    #expect(answer == [.answer(.failure(.failed))])
  }

  @Test func `a refusal that rests on a chosen value needs no second round trip`() {
    var proposer = proposer(.write(write()))
    _ = begin(&proposer, 9)
    let votes = [0, 2].map {
      vote($0, .prepare, ballot(9), accepted: ballot(4), value: value(2))
    }
    #expect(give(&proposer, votes) == [.answer(.failure(.matchFound))])
  }

  @Test func `a promise without the value it speaks of does not count`() {
    var proposer = proposer(.write(write()))
    _ = begin(&proposer, 9)
    let votes = [
      vote(0, .prepare, ballot(9), accepted: ballot(4), value: nil),
      vote(1, .prepare, ballot(9)),
    ]
    #expect(give(&proposer, votes).isEmpty)
  }

  @Test func `a round that can gather no quorum is lost, and the next one is told how high to go`()
  {
    var proposer = proposer(.write(write()))
    _ = begin(&proposer, 1)
    let votes = [0, 1].map { refusal($0, .prepare, ballot(1), promised: ballot(7)) }
    #expect(give(&proposer, votes) == [.nextRound(losses: 1)])
    #expect(proposer.highestCounter == 7)
    // Votes of the lost round mean nothing to the next.
    _ = begin(&proposer, 8)
    #expect(give(&proposer, [vote(0, .prepare, ballot(1)), vote(1, .prepare, ballot(1))]).isEmpty)
  }

  @Test func `a write that was chosen in a lost round is not performed again`() {
    var proposer = proposer(.write(write()))
    _ = begin(&proposer, 1)
    let sent = accepted(
      give(&proposer, [vote(0, .prepare, ballot(1)), vote(1, .prepare, ballot(1))]))
    var actions: [Proposer.Action] = []
    proposer.roundExpired(into: &actions)
    #expect(actions == [.nextRound(losses: 1)])
    _ = begin(&proposer, 2)
    let again = give(
      &proposer,
      [
        vote(0, .prepare, ballot(2), accepted: ballot(1), value: sent[0]),
        vote(1, .prepare, ballot(2)),
      ])
    #expect(accepted(again) == [sent[0], sent[0], sent[0]])
    let answer = give(
      &proposer,
      [vote(1, .accept, ballot(2), value: nil), vote(2, .accept, ballot(2), value: nil)])
    #expect(answer == [.answer(.success(sent[0]))])
  }

  @Test func `the end of time is a time-out, whatever happened`() {
    var proposer = proposer(.write(write()))
    _ = begin(&proposer, 1)
    var actions: [Proposer.Action] = []
    proposer.deadlineExpired(into: &actions)
    proposer.deadlineExpired(into: &actions)
    #expect(actions == [.answer(.failure(.timeout))])
  }

  // MARK: Reads

  @Test func `a read is answered at once when a quorum has accepted the same`() {
    var proposer = proposer(.read)
    var actions: [Proposer.Action] = []
    proposer.query(replicas, into: &actions)
    #expect(actions.count == 3)
    let votes = [
      vote(2, .query, .zero, accepted: ballot(4), value: nil),
      vote(0, .query, .zero, accepted: ballot(4), value: value(2)),
    ]
    #expect(give(&proposer, votes) == [.answer(.success(value(2)))])
    #expect(proposer.isFast)
  }

  @Test func `a read of replicas that differ writes back the latest`() {
    var proposer = proposer(.read)
    var actions: [Proposer.Action] = []
    proposer.query(replicas, into: &actions)
    let votes = [
      vote(0, .query, .zero, accepted: ballot(3), value: value(1)),
      vote(1, .query, .zero, accepted: ballot(4), value: value(2)), vote(2, .query, .zero),
    ]
    #expect(give(&proposer, votes) == [.nextRound(losses: 0)])
    _ = begin(&proposer, 5)
    let sent = give(
      &proposer,
      [
        vote(0, .prepare, ballot(5), accepted: ballot(3), value: value(1)),
        vote(1, .prepare, ballot(5), accepted: ballot(4), value: value(2)),
      ])
    #expect(accepted(sent).first == value(2))
    let answer = give(
      &proposer,
      [vote(0, .accept, ballot(5), value: nil), vote(2, .accept, ballot(5), value: nil)])
    #expect(answer == [.answer(.success(value(2)))])
    #expect(!proposer.isFast)
  }

  @Test func `a read whose quorum left a large value away asks again`() {
    var proposer = proposer(.read)
    var actions: [Proposer.Action] = []
    proposer.query(replicas, into: &actions)
    let votes = [1, 2].map { vote($0, .query, .zero, accepted: ballot(4), value: nil) }
    #expect(give(&proposer, votes).isEmpty)
    actions = []
    proposer.lose(where: { $0.rawValue == 0 }, at: now, into: &actions)
    #expect(actions == [.nextRound(losses: 0)])
  }

  // MARK: Void seats

  @Test func `votes from a seat that another acceptor holds to be void do not count`() {
    var proposer = proposer(.write(write()))
    _ = begin(&proposer, 1)
    let fence = SeatMark(partition: PartitionID(0), generation: 2)
    let votes = [
      vote(0, .prepare, ballot(1)), vote(1, .prepare, ballot(1), fences: [fence]),
    ]
    #expect(give(&proposer, votes).isEmpty)
    let sent = give(&proposer, [vote(2, .prepare, ballot(1), fences: [fence])])
    guard case .accept(_, _, _, let quorum)? = sent.first else {
      Issue.record("nothing is proposed: \(sent)")
      return
    }
    #expect(quorum.map(\.partition.index) == [1, 2])
  }

  @Test func `fewer acceptors than a quorum lose the round before it begins`() {
    var proposer = proposer(.write(write()))
    var actions: [Proposer.Action] = []
    proposer.begin(ballot(1), replicas: Array(replicas.prefix(1)), into: &actions)
    #expect(actions.last == .nextRound(losses: 1))
  }
}
