import KVBase
public import KVModel

/// A seat at a stage of its life.
public struct SeatStage: Hashable, Sendable {
  /// The partition.
  public var partition: PartitionID
  /// The seat's generation.
  public var generation: UInt32
  /// How often the seat has moved.
  public var hop: UInt32

  /// The seat of `partition` at a stage.
  public init(partition: PartitionID, generation: UInt32, hop: UInt32) {
    self.partition = partition
    self.generation = generation
    self.hop = hop
  }
}

/// Registers on their way to the disk that will get the seat.
public struct SeatBatch: Hashable, Sendable {
  /// The seat as the sender holds it.
  public var stage: SeatStage
  /// The disk it is for.
  public var instance: UInt64
  /// The batch's number within this handover, from 0.
  public var number: UInt32
  /// Keys and encoded registers.
  public var entries: [ReplicaScan.Entry]

  /// A batch for the disk `instance`.
  public init(
    stage: SeatStage, instance: UInt64, number: UInt32, entries: [ReplicaScan.Entry]
  ) {
    self.stage = stage
    self.instance = instance
    self.number = number
    self.entries = entries
  }
}

/// Asks another acceptor to vow that it ignores earlier seats of a lost acceptor, and for what it
/// knows of the keys that the two share.
public struct CatchUpRequest: Hashable, Sendable {
  /// The partition whose seat is made anew.
  public var partition: PartitionID
  /// The acceptor that is asked.
  public var neighbour: PartitionID
  /// The new generation; 0 asks only whether the acceptor could help.
  public var generation: UInt32
  /// The disk that makes the seat anew.
  public var instance: UInt64
  /// Where to go on.
  public var cursor: ObjectKey?

  /// A question about the seat of `partition` to the acceptor of `neighbour`.
  public init(
    partition: PartitionID, neighbour: PartitionID, generation: UInt32, instance: UInt64,
    cursor: ObjectKey?
  ) {
    self.partition = partition
    self.neighbour = neighbour
    self.generation = generation
    self.instance = instance
    self.cursor = cursor
  }
}

/// Answers a ``CatchUpRequest``.
public struct CatchUpReply: Hashable, Sendable {
  /// What the acceptor says.
  public enum Outcome: Hashable, Sendable {
    /// It could help; it has vowed for this generation so far.
    case ready(fence: UInt32)
    /// It has vowed for a higher generation, or for this one to another disk.
    case refused(fence: UInt32)
    /// It holds no seat itself.
    case absent
    /// The vow is made; some of the registers, and where to go on, nil at the end.
    case page([ReplicaScan.Entry], next: ObjectKey?)
  }

  /// What was asked.
  public var request: CatchUpRequest
  /// The answer.
  public var outcome: Outcome

  /// The answer to `request`.
  public init(request: CatchUpRequest, outcome: Outcome) {
    self.request = request
    self.outcome = outcome
  }
}

extension SeatStage {
  func encode(into writer: inout ByteWriter) {
    partition.encode(into: &writer)
    writer.write(fixed: generation)
    writer.write(fixed: hop)
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    partition = try PartitionID(decoding: &reader)
    generation = try reader.readFixed()
    hop = try reader.readFixed()
  }
}

extension SeatBatch {
  func encode(into writer: inout ByteWriter) {
    stage.encode(into: &writer)
    writer.write(fixed: instance)
    writer.write(fixed: number)
    writer.write(registers: entries)
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    stage = try SeatStage(decoding: &reader)
    instance = try reader.readFixed()
    number = try reader.readFixed()
    entries = try reader.readRegisters()
  }
}

extension CatchUpRequest {
  func encode(into writer: inout ByteWriter) {
    partition.encode(into: &writer)
    neighbour.encode(into: &writer)
    writer.write(fixed: generation)
    writer.write(fixed: instance)
    writer.write(optional: cursor) { $1.encode(into: &$0) }
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    partition = try PartitionID(decoding: &reader)
    neighbour = try PartitionID(decoding: &reader)
    generation = try reader.readFixed()
    instance = try reader.readFixed()
    cursor = try reader.readOptional { (r) throws(DecodingFailure) in try ObjectKey(decoding: &r) }
  }
}

extension CatchUpReply {
  func encode(into writer: inout ByteWriter) {
    request.encode(into: &writer)
    switch outcome {
    case .ready(let fence):
      writer.write(UInt8(0))
      writer.write(fixed: fence)
    case .refused(let fence):
      writer.write(UInt8(1))
      writer.write(fixed: fence)
    case .absent: writer.write(UInt8(2))
    case .page(let entries, let next):
      writer.write(UInt8(3))
      writer.write(registers: entries)
      writer.write(optional: next) { $1.encode(into: &$0) }
    }
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    request = try CatchUpRequest(decoding: &reader)
    switch try reader.readByte() {
    case 0: outcome = .ready(fence: try reader.readFixed())
    case 1: outcome = .refused(fence: try reader.readFixed())
    case 2: outcome = .absent
    case 3:
      let entries = try reader.readRegisters()
      outcome = .page(
        entries,
        next: try reader.readOptional { (r) throws(DecodingFailure) in
          try ObjectKey(decoding: &r)
        })
    case let tag: throw reader.failure(expected: "a catch-up's outcome, not \(tag)")
    }
  }
}

extension ByteWriter {
  fileprivate mutating func write(registers entries: [ReplicaScan.Entry]) {
    write(list: entries) { writer, entry in
      entry.key.encode(into: &writer)
      writer.write(entry.encoded)
    }
  }
}

extension ByteReader {
  fileprivate mutating func readRegisters() throws(DecodingFailure) -> [ReplicaScan.Entry] {
    try readList(minimumBytes: 4) { (r) throws(DecodingFailure) in
      let key = try ObjectKey(decoding: &r)
      return ReplicaScan.Entry(key: key, encoded: try r.readBytes())
    }
  }
}
