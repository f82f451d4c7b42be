import KVBase

/// The right to vote as the acceptor of one partition.
///
/// The acceptors of a key are the N partitions of its preference list, whoever owns them; a
/// majority of N is a quorum, so any two quorums share an acceptor. That holds as long as each
/// acceptor is one and remembers its promises: exactly one disk holds its seat. A seat moves with
/// all its registers, hop by hop, when the partition changes hands. If the disk that holds it is
/// lost, the partition's next owner takes a seat of a new *generation*, once every other acceptor
/// of the partition's keys has vowed to ignore the old one and has told what it knows.
///
/// **Source**: Lamport, Malkhi, Zhou, *Vertical Paxos* (2009) for the idea of sealing before
/// moving.
public struct Seat: Hashable, Sendable {
  /// What a node has of a seat.
  public enum State: Hashable, Sendable {
    /// Nothing.
    case vacant
    /// The right to vote.
    case held
    /// Nothing any more: it was given to the disk `instance` of `node`, which may not know yet.
    case given(to: NodeID, instance: UInt64)
  }

  /// Increases when a seat is made anew because the old one is lost.
  public var generation: UInt32
  /// Increases each time the seat of a generation moves.
  public var hop: UInt32
  /// What this node has of it.
  public var state: State

  /// What a node knows of a seat of which it has heard nothing.
  public static let unknown = Seat(generation: 0, hop: 0, state: .vacant)
  /// What the first node of a cluster has of every seat.
  public static let founding = Seat(generation: 1, hop: 0, state: .held)

  /// A seat as this node knows it.
  public init(generation: UInt32, hop: UInt32, state: State) {
    self.generation = generation
    self.hop = hop
    self.state = state
  }

  /// True when this is a later stage of the seat's life than the given one.
  public func isLater(than generation: UInt32, hop: UInt32) -> Bool {
    (self.generation, self.hop) > (generation, hop)
  }
}

/// A vow to ignore seats of a partition below a generation, made to one disk that makes it anew.
public struct SeatFence: Hashable, Sendable {
  /// The lowest generation that counts.
  public var generation: UInt32
  /// The disk to which the vow was made.
  public var instance: UInt64

  /// A vow in favour of `generation` on the disk `instance`.
  public init(generation: UInt32, instance: UInt64) {
    self.generation = generation
    self.instance = instance
  }
}

/// One vote's credentials: which seat it was cast from.
public struct SeatMark: Hashable, Sendable {
  /// The acceptor.
  public var partition: PartitionID
  /// The generation of its seat.
  public var generation: UInt32

  /// The seat `generation` of `partition`.
  public init(partition: PartitionID, generation: UInt32) {
    self.partition = partition
    self.generation = generation
  }

  func encode(into writer: inout ByteWriter) {
    partition.encode(into: &writer)
    writer.write(fixed: generation)
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    partition = try PartitionID(decoding: &reader)
    generation = try reader.readFixed()
  }
}
