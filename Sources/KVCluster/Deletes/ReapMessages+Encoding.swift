import KVBase
import KVModel

extension ReapMessage {
  /// The tags of these messages.
  static let tags: ClosedRange<UInt8> = 0x50...0x54

  var tag: UInt8 {
    switch self {
    case .ask: 0x50
    case .vote: 0x51
    case .bury: 0x52
    case .buried: 0x53
    case .queue: 0x54
    }
  }

  func encode(into writer: inout ByteWriter) {
    switch self {
    case .ask(let order), .bury(let order): order.encode(into: &writer)
    case .vote(let vote):
      vote.operation.encode(into: &writer)
      writer.write(list: vote.verdicts) { $0.write($1.rawValue) }
      writer.write(list: vote.actors) { $0.write(fixed: $1.rawValue) }
    case .buried(let receipt):
      receipt.operation.encode(into: &writer)
      writer.write(count: receipt.count)
    case .queue(let partition, let keys):
      partition.encode(into: &writer)
      writer.write(list: keys) { $1.encode(into: &$0) }
    }
  }

  init(tag: UInt8, decoding reader: inout ByteReader) throws(DecodingFailure) {
    switch tag {
    case 0x50: self = .ask(try ReapOrder(decoding: &reader))
    case 0x51:
      let operation = try OperationID(decoding: &reader)
      let verdicts = try reader.readList { (r) throws(DecodingFailure) in
        guard let verdict = ReapVerdict(rawValue: try r.readByte()) else {
          throw r.failure(expected: "a verdict on a tombstone")
        }
        return verdict
      }
      var vote = ReapVote(operation: operation, verdicts: verdicts)
      vote.actors = try reader.readActors()
      self = .vote(vote)
    case 0x52: self = .bury(try ReapOrder(decoding: &reader))
    case 0x53:
      let operation = try OperationID(decoding: &reader)
      self = .buried(
        ReapReceipt(operation: operation, count: Int(clamping: try reader.readVarint())))
    case 0x54:
      let partition = try PartitionID(decoding: &reader)
      let keys = try reader.readList(minimumBytes: 3) { (r) throws(DecodingFailure) in
        try ObjectKey(decoding: &r)
      }
      self = .queue(partition, keys)
    default: throw reader.failure(expected: "a reaping message, not \(tag)")
    }
  }
}

extension ReapOrder {
  func encode(into writer: inout ByteWriter) {
    operation.encode(into: &writer)
    writer.write(purpose.rawValue)
    writer.write(varint: group.viewVersion)
    group.first.encode(into: &writer)
    writer.write(list: group.owners) { $0.write(fixed: $1.rawValue) }
    writer.write(list: partitions) { $1.encode(into: &$0) }
    writer.write(list: items) { writer, item in
      item.key.encode(into: &writer)
      item.clock.encode(into: &writer)
      writer.write(list: item.siblings) { $1.encode(into: &$0) }
      writer.write(list: item.retired) { $0.write(fixed: $1.rawValue) }
    }
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    operation = try OperationID(decoding: &reader)
    guard let purpose = ReapPurpose(rawValue: try reader.readByte()) else {
      throw reader.failure(expected: "a purpose of 0 or 1")
    }
    self.purpose = purpose
    let version = try reader.readVarint()
    let first = try PartitionID(decoding: &reader)
    let owners = try reader.readList(minimumBytes: 8) { (r) throws(DecodingFailure) in
      NodeID(rawValue: try r.readFixed())
    }
    group = ReapGroup(viewVersion: version, first: first, owners: owners)
    partitions = try reader.readList(minimumBytes: 2) { (r) throws(DecodingFailure) in
      try PartitionID(decoding: &r)
    }
    items = try reader.readList(minimumBytes: 6) { (r) throws(DecodingFailure) in
      var item = ReapItem(
        key: try ObjectKey(decoding: &r), clock: try VersionVector(decoding: &r))
      item.siblings = try r.readList(minimumBytes: 16) { (r) throws(DecodingFailure) in
        try Dot(decoding: &r)
      }
      item.retired = try r.readActors()
      return item
    }
    guard items.count <= ReapMessage.itemLimit, partitions.count <= owners.count else {
      throw reader.failure(
        expected: "at most \(ReapMessage.itemLimit) tombstones at \(owners.count) primaries")
    }
  }
}

extension ReapGroup {
  init(viewVersion: UInt64, first: PartitionID, owners: [NodeID]) {
    self.viewVersion = viewVersion
    self.first = first
    self.owners = owners
  }
}

extension ByteReader {
  fileprivate mutating func readActors() throws(DecodingFailure) -> [VnodeID] {
    try readList(minimumBytes: 8) { (r) throws(DecodingFailure) in
      VnodeID(rawValue: try r.readFixed())
    }
  }
}
