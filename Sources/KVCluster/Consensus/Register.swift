public import KVBase

/// What a register holds: the object, and which changes made it.
public struct RegisterValue: Hashable, Sendable {
  /// The most changes that are remembered.
  public static let recentLimit = 32

  /// The encoded object; empty when the key has never been written.
  public var object: Bytes
  /// The latest changes by their numbers, latest last.
  ///
  /// A proposer that does not know whether an earlier round of its change was chosen finds it here.
  public var recent: [UInt64]

  /// A register that has never been written.
  public init() {
    object = []
    recent = []
  }

  /// The object as the changes `recent` have left it.
  public init(object: Bytes, recent: [UInt64]) {
    self.object = object
    self.recent = Array(recent.suffix(Self.recentLimit))
  }

  /// Appends object and changes.
  public func encode(into writer: inout ByteWriter) {
    writer.write(object)
    writer.write(list: recent) { $0.write(fixed: $1) }
  }

  /// Reads what ``encode(into:)`` wrote.
  public init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    object = try reader.readBytes()
    recent = try reader.readList(minimumBytes: 8) { (r) throws(DecodingFailure) in
      try r.readFixed(UInt64.self)
    }
    guard recent.count <= Self.recentLimit else {
      throw reader.failure(expected: "at most \(Self.recentLimit) recent changes")
    }
  }
}

/// One acceptor's part in the register of one key.
///
/// **Invariants**: 1. `accepted` is at most `promised`; 2. both only grow while the seat is the
/// same; 3. neither is told to anyone before it is durable, which is the shard's duty.
///
/// **Source**: Rystsov, *CASPaxos: Replicated State Machines without logs* (2018) §2.2.
public struct Register: Hashable, Sendable {
  private static let formatVersion: UInt8 = 1

  /// The cluster in which it was written; records of another one count for nothing.
  public let cluster: UInt64
  /// The generation of the seat for which it was written; other generations count for nothing.
  public let generation: UInt32
  /// The highest ballot promised: lower ones are refused.
  public private(set) var promised = Ballot.zero
  /// The ballot of the value; ``Ballot/zero`` when none was ever accepted.
  public private(set) var accepted = Ballot.zero
  /// The value accepted last.
  public private(set) var value = RegisterValue()

  /// A register that has promised and accepted nothing.
  public init(cluster: UInt64, generation: UInt32) {
    self.cluster = cluster
    self.generation = generation
  }

  /// Promises to refuse everything below `ballot`; false when a higher one was promised.
  public mutating func prepare(_ ballot: Ballot) -> Bool {
    guard ballot >= promised else { return false }
    promised = ballot
    return true
  }

  /// Accepts the value; false when a higher ballot was promised.
  public mutating func accept(_ ballot: Ballot, _ value: RegisterValue) -> Bool {
    guard ballot >= promised else { return false }
    promised = ballot
    accepted = ballot
    self.value = value
    return true
  }

  /// Takes over what another holder of the same seat, or the quorum of the others, knew.
  public mutating func merge(_ other: Register) {
    promised = max(promised, other.promised)
    guard other.accepted > accepted else { return }
    accepted = other.accepted
    value = other.value
  }

  /// The register as it is known to a seat of another generation: what was accepted, no promises.
  public func transplanted(to generation: UInt32) -> Register {
    var copy = Register(cluster: cluster, generation: generation)
    _ = copy.accept(accepted, value)
    return copy
  }

  /// The record as it is stored and moved; on disk: Docs/Formats.md.
  public func encoded() -> Bytes {
    var writer = ByteWriter(capacity: 64 + value.object.count + 8 * value.recent.count)
    writer.write(Self.formatVersion)
    writer.write(fixed: cluster)
    writer.write(fixed: generation)
    promised.encode(into: &writer)
    accepted.encode(into: &writer)
    value.encode(into: &writer)
    return writer.bytes
  }

  /// Reads back ``encoded()``; anything else is refused.
  public init(encoded bytes: Bytes) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    guard try reader.readByte() == Self.formatVersion else {
      throw DecodingFailure(expected: "register version \(Self.formatVersion)", offset: 0)
    }
    cluster = try reader.readFixed()
    generation = try reader.readFixed()
    promised = try Ballot(decoding: &reader)
    accepted = try Ballot(decoding: &reader)
    value = try RegisterValue(decoding: &reader)
    guard accepted <= promised else {
      throw reader.failure(expected: "a promise of at least the accepted ballot")
    }
    try reader.expectEnd()
  }
}
