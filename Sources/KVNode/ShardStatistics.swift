/// What a shard counts: totals since its start and a few present values.
public struct ShardStatistics: Hashable, Sendable {
  /// GETs coordinated here.
  public var gets = 0
  /// PUTs and deletes coordinated here.
  public var puts = 0
  /// Deletes asked of this shard.
  public var deletes = 0
  /// Listings asked of this shard.
  public var listings = 0
  /// Index queries coordinated.
  public var queries = 0
  /// Requests answered with a failure.
  public var failures = 0
  /// Of those, time-outs.
  public var timeouts = 0
  /// Of those, refusals because of a full queue.
  public var overloads = 0
  /// Writes forwarded to a shard that owns a primary.
  public var forwards = 0
  /// Answers to GETs that held more than one sibling.
  public var siblings = 0
  /// Objects sent to stale or missing replicas after a GET.
  public var readRepairs = 0
  /// Reads served by vnodes of this shard.
  public var vnodeGets = 0
  /// Writes stored by vnodes of this shard.
  public var vnodePuts = 0
  /// Of those, writes to partitions that another node owns.
  public var hintsStored = 0
  /// Writes that vnodes of this shard refused.
  public var vnodeRefusals = 0
  /// Objects that handoffs sent from here and had acknowledged.
  public var handoffObjects = 0
  /// Objects that handoffs brought here.
  public var handoffObjectsReceived = 0
  /// Messages that could not be decoded.
  public var undecodableMessages = 0
  /// Requests under way now.
  public var requestsActive = 0
  /// Objects in partitions that another node owns; 0 exactly when all are drained.
  public var hintsPending = 0
  /// Handoffs being sent now.
  public var handoffsActive = 0

  /// No counts.
  public init() {}

  /// Every counter under its name, in a fixed order.
  public var rows: [(name: String, value: Int)] {
    [
      ("gets", gets), ("puts", puts), ("deletes", deletes), ("listings", listings),
      ("index_queries", queries),
      ("failures", failures), ("timeouts", timeouts), ("overloads", overloads),
      ("forwards", forwards), ("siblings", siblings), ("readRepairs", readRepairs),
      ("vnodeGets", vnodeGets), ("vnodePuts", vnodePuts), ("hintsStored", hintsStored),
      ("vnodeRefusals", vnodeRefusals), ("handoffObjects", handoffObjects),
      ("handoffObjectsReceived", handoffObjectsReceived),
      ("undecodableMessages", undecodableMessages), ("requestsActive", requestsActive),
      ("hintsPending", hintsPending), ("handoffsActive", handoffsActive),
    ]
  }
}
