import KVBase
public import KVModel

/// Asks an acceptor about the register of a key.
public struct RegisterRequest: Hashable, Sendable {
  /// What is asked.
  public enum Step: Hashable, Sendable {
    /// What was accepted; a larger value than the limit may stay away.
    case query(byteLimit: Int)
    /// A promise to refuse lower ballots.
    case prepare
    /// To accept a value that rests on promises from these seats.
    case accept(RegisterValue, quorum: [SeatMark])
  }

  /// The proposer's operation.
  public var operation: OperationID
  /// The acceptor.
  public var partition: PartitionID
  /// The object's name.
  public var key: ObjectKey
  /// The acceptors of the key as the proposer counts them.
  public var n: Int
  /// The round; ``Ballot/zero`` for a query.
  public var ballot: Ballot
  /// What is asked.
  public var step: Step

  /// A question to the acceptor of `partition`.
  public init(
    operation: OperationID, partition: PartitionID, key: ObjectKey, n: Int, ballot: Ballot,
    step: Step
  ) {
    self.operation = operation
    self.partition = partition
    self.key = key
    self.n = n
    self.ballot = ballot
    self.step = step
  }
}

/// An acceptor's answer to a ``RegisterRequest``.
public struct RegisterVote: Hashable, Sendable {
  /// What was asked.
  public enum Phase: UInt8, Hashable, Sendable {
    case query = 0
    case prepare = 1
    case accept = 2
  }

  /// What the acceptor says.
  public enum Outcome: Hashable, Sendable {
    /// Yes: what it had accepted before, with the value unless it is too large; for an accept,
    /// nothing.
    case granted(accepted: Ballot, value: RegisterValue?)
    /// No: it has promised a higher ballot, or a seat of the quorum is void.
    case refused(promised: Ballot)
    /// It holds no seat, or cannot read its registers.
    case absent
  }

  /// The proposer's operation.
  public var operation: OperationID
  /// The acceptor.
  public var partition: PartitionID
  /// What was asked.
  public var phase: Phase
  /// The round.
  public var ballot: Ballot
  /// The answer.
  public var outcome: Outcome
  /// The generation of the seat from which this is said.
  public var generation: UInt32
  /// Seats of other acceptors that the acceptor holds to be void below these generations.
  public var fences: [SeatMark]

  /// An answer of the acceptor of `partition`.
  public init(
    operation: OperationID, partition: PartitionID, phase: Phase, ballot: Ballot,
    outcome: Outcome, generation: UInt32, fences: [SeatMark]
  ) {
    self.operation = operation
    self.partition = partition
    self.phase = phase
    self.ballot = ballot
    self.outcome = outcome
    self.generation = generation
    self.fences = fences
  }

  /// True for a yes.
  public var isGranted: Bool { if case .granted = outcome { true } else { false } }

  /// What had been accepted, ``Ballot/zero`` when nothing or for a no.
  var accepted: Ballot {
    if case .granted(let ballot, _) = outcome { ballot } else { .zero }
  }

  var value: RegisterValue? { if case .granted(_, let value) = outcome { value } else { nil } }
}

extension RegisterRequest {
  func encode(into writer: inout ByteWriter) {
    operation.encode(into: &writer)
    partition.encode(into: &writer)
    key.encode(into: &writer)
    writer.write(count: n)
    ballot.encode(into: &writer)
    switch step {
    case .query(let byteLimit):
      writer.write(UInt8(0))
      writer.write(count: byteLimit)
    case .prepare: writer.write(UInt8(1))
    case .accept(let value, let quorum):
      writer.write(UInt8(2))
      value.encode(into: &writer)
      writer.write(list: quorum) { $1.encode(into: &$0) }
    }
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    operation = try OperationID(decoding: &reader)
    partition = try PartitionID(decoding: &reader)
    key = try ObjectKey(decoding: &reader)
    n = Int(clamping: try reader.readVarint())
    ballot = try Ballot(decoding: &reader)
    switch try reader.readByte() {
    case 0: step = .query(byteLimit: Int(clamping: try reader.readVarint()))
    case 1: step = .prepare
    case 2:
      let value = try RegisterValue(decoding: &reader)
      step = .accept(
        value,
        quorum: try reader.readList(minimumBytes: 6) { (r) throws(DecodingFailure) in
          try SeatMark(decoding: &r)
        })
    case let tag: throw reader.failure(expected: "a step of a register, not \(tag)")
    }
  }
}

extension RegisterVote {
  func encode(into writer: inout ByteWriter) {
    operation.encode(into: &writer)
    partition.encode(into: &writer)
    writer.write(phase.rawValue)
    ballot.encode(into: &writer)
    switch outcome {
    case .granted(let accepted, let value):
      writer.write(UInt8(0))
      accepted.encode(into: &writer)
      writer.write(optional: value) { $1.encode(into: &$0) }
    case .refused(let promised):
      writer.write(UInt8(1))
      promised.encode(into: &writer)
    case .absent: writer.write(UInt8(2))
    }
    writer.write(fixed: generation)
    writer.write(list: fences) { $1.encode(into: &$0) }
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    operation = try OperationID(decoding: &reader)
    partition = try PartitionID(decoding: &reader)
    guard let phase = Phase(rawValue: try reader.readByte()) else {
      throw reader.failure(expected: "a phase of 0 to 2")
    }
    self.phase = phase
    ballot = try Ballot(decoding: &reader)
    switch try reader.readByte() {
    case 0:
      let accepted = try Ballot(decoding: &reader)
      outcome = .granted(
        accepted: accepted,
        value: try reader.readOptional { (r) throws(DecodingFailure) in
          try RegisterValue(decoding: &r)
        })
    case 1: outcome = .refused(promised: try Ballot(decoding: &reader))
    case 2: outcome = .absent
    case let tag: throw reader.failure(expected: "a vote, not \(tag)")
    }
    generation = try reader.readFixed()
    fences = try reader.readList(minimumBytes: 6) { (r) throws(DecodingFailure) in
      try SeatMark(decoding: &r)
    }
  }
}
