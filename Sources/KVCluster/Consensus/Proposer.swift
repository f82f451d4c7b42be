public import KVBase
public import KVModel

/// Carries one operation on one register through its rounds.
///
/// A write takes two round trips: *prepare* gathers promises and the latest accepted value from a
/// quorum, *accept* has the changed value accepted by a quorum. A read asks a quorum what it has
/// accepted: when a quorum names the same ballot, that value is chosen and no later one was when
/// the read began, so one round trip is enough; otherwise the read goes through the two phases and
/// writes back what it found. So does a refusal, unless the promises agree on the value it rests
/// on.
///
/// Only votes from seats that no other vote of the round declares void count.
///
/// **Invariants**: there is exactly one `answer`; after a changed value was sent out, the answer is
/// what became of it or a time-out.
///
/// **Source**: Rystsov, *CASPaxos* (2018) §2.2 and §3.1.
public struct Proposer: Sendable {
  /// What is wanted of the register.
  public enum Purpose: Hashable, Sendable {
    /// Its value.
    case read
    /// A change.
    case write(ConditionalWrite)
  }

  /// What must be done next.
  public enum Action: Hashable, Sendable {
    /// Ask what was accepted; values of up to `byteLimit` bytes are to come with the answer.
    case query(Replica, byteLimit: Int)
    /// Ask for a promise.
    case prepare(Replica, Ballot)
    /// Ask to accept the value, which rests on promises from the seats of `quorum`.
    case accept(Replica, Ballot, RegisterValue, quorum: [SeatMark])
    /// Begin another round with ``Proposer/begin(_:replicas:at:into:)``; at once when `losses` is
    /// 0, else after a pause that grows with them.
    case nextRound(losses: Int)
    /// Tell whoever asked: the register's value after the operation.
    case answer(Result<RegisterValue, RequestFailure>)
  }

  private enum Phase: Hashable, Sendable {
    case idle
    case querying
    case preparing
    case accepting(Result<RegisterValue, RequestFailure>)
    case done
  }

  private struct Ballotee: Hashable, Sendable {
    var replica: Replica
    var vote: RegisterVote?
    var isLost = false

    var isOutstanding: Bool { vote == nil && !isLost }
  }

  /// The object's name.
  public let key: ObjectKey
  /// The acceptors of the key.
  public let n: Int
  /// The highest ballot counter that any vote has told.
  public private(set) var highestCounter: UInt64 = 0
  /// The rounds begun, queries not counted.
  public private(set) var rounds = 0
  /// True when a read was answered from one round trip that wrote nothing.
  public private(set) var isFast = false
  private var purpose: Purpose
  private let inlineByteLimit: Int
  private var phase = Phase.idle
  private var ballot = Ballot.zero
  private var acceptors: [Ballotee] = []
  private var losses = 0

  /// An operation on the register of `key` at its `n` acceptors.
  public init(key: ObjectKey, n: Int, purpose: Purpose, inlineByteLimit: Int) {
    self.key = key
    self.n = n
    self.purpose = purpose
    self.inlineByteLimit = inlineByteLimit
  }

  /// The votes that decide.
  public var majority: Int { n / 2 + 1 }

  /// The round under way; votes of others are ignored.
  public var currentBallot: Ballot { ballot }

  /// True until the answer.
  public var isUnderway: Bool { phase != .done }

  // MARK: Rounds

  /// Asks for what was accepted; for reads.
  public mutating func query(_ replicas: [Replica], into actions: inout [Action]) {
    phase = .querying
    ballot = .zero
    acceptors = replicas.map { Ballotee(replica: $0) }
    for (index, replica) in replicas.enumerated() {
      actions.append(.query(replica, byteLimit: index == 0 ? Int(Int32.max) : inlineByteLimit))
    }
    loseIfHopeless(at: nil, into: &actions)
  }

  /// Begins a round with a ballot that this proposer has not used.
  public mutating func begin(
    _ ballot: Ballot, replicas: [Replica], into actions: inout [Action]
  ) {
    guard phase != .done else { return }
    phase = .preparing
    rounds += 1
    self.ballot = ballot
    acceptors = replicas.map { Ballotee(replica: $0) }
    for replica in replicas { actions.append(.prepare(replica, ballot)) }
    loseIfHopeless(at: nil, into: &actions)
  }

  /// Takes in a vote.
  ///
  /// Votes of other rounds, of others, and second ones change nothing.
  public mutating func receive(
    _ vote: RegisterVote, from node: NodeID, at now: Now, into actions: inout [Action]
  ) {
    if case .refused(let higher) = vote.outcome {
      highestCounter = max(highestCounter, higher.counter)
    }
    guard phase != .done, phase != .idle, vote.ballot == ballot, vote.phase == expectedPhase,
      let index = acceptors.firstIndex(where: {
        $0.replica.partition == vote.partition && $0.replica.node == node && $0.isOutstanding
      })
    else { return }
    acceptors[index].vote = vote
    evaluate(at: now, into: &actions)
  }

  /// Waits no longer for nodes that have become unavailable.
  public mutating func lose(
    where isLost: (NodeID) -> Bool, at now: Now, into actions: inout [Action]
  ) {
    guard phase != .done, phase != .idle else { return }
    var hasChanged = false
    for index in acceptors.indices
    where acceptors[index].isOutstanding && isLost(acceptors[index].replica.node) {
      acceptors[index].isLost = true
      hasChanged = true
    }
    if hasChanged { evaluate(at: now, into: &actions) }
  }

  /// The round has taken too long.
  public mutating func roundExpired(into actions: inout [Action]) {
    guard phase != .done, phase != .idle else { return }
    endRound(into: &actions)
  }

  /// The operation has taken too long.
  public mutating func deadlineExpired(into actions: inout [Action]) {
    answer(.failure(.timeout), into: &actions)
  }
}

extension Proposer {
  private var expectedPhase: RegisterVote.Phase? {
    switch phase {
    case .querying: .query
    case .preparing: .prepare
    case .accepting: .accept
    case .idle, .done: nil
    }
  }

  private mutating func answer(
    _ result: Result<RegisterValue, RequestFailure>, into actions: inout [Action]
  ) {
    guard phase != .done else { return }
    phase = .done
    actions.append(.answer(result))
  }

  private mutating func endRound(into actions: inout [Action]) {
    let wasQuery = phase == .querying
    phase = .idle
    if !wasQuery { losses += 1 }
    actions.append(.nextRound(losses: wasQuery ? 0 : losses))
  }

  /// The votes that count: those whose seat no other vote declares void.
  private func validVotes() -> [RegisterVote] {
    // A promise without the value it speaks of would lose that.
    let votes = acceptors.compactMap(\.vote).filter {
      $0.isGranted && ($0.phase != .prepare || $0.accepted == .zero || $0.value != nil)
    }
    var fences: [PartitionID: UInt32] = [:]
    for mark in votes.flatMap(\.fences) {
      fences[mark.partition] = max(fences[mark.partition] ?? 0, mark.generation)
    }
    return votes.filter { $0.generation >= fences[$0.partition] ?? 0 }
  }

  private mutating func evaluate(at now: Now, into actions: inout [Action]) {
    let valid = validVotes()
    switch phase {
    case .querying:
      if case .some(.some(let value)) = agreed(valid) {
        isFast = true
        return answer(.success(value), into: &actions)
      }
      let counts = valid.map { vote in valid.count { $0.accepted == vote.accepted } }
      let outstanding = acceptors.count(where: \.isOutstanding)
      // Without outstanding votes a quorum that agrees has only left the value itself away.
      if outstanding == 0 || (counts.max() ?? 0) + outstanding < majority {
        endRound(into: &actions)
      }
    case .preparing:
      if valid.count >= majority {
        propose(over: valid, at: now, into: &actions)
      } else {
        loseIfHopeless(at: valid.count, into: &actions)
      }
    case .accepting(let result):
      if valid.count >= majority {
        answer(result, into: &actions)
      } else {
        loseIfHopeless(at: valid.count, into: &actions)
      }
    case .idle, .done: break
    }
  }

  private mutating func loseIfHopeless(at votes: Int?, into actions: inout [Action]) {
    let outstanding = acceptors.count(where: \.isOutstanding)
    if (votes ?? 0) + outstanding < majority { endRound(into: &actions) }
  }

  /// The value that a quorum of the votes names; nil inside when no vote brought it along.
  private func agreed(_ votes: [RegisterVote]) -> RegisterValue?? {
    for vote in votes where votes.count(where: { $0.accepted == vote.accepted }) >= majority {
      if vote.accepted == .zero { return .some(RegisterValue()) }
      return .some(votes.first { $0.accepted == vote.accepted && $0.value != nil }?.value)
    }
    return nil
  }

  /// A quorum has promised: decides what is to be accepted.
  private mutating func propose(
    over votes: [RegisterVote], at now: Now, into actions: inout [Action]
  ) {
    guard let latest = votes.max(by: { $0.accepted < $1.accepted }) else { return }
    let value = latest.value ?? RegisterValue()
    let isChosen = votes.count { $0.accepted == latest.accepted } >= majority
    var next = value
    var result: Result<RegisterValue, RequestFailure> = .success(value)
    if case .write(var write) = purpose {
      do throws(DecodingFailure) {
        switch try write.effect(on: value, at: now) {
        case .changed(let changed):
          next = changed
          result = .success(changed)
        case .unchanged: break
        case .refused(let failure): result = .failure(failure)
        case .unknown: result = .failure(.timeout)
        }
      } catch {
        result = .failure(.storage("a register does not decode: \(error)"))
      }
      purpose = .write(write)
    }
    // What the answer rests on must be chosen, or a later read might not see it.
    if next == value, isChosen { return answer(result, into: &actions) }
    phase = .accepting(result)
    let quorum = votes.map { SeatMark(partition: $0.partition, generation: $0.generation) }
    let replicas = acceptors.map(\.replica)
    acceptors = replicas.map { Ballotee(replica: $0) }
    for replica in replicas {
      actions.append(.accept(replica, ballot, next, quorum: quorum))
    }
  }
}
