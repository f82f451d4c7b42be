import KVBase
import KVModel

/// Makes a lost seat anew, with the help of all other acceptors of the partition's keys.
///
/// First every member is asked whether it has the seat, and every acceptor whether it could help: a
/// seat that somebody has is handed over, not made anew. Then each acceptor vows to ignore earlier
/// seats, and tells all it has accepted of the keys that are shared. A round whose promises came
/// from the lost seat is dead from then on, and what it had accepted by anyone before is known
/// here: so the promises that are lost with the disk bind nobody any more.
///
/// **Invariants**: no vow is asked for before no member has the seat and all acceptors have said
/// that they could help; the seat is taken only when each has vowed and has told everything.
public struct SeatRecovery: Hashable, Sendable {
  /// What must be done next.
  public enum Action: Hashable, Sendable {
    /// Ask the acceptor.
    case ask(CatchUpRequest)
    /// Ask the member whether it has the seat.
    case search(NodeID, CatchUpRequest)
    /// Merge the registers into those of the new generation, durably before the seat is taken.
    case merge([ReplicaScan.Entry])
    /// Take the seat of the new generation.
    case take(generation: UInt32)
  }

  /// About the most bytes in a page; each neighbour may have one on its way.
  public static let pageBytes = 256 << 10

  private struct Neighbour: Hashable, Sendable {
    var partition: PartitionID
    var isReady = false
    var cursor: ObjectKey?
    var isDone = false
  }

  /// The partition.
  public let partition: PartitionID
  private let instance: UInt64
  private var generation: UInt32
  private var isVowing = false
  private var neighbours: [Neighbour]
  private var members: [NodeID]?
  private var absentees: Set<NodeID> = []

  /// The recovery of the seat of `partition` above the generation `known`, on the disk `instance`.
  public init(
    partition: PartitionID, known: UInt32, instance: UInt64, neighbours: [PartitionID]
  ) {
    self.partition = partition
    self.instance = instance
    // The first generation is nobody's to make: it is the founder's.
    generation = max(known, 1)
    self.neighbours = neighbours.map { Neighbour(partition: $0) }
  }

  /// True once vows have been asked for: the old seat may be void from here on.
  public var isCommitted: Bool { isVowing }

  /// Asks whoever has not answered.
  ///
  /// - Parameter members: all members of the cluster but this one and those that are marked down.
  public mutating func `repeat`(searching members: [NodeID], into actions: inout [Action]) {
    self.members = members
    if !isVowing {
      for node in members where !absentees.contains(node) {
        actions.append(.search(node, search))
      }
    }
    askNeighbours(into: &actions)
    vowIfReady(into: &actions)
  }

  private func askNeighbours(into actions: inout [Action]) {
    for neighbour in neighbours where isVowing ? !neighbour.isDone : !neighbour.isReady {
      actions.append(.ask(request(to: neighbour)))
    }
  }

  private mutating func vowIfReady(into actions: inout [Action]) {
    guard !isVowing, let members, members.allSatisfy(absentees.contains),
      neighbours.allSatisfy(\.isReady), generation < .max
    else { return }
    isVowing = true
    generation += 1
    askNeighbours(into: &actions)
  }

  /// Takes in an answer.
  ///
  /// Answers to earlier questions change nothing.
  public mutating func receive(
    _ reply: CatchUpReply, from node: NodeID, into actions: inout [Action]
  ) {
    if reply.request == search {
      if reply.outcome == .absent { absentees.insert(node) } else { absentees.remove(node) }
      return vowIfReady(into: &actions)
    }
    guard
      let index = neighbours.firstIndex(where: { $0.partition == reply.request.neighbour }),
      reply.request == request(to: neighbours[index])
    else { return }
    switch reply.outcome {
    case .ready(let fence) where !isVowing:
      generation = max(generation, fence)
      neighbours[index].isReady = true
      vowIfReady(into: &actions)
    case .refused(let fence) where isVowing:
      // Somebody else has tried meanwhile: all must vow again, for a generation above.
      guard fence >= generation, fence < .max else { return }
      generation = fence + 1
      for index in neighbours.indices {
        neighbours[index].cursor = nil
        neighbours[index].isDone = false
      }
      askNeighbours(into: &actions)
    case .page(let entries, let next) where isVowing && !neighbours[index].isDone:
      actions.append(.merge(entries))
      neighbours[index].cursor = next
      neighbours[index].isDone = next == nil
      if next != nil {
        actions.append(.ask(request(to: neighbours[index])))
      } else if neighbours.allSatisfy(\.isDone) {
        actions.append(.take(generation: generation))
      }
    case .ready, .refused, .absent, .page: break
    }
  }

  /// The generation that is being made.
  public var newGeneration: UInt32 { generation }

  private var search: CatchUpRequest {
    CatchUpRequest(
      partition: partition, neighbour: partition, generation: 0, instance: instance, cursor: nil)
  }

  private func request(to neighbour: Neighbour) -> CatchUpRequest {
    CatchUpRequest(
      partition: partition, neighbour: neighbour.partition,
      generation: isVowing ? generation : 0, instance: instance,
      cursor: isVowing ? neighbour.cursor : nil)
  }
}
