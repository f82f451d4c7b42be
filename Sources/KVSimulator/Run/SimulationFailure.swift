/// What a run demands of the cluster; a failed run names the demand that was not met.
public enum Checker: String, Sendable, CaseIterable {
  /// Every acknowledged write is there or was covered by a write that had seen it.
  case durability = "no acknowledged write lost"
  /// No sibling's write had seen another sibling.
  case concurrency = "siblings are concurrent"
  /// A value that an acknowledged write had seen is gone for good.
  case resurrection = "replaced values stay replaced"
  /// Every value returned was written, whole, to that key; no two writes share a dot.
  case integrity = "values and dots are genuine"
  /// All primaries hold the same object once the cluster is whole.
  case convergence = "replicas converge"
  /// Replicas that diverge are equal again in bounded time, without a read.
  case entropy = "replicas agree"
  /// Nothing is repaired where nothing differs.
  case idleness = "no repair when nothing differs"
  /// Data on nodes that do not own its partition finds its way home.
  case hints = "hints drain"
  /// When an owner reports that a partition is with its next owner, all of it is.
  case handoff = "new owners hold everything"
  /// No process is sent a message of a later release than its own.
  case versions = "nobody is told what it cannot know"
  /// All members agree about ring, members and properties.
  case ring = "the ring agrees"
  /// With PR + PW > N and stable ownership a read sees every earlier acknowledged write.
  case quorum = "reads see acknowledged writes"
  /// Each request gets exactly one final reply, of its own kind, in time.
  case replies = "one final reply each"
  /// A whole cluster answers.
  case availability = "a whole cluster answers"
  /// What clients were told of a consistent key, one register could have told.
  case linearizability = "registers are linearizable"
  /// Of several clients that race for one step of a consistent key one wins at most.
  case singleWinner = "one winner"
  /// Listings are complete when nothing changes.
  case listing = "listings are complete"
  /// Index queries tell what the objects say, in order.
  case indexes = "index queries are exact"
  /// Data types show the changes that were acknowledged, each once.
  case types = "data types keep their changes"
  /// Nothing is left of a bucket that was dropped.
  case drop = "a dropped bucket is empty"
  /// Tombstones go once nothing stands in their way.
  case reaping = "tombstones are reaped when all is calm"
  /// Bucket properties are what some client set last.
  case properties = "properties settle"
  /// The structures' own invariants hold.
  case invariants = "invariants hold"
  /// Stores open, flush, compact and close.
  case storage = "stores work"
  /// The world itself: shards ask only for what exists.
  case world = "the world is possible"
}

/// The first thing that went wrong in a run.
public struct SimulationFailure: Error, Hashable, Sendable {
  /// The demand that was not met.
  public var checker: Checker
  /// What was found and what should have been.
  public var explanation: String

  /// A demand that was not met, and what was found.
  public init(checker: Checker, explanation: String) {
    self.checker = checker
    self.explanation = explanation
  }
}
