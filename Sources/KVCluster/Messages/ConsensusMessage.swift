import KVBase

/// What acceptors, proposers and the holders of seats say to each other.
///
/// **On the wire**: Docs/Protocols.md, "Consensus messages". The tags are fixed, 0x30 to 0x3F.
public enum ConsensusMessage: Hashable, Sendable {
  /// The tags that these messages have among all peer messages.
  static let tags: ClosedRange<UInt8> = 0x30...0x3F

  /// To an acceptor: query, prepare or accept.
  case request(RegisterRequest)
  /// From an acceptor.
  case vote(RegisterVote)
  /// To a partition's owner: the sender holds its seat and would give it.
  case offer(SeatStage)
  /// From the owner: give it to this disk.
  case claim(SeatStage, instance: UInt64)
  /// To the owner: registers of the seat.
  case batch(SeatBatch)
  /// From the owner: that batch is durable.
  case batchReceipt(SeatStage, instance: UInt64, number: UInt32)
  /// To the owner: the seat is yours, with the vows that go with it.
  case grant(SeatStage, instance: UInt64, fences: [SeatMark])
  /// The seat is known to be at this stage: whoever is at an earlier one has nothing.
  case settled(SeatStage)
  /// To another acceptor: help to make a lost seat anew.
  case catchUp(CatchUpRequest)
  /// From that acceptor.
  case catchUpReply(CatchUpReply)

  var tag: UInt8 {
    switch self {
    case .request: 0x30
    case .vote: 0x31
    case .offer: 0x32
    case .claim: 0x33
    case .batch: 0x34
    case .batchReceipt: 0x35
    case .grant: 0x36
    case .settled: 0x37
    case .catchUp: 0x38
    case .catchUpReply: 0x39
    }
  }

  func encode(into writer: inout ByteWriter) {
    switch self {
    case .request(let request): request.encode(into: &writer)
    case .vote(let vote): vote.encode(into: &writer)
    case .offer(let stage), .settled(let stage): stage.encode(into: &writer)
    case .claim(let stage, let instance):
      stage.encode(into: &writer)
      writer.write(fixed: instance)
    case .batch(let batch): batch.encode(into: &writer)
    case .batchReceipt(let stage, let instance, let number):
      stage.encode(into: &writer)
      writer.write(fixed: instance)
      writer.write(fixed: number)
    case .grant(let stage, let instance, let fences):
      stage.encode(into: &writer)
      writer.write(fixed: instance)
      writer.write(list: fences) { $1.encode(into: &$0) }
    case .catchUp(let request): request.encode(into: &writer)
    case .catchUpReply(let reply): reply.encode(into: &writer)
    }
  }

  init(tag: UInt8, decoding reader: inout ByteReader) throws(DecodingFailure) {
    switch tag {
    case 0x30: self = .request(try RegisterRequest(decoding: &reader))
    case 0x31: self = .vote(try RegisterVote(decoding: &reader))
    case 0x32: self = .offer(try SeatStage(decoding: &reader))
    case 0x33:
      let stage = try SeatStage(decoding: &reader)
      self = .claim(stage, instance: try reader.readFixed())
    case 0x34: self = .batch(try SeatBatch(decoding: &reader))
    case 0x35:
      let stage = try SeatStage(decoding: &reader)
      let instance: UInt64 = try reader.readFixed()
      self = .batchReceipt(stage, instance: instance, number: try reader.readFixed())
    case 0x36:
      let stage = try SeatStage(decoding: &reader)
      let instance: UInt64 = try reader.readFixed()
      self = .grant(
        stage, instance: instance,
        fences: try reader.readList(minimumBytes: 6) { (r) throws(DecodingFailure) in
          try SeatMark(decoding: &r)
        })
    case 0x37: self = .settled(try SeatStage(decoding: &reader))
    case 0x38: self = .catchUp(try CatchUpRequest(decoding: &reader))
    case 0x39: self = .catchUpReply(try CatchUpReply(decoding: &reader))
    default:
      throw DecodingFailure(expected: "a consensus message tag, not \(tag)", offset: 1)
    }
  }
}
