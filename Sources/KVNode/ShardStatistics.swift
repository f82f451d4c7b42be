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
  /// Bodies asked of a second replica because the first was late.
  public var hedgedReads = 0
  /// Index queries coordinated.
  public var queries = 0
  /// Folds coordinated.
  public var folds = 0
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
  /// Objects that a handoff's comparison found missing at the receiver.
  public var handoffDifferences = 0
  /// Comparisons of vnodes that ended, whatever they found.
  public var entropyExchanges = 0
  /// Objects that comparisons started here repaired, on either side.
  public var entropyRepairs = 0
  /// Messages that could not be decoded.
  public var undecodableMessages = 0
  /// GETs of keys in consistent buckets.
  public var consistentGets = 0
  /// Of those, GETs decided by one round trip that wrote nothing.
  public var consistentFastGets = 0
  /// PUTs and deletes of keys in consistent buckets that this shard proposed.
  public var consistentPuts = 0
  /// Rounds of prepare and accept begun here.
  public var consensusRounds = 0
  /// Rounds that were lost and followed by a pause.
  public var consensusRetries = 0
  /// Votes cast by acceptors of this shard.
  public var votes = 0
  /// Votes not cast because the seat is elsewhere.
  public var votesWithheld = 0
  /// Seats made anew here because the old ones were lost.
  public var seatsRecovered = 0
  /// Tombstones that rounds started here have removed everywhere.
  public var tombstonesReaped = 0
  /// Objects that rounds started here have freed of actors that count no more.
  public var clocksTrimmed = 0
  /// Tombstones that a round started here could not remove yet.
  public var reapsDeferred = 0
  /// Coordinated or merged objects above a size or sibling warning.
  public var limitWarnings = 0
  /// Requests under way now.
  public var requestsActive = 0
  /// GETs under way now, also those answered that still repair.
  public var getsActive = 0
  /// PUTs and deletes under way now.
  public var putsActive = 0
  /// Listings under way now.
  public var listingsActive = 0
  /// Index queries under way now.
  public var queriesActive = 0
  /// Folds under way now.
  public var foldsActive = 0
  /// Objects in partitions that another node owns; 0 exactly when all are drained.
  public var hintsPending = 0
  /// Partitions of this shard whose seats are not here, so that it cannot vote for them.
  public var seatsMissing = 0
  /// Handoffs being sent now.
  public var handoffsActive = 0

  /// No counts.
  public init() {}

  /// Every counter under its name, in a fixed order.
  public var rows: [(name: String, value: Int)] {
    [
      ("gets", gets), ("puts", puts), ("deletes", deletes), ("listings", listings),
      ("index_queries", queries), ("folds", folds),
      ("failures", failures), ("timeouts", timeouts), ("overloads", overloads),
      ("hedgedReads", hedgedReads),
      ("forwards", forwards), ("siblings", siblings), ("readRepairs", readRepairs),
      ("vnodeGets", vnodeGets), ("vnodePuts", vnodePuts), ("hintsStored", hintsStored),
      ("vnodeRefusals", vnodeRefusals), ("handoffObjects", handoffObjects),
      ("handoffObjectsReceived", handoffObjectsReceived),
      ("handoffDifferences", handoffDifferences),
      ("entropyExchanges", entropyExchanges), ("entropyRepairs", entropyRepairs),
      ("undecodableMessages", undecodableMessages), ("tombstonesReaped", tombstonesReaped),
      ("reapsDeferred", reapsDeferred), ("clocksTrimmed", clocksTrimmed),
      ("limitWarnings", limitWarnings),
      ("consistentGets", consistentGets),
      ("consistentFastGets", consistentFastGets), ("consistentPuts", consistentPuts),
      ("consensusRounds", consensusRounds), ("consensusRetries", consensusRetries),
      ("votes", votes), ("votesWithheld", votesWithheld), ("seatsRecovered", seatsRecovered),
      ("requestsActive", requestsActive), ("getsActive", getsActive),
      ("putsActive", putsActive), ("listingsActive", listingsActive),
      ("queriesActive", queriesActive), ("foldsActive", foldsActive),
      ("hintsPending", hintsPending), ("handoffsActive", handoffsActive),
      ("seatsMissing", seatsMissing),
    ]
  }
}
