public import KVBase

/// The number of one round of one register: rounds of all proposers are totally ordered.
///
/// A proposer never uses a ballot twice: it counts up, and its actor is drawn anew with each start.
///
/// **Source**: Lamport, *The Part-Time Parliament* (1998) §2.1; Rystsov, *CASPaxos* (2018) §2.2.
public struct Ballot: Hashable, Comparable, Sendable {
  /// No honest proposer counts this far; a larger counter is a forgery.
  public static let counterLimit: UInt64 = 1 << 48
  /// Below every ballot of a round.
  public static let zero = Ballot(counter: 0, actor: 0)

  /// Grows with each round that a proposer learns of.
  public var counter: UInt64
  /// The proposer.
  public var actor: UInt64

  /// The round `counter` of `actor`.
  public init(counter: UInt64, actor: UInt64) {
    self.counter = counter
    self.actor = actor
  }

  /// Orders by counter, then by actor.
  public static func < (a: Ballot, b: Ballot) -> Bool {
    (a.counter, a.actor) < (b.counter, b.actor)
  }

  /// Appends counter and actor, 8 bytes each.
  public func encode(into writer: inout ByteWriter) {
    writer.write(fixed: counter)
    writer.write(fixed: actor)
  }

  /// Reads a ballot with a counter up to the limit.
  public init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    counter = try reader.readFixed()
    actor = try reader.readFixed()
    guard counter <= Self.counterLimit else {
      throw reader.failure(expected: "a ballot below 2^48, not \(counter)")
    }
  }
}
