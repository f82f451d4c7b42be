/// What a client has done so far; the numbers only grow.
public struct ClientStatistics: Hashable, Sendable {
  /// Requests that began.
  public var requests = 0
  /// Requests that failed.
  public var failures = 0
  /// Attempts of requests about one key that went to a primary of the key.
  public var attemptsAtPrimaries = 0
  /// Attempts that went elsewhere although a primary was known: it was busy, or away.
  public var attemptsElsewhere = 0
  /// Attempts whose key's primaries were not known.
  public var attemptsUnplaced = 0
  /// Second and further attempts.
  public var retries = 0
  /// Reads for which a second node was asked.
  public var hedges = 0
  /// Reads that the second node answered first.
  public var hedgesWon = 0
  /// Questions for preference lists.
  public var placementQuestions = 0
  /// Connections opened.
  public var connectionsOpened = 0
  /// Connections that are gone.
  public var connectionsClosed = 0

  /// Of the attempts whose key's primaries were known, the share that went to one; 1 for none.
  public var primaryShare: Double {
    let known = attemptsAtPrimaries + attemptsElsewhere
    return known == 0 ? 1 : Double(attemptsAtPrimaries) / Double(known)
  }
}
