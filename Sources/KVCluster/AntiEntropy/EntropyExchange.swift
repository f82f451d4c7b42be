import KVBase
import KVModel

/// One comparison of a vnode of this shard with another primary of one of its groups, and the repair
/// of what differs.
///
/// Root, then the branches that differ, then their leaves, these twice with a pause in between: what
/// differs only once was on its way. Then both sides list what they hold in the differing leaves,
/// page by page in key order, and each key whose versions differ is read once more on both sides and
/// repaired: the side that lacks events is given the object, both are when each lacks some.
///
/// **Invariants**: one question is under way at a time; a key is repaired only when two reads of
/// both sides, at different times, found the same difference; memory and messages are bounded by
/// ``EntropyLimits``.
///
/// **Source**: Dynamo (SOSP 2007) §4.7; reference section 5.5.
public struct EntropyExchange: Sendable {
  /// How an exchange ended.
  public enum Outcome: Hashable, Sendable {
    /// Both sides hold the same.
    case agreed
    /// The differing keys were repaired.
    case repaired
    /// The trees differ and no key does, or what differs cannot be repaired.
    case unresolved
    /// One side cannot take part now.
    case refused(EntropyRefusal)
    /// No answer came in time.
    case timedOut
  }

  /// What must be done next.
  public enum Action: Hashable, Sendable {
    /// Send the question; without an answer in time the exchange is over.
    case ask(EntropyRequest)
    /// Call ``EntropyExchange/resume(_:_:into:)`` with the number after this time.
    case pause(Duration, number: UInt32)
    /// Merge the objects into the own vnode and call ``EntropyExchange/stored(_:_:into:)``.
    case store([ReplicaScan.Entry])
    /// The exchange is over.
    case finished(Outcome)
  }

  /// The time and rate an exchange may use.
  public struct Pace: Hashable, Sendable {
    /// Between the two comparisons that must find the same difference.
    public var confirmation = Duration.milliseconds(500)
    /// Between two pages of a listing.
    public var page = Duration.milliseconds(5)
    /// Keys repaired in a second.
    public var repairsPerSecond = 1000

    /// The defaults.
    public init() {}
  }

  /// A key whose two versions differ, as listed.
  struct Difference: Hashable, Sendable {
    var key: ObjectKey
    var own: EntropyEntry?
    var other: EntropyEntry?

    /// True when the other side's object has events that are missing here.
    var mustPull: Bool {
      guard let other else { return false }
      guard let own else { return true }
      return own.clock == other.clock || !own.clock.descends(other.clock)
    }

    /// True when the other side lacks events of the object here.
    var mustPush: Bool {
      guard let own else { return false }
      guard let other else { return true }
      return own.clock == other.clock || !other.clock.descends(own.clock)
    }
  }

  enum Stage: Sendable {
    case root
    case leaves(rest: ArraySlice<Int>, asked: ArraySlice<Int>, isConfirming: Bool)
    case pausingToConfirm
    case listing
    case pausing
    case fetching
    case storing([ObjectKey])
    case pushing([ObjectKey], changed: Int)
  }

  /// The vnode of this shard.
  public let partition: PartitionID
  /// The vnode it is compared with.
  public let peer: PartitionID
  /// The shard that runs it.
  public let target: Address
  /// The group compared.
  public let group: TreeGroup
  /// The exchange's name in messages.
  public let operation: OperationID
  /// The number of the question or pause under way.
  public private(set) var number: UInt32 = 0
  /// Keys whose versions differed and do no longer.
  public internal(set) var repairedCount = 0
  /// Keys found different, on their way or for good.
  public internal(set) var differingCount = 0
  private let signature: UInt64
  let pace: Pace
  /// The part of the own vnode that is damaged: it is fetched whole and nothing is compared.
  public let damage: ReplicaDamage.Part?
  var stage = Stage.root
  var suspects = LeafSet()
  var leaves = LeafSet()
  var cursor: ObjectKey?
  var isListed = false
  /// The own page being compared, from the first entry after the cursor on.
  var ownPage: EntropyPage?
  var differences: [Difference] = []

  /// An exchange between the vnodes of two partitions.
  public init(
    partition: PartitionID, peer: PartitionID, target: Address, group: TreeGroup,
    operation: OperationID, signature: UInt64, pace: Pace, damage: ReplicaDamage.Part? = nil
  ) {
    self.partition = partition
    self.peer = peer
    self.target = target
    self.group = group
    self.operation = operation
    self.signature = signature
    self.pace = pace
    self.damage = damage
  }

  /// The pair compared.
  public var pair: EntropyPair { EntropyPair(partition: partition, peer: peer, group: group) }

  /// Begins.
  public mutating func start(into actions: inout [Action]) {
    guard let damage else { return ask(.root, &actions) }
    leaves = .all
    cursor = damage.after
    stage = .listing
    ownPage = EntropyPage(entries: [], through: damage.through)
    ask(.entries(leaves, after: cursor, through: damage.through), &actions)
  }

  mutating func ask(_ question: EntropyQuestion, _ actions: inout [Action]) {
    number += 1
    actions.append(
      .ask(
        EntropyRequest(
          operation: operation, number: number, partition: peer, group: group,
          signature: signature, question: question)))
  }

  mutating func pause(_ duration: Duration, _ actions: inout [Action]) {
    number += 1
    actions.append(.pause(duration, number: number))
  }

  /// The other side answered.
  public mutating func receive(
    _ reply: EntropyReply, _ trees: TreeKeeper, into actions: inout [Action]
  ) {
    guard reply.operation == operation, reply.number == number else { return }
    switch (stage, reply.answer) {
    case (_, .refused(.busy)): retry(trees, &actions)
    case (_, .refused(let refusal)): actions.append(.finished(.refused(refusal)))
    case (.root, .root(let hashes)): compareRoot(hashes, trees, &actions)
    case (.leaves(let rest, let asked, let isConfirming), .leaves(let hashes))
    where hashes.count == asked.count:
      compare(hashes, asked, trees, isConfirming: isConfirming)
      askLeaves(rest, isConfirming: isConfirming, &actions)
    case (.listing, .entries(let page)): compare(page, trees, &actions)
    case (.fetching, .found(let found)): repair(found, trees, &actions)
    case (.pushing(let rest, let changed), .stored(let more)):
      push(rest, changed: changed + more, trees, &actions)
    default: actions.append(.finished(.unresolved))
    }
  }

  /// A pause is over.
  public mutating func resume(
    _ number: UInt32, _ trees: TreeKeeper, into actions: inout [Action]
  ) {
    guard number == self.number else { return }
    switch stage {
    case .pausingToConfirm:
      askLeaves(suspects.branches[...], isConfirming: true, &actions)
    case .pausing: differences.isEmpty ? list(trees, &actions) : fetch(trees, &actions)
    // After `busy` the same question is asked again.
    case .root: ask(.root, &actions)
    case .leaves(let rest, let asked, let isConfirming):
      askLeaves(asked + rest, isConfirming: isConfirming, &actions)
    case .listing: list(trees, &actions)
    case .fetching: fetch(trees, &actions)
    case .storing, .pushing: actions.append(.finished(.refused(.busy)))
    }
  }

  private static let busyPause = Duration.milliseconds(200)

  private mutating func retry(_ trees: TreeKeeper, _ actions: inout [Action]) {
    pause(Self.busyPause, &actions)
  }

  // MARK: Trees

  private mutating func compareRoot(
    _ hashes: [UInt64], _ trees: TreeKeeper, _ actions: inout [Action]
  ) {
    guard let tree = trees.tree(of: group, in: partition) else {
      return actions.append(.finished(.refused(.notBuilt)))
    }
    let differing = tree.branches(differingFrom: hashes)
    guard !differing.isEmpty else { return actions.append(.finished(.agreed)) }
    askLeaves(differing[...], isConfirming: false, &actions)
  }

  private mutating func askLeaves(
    _ branches: ArraySlice<Int>, isConfirming: Bool, _ actions: inout [Action]
  ) {
    guard branches.isEmpty else {
      let asked = branches.prefix(EntropyLimits.branches)
      stage = .leaves(
        rest: branches.dropFirst(asked.count), asked: asked, isConfirming: isConfirming)
      return ask(.leaves(asked.map { UInt8($0) }), &actions)
    }
    if (isConfirming ? leaves : suspects).isEmpty {
      actions.append(.finished(.agreed))
    } else if isConfirming {
      stage = .pausing
      pause(pace.page, &actions)
    } else {
      stage = .pausingToConfirm
      pause(pace.confirmation, &actions)
    }
  }

  private mutating func compare(
    _ hashes: [[UInt64]], _ branches: ArraySlice<Int>, _ trees: TreeKeeper, isConfirming: Bool
  ) {
    guard let tree = trees.tree(of: group, in: partition) else { return }
    for (branch, other) in zip(branches, hashes) {
      for (position, pair) in zip(tree.leaves(of: branch), other).enumerated()
      where pair.0 != pair.1 {
        let leaf = LeafID(branch: branch, position: position)
        if !isConfirming {
          suspects.insert(leaf)
        } else if suspects.contains(leaf) {
          leaves.insert(leaf)
        }
      }
    }
  }
}
