import KVBase
import KVModel

/// Orders the states of one cluster's ring: the larger replaces the smaller everywhere.
///
/// **Invariants**: two states with the same version are equal. The nonce is what makes it so when a
/// claimant that lost its latest unsynced state, or a second one, uses a number again.
struct RingVersion: Hashable, Comparable, Sendable {
  /// Increases when the claimant changes.
  var term: UInt64
  /// Increases with each change, through all terms.
  var number: UInt64
  /// Drawn at random for each change.
  var nonce: UInt64

  static func < (a: RingVersion, b: RingVersion) -> Bool {
    (a.term, a.number, a.nonce) < (b.term, b.number, b.nonce)
  }
}

/// A change that an operator has asked for and not yet committed.
enum StagedChange: Hashable, Sendable {
  case join(NodeID)
  case leave(NodeID)
  case forceRemove(NodeID)
  case replace(NodeID, with: NodeID)
  case locate(NodeID, String)

  /// The member whose place changes; a replacement is filed under the one that goes.
  var subject: NodeID {
    switch self {
    case .join(let node), .leave(let node), .forceRemove(let node), .replace(let node, _),
      .locate(let node, _):
      node
    }
  }

  /// True when the subject goes.
  var isDeparture: Bool {
    switch self {
    case .join, .locate: false
    case .leave, .forceRemove, .replace: true
    }
  }
}

/// What all members of a cluster agree on: who they are, who owns what, and what is to change.
///
/// Only the claimant makes new states; everyone else takes the one with the larger version.
///
/// **Invariants**: those ``invariantViolation`` lists.
struct RingState: Hashable, Sendable {
  /// The most members a cluster may have.
  static let memberLimit = 512
  /// How many former members are remembered, to be told that they are no longer.
  static let removedLimit = 64

  /// Distinguishes this cluster from every other; drawn at random by its first node.
  var clusterID: UInt64
  var version: RingVersion
  /// The member that makes all changes.
  var claimant: NodeID
  /// Sorted by id.
  var members: [Member]
  /// By partition.
  var owners: [NodeID]
  /// Sorted by partition, at most one each.
  var transfers: [PendingTransfer] = []
  /// In the order they were asked for.
  var staged: [StagedChange] = []
  /// Latest last.
  var removed: [Member] = []

  /// The cluster of one node.
  init(singleton member: Member, ringSize: Int, clusterID: UInt64) {
    var member = member
    member.status = .valid
    self.clusterID = clusterID
    version = RingVersion(term: 1, number: 1, nonce: clusterID)
    claimant = member.id
    members = [member]
    owners = Array(repeating: member.id, count: ringSize)
  }

  /// A state of the given parts, for decoding.
  init(
    clusterID: UInt64, version: RingVersion, claimant: NodeID, members: [Member], owners: [NodeID]
  ) {
    self.clusterID = clusterID
    self.version = version
    self.claimant = claimant
    self.members = members
    self.owners = owners
  }

  var isSingleton: Bool { members.count == 1 }

  func index(of node: NodeID) -> Int? { members.firstIndex { $0.id == node } }

  func member(_ node: NodeID) -> Member? { members.first { $0.id == node } }

  func member(named name: String) -> Member? { members.first { $0.name == name } }

  func name(of node: NodeID) -> String { member(node)?.name ?? "node \(node.rawValue)" }

  /// Who owns each partition once all transfers are done.
  var futureOwners: [NodeID] {
    var future = owners
    for transfer in transfers { future[transfer.partition.index] = transfer.to }
    return future
  }

  mutating func setStatus(_ status: MemberStatus, of node: NodeID) {
    guard let index = index(of: node) else { return }
    members[index].status = status
  }

  mutating func insert(_ member: Member) {
    removed.removeAll { $0.id == member.id }
    members.removeAll { $0.id == member.id }
    members.insert(member, at: members.firstIndex { $0.id > member.id } ?? members.count)
  }

  /// Each member's location, for the claim.
  var locations: [NodeID: String] {
    Dictionary(uniqueKeysWithValues: members.map { ($0.id, $0.location) })
  }

  mutating func setLocation(_ location: String, of node: NodeID) {
    guard let index = index(of: node) else { return }
    members[index].location = location
  }

  /// Takes over where a member is reached and how it is made up; status and location stay.
  mutating func update(_ member: Member) {
    guard let index = index(of: member.id) else { return }
    let (status, location) = (members[index].status, members[index].location)
    members[index] = member
    members[index].status = status
    members[index].location = location
  }

  /// Takes a member that owns nothing out, and everything staged about it.
  mutating func remove(_ node: NodeID) {
    guard let index = index(of: node) else { return }
    var former = members.remove(at: index)
    former.location = ""
    removed.append(former)
    removed.removeFirst(max(0, removed.count - Self.removedLimit))
    staged.removeAll { change in
      if case .replace(_, with: node) = change { return true }
      return change.subject == node
    }
  }

  /// Gives a partition to its next owner.
  mutating func complete(_ transfer: PendingTransfer) -> Bool {
    guard let index = transfers.firstIndex(of: transfer) else { return false }
    transfers.remove(at: index)
    owners[transfer.partition.index] = transfer.to
    return true
  }

  /// Draws the consequences of a change: a partition whose owner is down needs no transfer, and a
  /// leaving member without partitions is about to go.
  mutating func settle() {
    for transfer in transfers where member(transfer.from)?.status ?? .down == .down {
      _ = complete(transfer)
    }
    for index in members.indices where members[index].status == .leaving {
      let node = members[index].id
      let isInvolved = owners.contains(node) || transfers.contains { $0.to == node }
      if !isInvolved { members[index].status = .exiting }
    }
  }

  /// What is wrong with this state, in words; nil when nothing is.
  var invariantViolation: String? {
    let ids = members.map(\.id)
    let known = Set(ids)
    guard (1...Self.memberLimit).contains(ids.count) else { return "\(ids.count) members" }
    guard zip(ids, ids.dropFirst()).allSatisfy({ $0 < $1 }) else { return "unsorted members" }
    guard members.allSatisfy({ (1...4096).contains($0.shardCount) }) else { return "shard counts" }
    guard known.contains(claimant) else { return "a claimant that is not a member" }
    guard Ring.sizes.contains(owners.count) else { return "\(owners.count) partitions" }
    guard owners.allSatisfy(known.contains) else { return "an owner that is not a member" }
    guard zip(transfers, transfers.dropFirst()).allSatisfy({ $0.partition < $1.partition }) else {
      return "unsorted transfers"
    }
    for transfer in transfers {
      guard owners.indices.contains(transfer.partition.index) else {
        return "a transfer of nothing"
      }
      guard owners[transfer.partition.index] == transfer.from, transfer.from != transfer.to,
        known.contains(transfer.to)
      else { return "a transfer of partition \(transfer.partition.index) to or from a stranger" }
    }
    for change in staged {
      guard known.contains(change.subject) else { return "a change staged for a stranger" }
      if case .replace(let old, let new) = change, !known.contains(new) || old == new {
        return "a replacement by a stranger"
      }
    }
    guard staged.count <= 2 * Self.memberLimit, removed.count <= Self.removedLimit else {
      return "too many changes"
    }
    guard !removed.contains(where: { known.contains($0.id) }) else { return "a removed member" }
    return nil
  }

  /// Stops the program when an invariant does not hold.
  func checkInvariants() {
    let violation = invariantViolation
    precondition(violation == nil, "ring state with \(violation ?? "")")
  }
}
