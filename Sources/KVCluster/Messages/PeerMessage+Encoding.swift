public import KVBase
import KVModel

/// Encoding: a version byte, a tag byte, the fields. Objects travel as their encoded bytes.
extension PeerMessage {
  /// The version written; readers refuse any other.
  public static let formatVersion: UInt8 = 1

  /// The message as bytes.
  public func encoded() -> Bytes {
    var writer = ByteWriter(capacity: capacityHint)
    writer.write(Self.formatVersion)
    writer.write(tag)
    switch self {
    case .membership(let bytes): writer.write(raw: bytes)
    case .view(let view, let number):
      writer.write(fixed: number)
      view.encode(into: &writer)
    case .viewRequest(let number): writer.write(fixed: number)
    case .read(let request): request.encode(into: &writer)
    case .readReply(let reply): reply.encode(into: &writer)
    case .write(let request): request.encode(into: &writer)
    case .writeReply(let reply): reply.encode(into: &writer)
    case .forward(let put): put.encode(into: &writer)
    case .forwardReply(let reply): reply.encode(into: &writer)
    case .list(let request): request.encode(into: &writer)
    case .listReply(let reply): reply.encode(into: &writer)
    case .index(let request): request.encode(into: &writer)
    case .indexReply(let reply): reply.encode(into: &writer)
    case .keyQuery(let message): message.encode(into: &writer)
    case .handoff(let batch): batch.encode(into: &writer)
    case .handoffReceipt(let receipt): receipt.encode(into: &writer)
    case .handoffMessage(let message): message.encode(into: &writer)
    case .reap(let message): message.encode(into: &writer)
    case .setProperties(let change): change.encode(into: &writer)
    case .propertiesStored(let operation): operation.encode(into: &writer)
    case .transferCompleted(let transfer): transfer.encode(into: &writer)
    case .transferProgress(let rows, let isClosing):
      writer.write(list: rows) { $1.encode(into: &$0) }
      writer.write(isClosing)
    case .drained, .stopNow: break
    case .entropy(let message): message.encode(into: &writer)
    case .consensus(let message, let cluster):
      writer.write(fixed: cluster)
      message.encode(into: &writer)
    }
    return writer.bytes
  }

  /// Reads back ``encoded()``; anything else is refused.
  public init(decoding bytes: Bytes) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    guard try reader.readByte() == Self.formatVersion else {
      throw DecodingFailure(expected: "peer message version \(Self.formatVersion)", offset: 0)
    }
    let tag = try reader.readByte()
    switch tag {
    case 1: self = .membership(try reader.readRaw(reader.remaining))
    case 2:
      let number = try reader.readFixed(UInt64.self)
      self = .view(try ClusterView(decoding: &reader), number: number)
    case 3: self = .viewRequest(after: try reader.readFixed())
    case 4: self = .read(try ReadRequest(decoding: &reader))
    case 5: self = .readReply(try ReadReply(decoding: &reader))
    case 6: self = .write(try WriteRequest(decoding: &reader))
    case 7: self = .writeReply(try WriteReply(decoding: &reader))
    case 8: self = .forward(try ForwardedPut(decoding: &reader))
    case 9: self = .forwardReply(try ForwardReply(decoding: &reader))
    case 10: self = .list(try ListRequest(decoding: &reader))
    case 11: self = .listReply(try ListReply(decoding: &reader))
    case 0x20: self = .index(try IndexRequest(decoding: &reader))
    case 0x21: self = .indexReply(try IndexReply(decoding: &reader))
    case KeyQueryMessage.tags:
      self = .keyQuery(try KeyQueryMessage(tag: tag, decoding: &reader))
    case 12: self = .handoff(try HandoffBatch(decoding: &reader))
    case 13: self = .handoffReceipt(try HandoffReceipt(decoding: &reader))
    case 14: self = .setProperties(try PropertiesChange(decoding: &reader))
    case 15: self = .propertiesStored(try OperationID(decoding: &reader))
    case 16: self = .transferCompleted(try PendingTransfer(decoding: &reader))
    case 17:
      self = .transferProgress(
        try reader.readList(minimumBytes: 10) { (r) throws(DecodingFailure) in
          try ClusterStatus.TransferRow(decoding: &r)
        }, isClosing: try reader.readBool())
    case 18: self = .drained
    case 19: self = .stopNow
    case ConsensusMessage.tags:
      let cluster: UInt64 = try reader.readFixed()
      self = .consensus(try ConsensusMessage(tag: tag, decoding: &reader), cluster: cluster)
    case HandoffMessage.tags:
      self = .handoffMessage(try HandoffMessage(tag: tag, decoding: &reader))
    case EntropyMessage.tags:
      self = .entropy(try EntropyMessage(tag: tag, decoding: &reader))
    case ReapMessage.tags: self = .reap(try ReapMessage(tag: tag, decoding: &reader))
    default: throw DecodingFailure(expected: "a peer message tag, not \(tag)", offset: 1)
    }
    try reader.expectEnd()
  }

  var tag: UInt8 {
    switch self {
    case .membership: 1
    case .view: 2
    case .viewRequest: 3
    case .read: 4
    case .readReply: 5
    case .write: 6
    case .writeReply: 7
    case .forward: 8
    case .forwardReply: 9
    case .list: 10
    case .listReply: 11
    case .index: 0x20
    case .indexReply: 0x21
    case .keyQuery(let message): message.tag
    case .handoff: 12
    case .handoffReceipt: 13
    case .handoffMessage(let message): message.tag
    case .setProperties: 14
    case .propertiesStored: 15
    case .transferCompleted: 16
    case .transferProgress: 17
    case .drained: 18
    case .stopNow: 19
    case .entropy(let message): message.tag
    case .consensus(let message, _): message.tag
    case .reap(let message): message.tag
    }
  }

  private var capacityHint: Int {
    switch self {
    case .membership(let bytes): bytes.count + 2
    case .write(let request): request.encoded.count + request.key.key.count + 64
    case .forward(let put): put.content.value.count + 256
    case .readReply(let reply): reply.reading.byteCount + 32
    case .handoff(let batch): batch.entries.reduce(64) { $0 + $1.encoded.count + 64 }
    case .entropy(let message): message.capacityHint
    default: 64
    }
  }
}
