import KVBase
import KVModel

extension HandoffMessage {
  /// The tags of these messages among all peer messages.
  static let tags: ClosedRange<UInt8> = 0x60...0x6F

  var tag: UInt8 {
    switch self {
    case .compare: 0x60
    case .compared: 0x61
    case .offer: 0x62
    case .wanted: 0x63
    case .limits: 0x64
    }
  }

  func encode(into writer: inout ByteWriter) {
    switch self {
    case .compare(let comparison): comparison.encode(into: &writer)
    case .compared(let receipt): receipt.encode(into: &writer)
    case .offer(let offer): offer.encode(into: &writer)
    case .wanted(let wish): wish.encode(into: &writer)
    case .limits(let concurrency, let bytesPerSecond):
      writer.write(count: concurrency)
      writer.write(count: bytesPerSecond)
    }
  }

  init(tag: UInt8, decoding reader: inout ByteReader) throws(DecodingFailure) {
    switch tag {
    case 0x60: self = .compare(try HandoffComparison(decoding: &reader))
    case 0x61: self = .compared(try HandoffReceipt(decoding: &reader))
    case 0x62: self = .offer(try HandoffOffer(decoding: &reader))
    case 0x63: self = .wanted(try HandoffWish(decoding: &reader))
    case 0x64:
      let concurrency = Int(clamping: try reader.readVarint())
      self = .limits(
        concurrency: concurrency, bytesPerSecond: Int(clamping: try reader.readVarint()))
    default: throw reader.failure(expected: "a handoff message, not tag \(tag)")
    }
  }
}

extension HandoffComparison {
  func encode(into writer: inout ByteWriter) {
    operation.encode(into: &writer)
    partition.encode(into: &writer)
    writer.write(fixed: number)
    for key in [after, through] { writer.write(optional: key) { $1.encode(into: &$0) } }
    writer.write(count: digest.count)
    writer.write(fixed: digest.sum)
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    let operation = try OperationID(decoding: &reader)
    let partition = try PartitionID(decoding: &reader)
    let number: UInt32 = try reader.readFixed()
    let after = try reader.readOptional { (r) throws(DecodingFailure) in
      try ObjectKey(decoding: &r)
    }
    let through = try reader.readOptional { (r) throws(DecodingFailure) in
      try ObjectKey(decoding: &r)
    }
    let count = try reader.readVarint()
    guard count <= UInt64(HandoffOffer.itemLimit) else {
      throw reader.failure(expected: "a comparison of at most \(HandoffOffer.itemLimit) objects")
    }
    self.init(
      operation: operation, partition: partition, number: number, after: after, through: through,
      digest: PartitionDigest(count: Int(count), sum: try reader.readFixed()))
  }
}

extension HandoffOffer {
  /// The most objects that one message compares: what a vnode looks at in one step.
  static let itemLimit = 100_000

  func encode(into writer: inout ByteWriter) {
    operation.encode(into: &writer)
    partition.encode(into: &writer)
    writer.write(fixed: number)
    writer.write(list: items) { writer, item in
      item.key.encode(into: &writer)
      item.clock.encode(into: &writer)
    }
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    operation = try OperationID(decoding: &reader)
    partition = try PartitionID(decoding: &reader)
    number = try reader.readFixed()
    items = try reader.readList(minimumBytes: 4) { (r) throws(DecodingFailure) in
      let key = try ObjectKey(decoding: &r)
      return Item(key: key, clock: try VersionVector(decoding: &r))
    }
    guard items.count <= Self.itemLimit else {
      throw reader.failure(expected: "an offer of at most \(Self.itemLimit) objects")
    }
  }
}

extension HandoffWish {
  func encode(into writer: inout ByteWriter) {
    operation.encode(into: &writer)
    writer.write(fixed: number)
    writer.write(optional: wanted) { writer, wanted in
      writer.write(list: wanted) { $0.write(count: $1) }
    }
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    operation = try OperationID(decoding: &reader)
    number = try reader.readFixed()
    wanted = try reader.readOptional { (r) throws(DecodingFailure) in
      try r.readList { (r) throws(DecodingFailure) in Int(clamping: try r.readVarint()) }
    }
    guard zip(wanted ?? [], (wanted ?? []).dropFirst()).allSatisfy({ $0 < $1 }) else {
      throw reader.failure(expected: "ascending positions")
    }
  }
}
