import KVBase
import KVModel

/// What committing the staged changes of a state leads to.
struct RingPlan: Sendable {
  /// The state after the commit, with the version still to be set.
  var next: RingState
  /// Equal for equal plans: a commit is only done when the operator saw this very plan.
  var digest: UInt64
  /// Moves of partitions, with and without their data, sorted by names.
  var moves: [ClusterPlan.Move]
  /// Things an operator should know before committing.
  var warnings: [String]
  /// Balance, spacing and cost of the plan, in words.
  var notes: [String]

  /// The plan for what is staged in `state`; nil when no member would be left to own partitions.
  ///
  /// Cost is that of a ``Claim``.
  init?(for state: RingState, targetNVal: Int) {
    var next = state
    var future = state.futureOwners
    var lost: [String] = []
    for change in state.staged {
      switch change {
      case .join(let node): next.setStatus(.valid, of: node)
      case .leave(let node): next.setStatus(.leaving, of: node)
      case .forceRemove(let node):
        lost.append(state.name(of: node))
        next.remove(node)
      case .replace(let old, let new):
        next.setStatus(.leaving, of: old)
        next.setStatus(.valid, of: new)
        future = future.map { $0 == old ? new : $0 }
      case .locate(let node, let location): next.setLocation(location, of: node)
      }
    }
    next.staged = []
    let claimers = next.members.filter { $0.status == .valid || $0.status == .down }.map(\.id)
    guard !claimers.isEmpty else { return nil }
    let claim = Claim(
      owners: future, claimers: claimers, targetNVal: targetNVal, locations: next.locations)
    next.assign(claim.owners)
    next.settle()
    self.next = next
    moves = Self.moves(from: state, to: next, targets: claim.owners)
    warnings = lost.map { "All of '\($0)' replicas will be lost" }
    if Claim.sharesNodes(claim.owners, n: targetNVal) {
      warnings.append("Not all replicas will be on distinct nodes")
    }
    if claim.locationViolationCount > 0 {
      warnings.append("Not all replicas will be in distinct locations")
    }
    if let lost = Self.lossWarning(from: state, to: next) { warnings.append(lost) }
    notes = Self.notes(claim, from: future, claimers: claimers)
    digest = Self.digest(of: state, future: future, targets: claim.owners)
  }

  /// How many preference lists of three members lose all of them without handing anything over.
  private static func lossWarning(from state: RingState, to next: RingState) -> String? {
    let size = state.owners.count
    let isGone = state.owners.map { (next.member($0)?.status ?? .down) == .down }
    let count = (0..<size).count { first in
      (0..<min(3, size)).allSatisfy { isGone[(first + $0) % size] }
    }
    return count == 0
      ? nil : "Objects of \(count) of \(size) preference lists lose all 3 replicas"
  }

  private static func notes(
    _ claim: Claim, from before: [NodeID], claimers: [NodeID]
  ) -> [String] {
    var shares: [NodeID: Int] = [:]
    for owner in claim.owners { shares[owner, default: 0] += 1 }
    let counts = claimers.map { shares[$0] ?? 0 }
    let least = Claim.leastMoves(owners: before, claimers: claimers)
    var notes = [
      "Balance: \(counts.min() ?? 0) to \(counts.max() ?? 0) of \(claim.owners.count) partitions "
        + "for each of \(claimers.count) members",
      "Spacing: a member's partitions are \(claim.spacing) apart, "
        + "but for \(claim.violationCount) pairs",
      "Moved: \(claim.movedCount) partitions; equal shares alone take \(least)",
    ]
    if claim.locationSpacing > 1 {
      notes.insert(
        "Locations: a location's partitions are \(claim.locationSpacing) apart, "
          + "but for \(claim.locationViolationCount) pairs", at: 2)
    }
    return notes
  }

  private static func digest(of state: RingState, future: [NodeID], targets: [NodeID]) -> UInt64 {
    var writer = ByteWriter()
    writer.write(list: state.staged) { $1.encode(into: &$0) }
    writer.write(list: state.members) { $1.encode(into: &$0) }
    writer.write(list: future) { $1.encode(into: &$0) }
    writer.write(list: targets) { $1.encode(into: &$0) }
    writer.write(list: state.members) { $0.write($1.location) }
    return StableHash.hash(writer.bytes)
  }

  private static func moves(
    from state: RingState, to next: RingState, targets: [NodeID]
  ) -> [ClusterPlan.Move] {
    struct Kind: Hashable {
      var from: NodeID
      var to: NodeID
      var transfersData: Bool
    }
    let pending = Set(next.transfers.map(\.partition.index))
    var counts: [Kind: Int] = [:]
    for (index, owner) in state.owners.enumerated() where owner != targets[index] {
      let kind = Kind(from: owner, to: targets[index], transfersData: pending.contains(index))
      counts[kind, default: 0] += 1
    }
    return counts.map { kind, count in
      ClusterPlan.Move(
        from: state.name(of: kind.from), to: state.name(of: kind.to), count: count,
        transfersData: kind.transfersData)
    }.sorted { ($0.from, $0.to, $0.count) < ($1.from, $1.to, $1.count) }
  }
}

extension RingState {
  /// Makes `targets` the future owners: by a transfer where the present owner still has the data to
  /// give, at once where it has not.
  mutating func assign(_ targets: [NodeID]) {
    transfers = []
    for (index, owner) in owners.enumerated() where owner != targets[index] {
      if let holder = member(owner), holder.status != .down {
        transfers.append(
          PendingTransfer(partition: PartitionID(index), from: owner, to: targets[index]))
      } else {
        owners[index] = targets[index]
      }
    }
  }
}
