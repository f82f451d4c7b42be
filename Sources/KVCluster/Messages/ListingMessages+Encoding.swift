import KVBase
import KVModel

extension ListingScope {
  func encode(into writer: inout ByteWriter) {
    switch self {
    case .buckets(let type):
      writer.write(UInt8(0))
      writer.write(type)
    case .keys(let bucket):
      writer.write(UInt8(1))
      bucket.encode(into: &writer)
    }
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    switch try reader.readByte() {
    case 0: self = .buckets(type: try reader.readBytes())
    case 1: self = .keys(try BucketID(decoding: &reader))
    case let tag: throw reader.failure(expected: "a listing's scope, not \(tag)")
    }
  }
}

extension ListRequest {
  func encode(into writer: inout ByteWriter) {
    operation.encode(into: &writer)
    partition.encode(into: &writer)
    scope.encode(into: &writer)
    writer.write(list: firstPartitions) { $1.encode(into: &$0) }
    writer.write(optional: cursor) { $1.encode(into: &$0) }
    writer.write(count: limit)
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    operation = try OperationID(decoding: &reader)
    partition = try PartitionID(decoding: &reader)
    scope = try ListingScope(decoding: &reader)
    firstPartitions = try reader.readList(minimumBytes: 2) { (r) throws(DecodingFailure) in
      try PartitionID(decoding: &r)
    }
    cursor = try reader.readOptional { (r) throws(DecodingFailure) in try ObjectKey(decoding: &r) }
    limit = Int(clamping: try reader.readVarint())
  }
}

extension ListReply {
  func encode(into writer: inout ByteWriter) {
    operation.encode(into: &writer)
    partition.encode(into: &writer)
    writer.write(result: result) { writer, page in
      writer.write(list: page.names) { $0.write($1) }
      writer.write(optional: page.cursor) { $1.encode(into: &$0) }
    }
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    operation = try OperationID(decoding: &reader)
    partition = try PartitionID(decoding: &reader)
    result = try reader.readResult { (r) throws(DecodingFailure) in
      let names = try r.readList { (r) throws(DecodingFailure) in try r.readBytes() }
      let cursor = try r.readOptional { (r) throws(DecodingFailure) in
        try ObjectKey(decoding: &r)
      }
      return Page(names: names, cursor: cursor)
    }
  }
}

extension PropertiesChange {
  func encode(into writer: inout ByteWriter) {
    operation.encode(into: &writer)
    bucket.encode(into: &writer)
    writer.write(optional: properties) { $1.encode(into: &$0) }
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    operation = try OperationID(decoding: &reader)
    bucket = try BucketID(decoding: &reader)
    properties = try reader.readOptional { (r) throws(DecodingFailure) in
      try BucketProperties(decoding: &r)
    }
  }
}

extension HandoffBatch {
  func encode(into writer: inout ByteWriter) {
    operation.encode(into: &writer)
    partition.encode(into: &writer)
    writer.write(fixed: number)
    writer.write(list: entries) { writer, entry in
      entry.key.encode(into: &writer)
      writer.write(entry.encoded)
    }
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    operation = try OperationID(decoding: &reader)
    partition = try PartitionID(decoding: &reader)
    number = try reader.readFixed()
    entries = try reader.readList(minimumBytes: 4) { (r) throws(DecodingFailure) in
      let key = try ObjectKey(decoding: &r)
      return ReplicaScan.Entry(key: key, encoded: try r.readBytes())
    }
  }
}

extension HandoffReceipt {
  func encode(into writer: inout ByteWriter) {
    operation.encode(into: &writer)
    writer.write(fixed: number)
    writer.write(isAccepted)
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    operation = try OperationID(decoding: &reader)
    number = try reader.readFixed()
    isAccepted = try reader.readBool()
  }
}

extension ClusterStatus.TransferRow {
  func encode(into writer: inout ByteWriter) {
    writer.write(kind)
    PartitionID(partition).encode(into: &writer)
    writer.write(from)
    writer.write(to)
    writer.write(count: objects)
    writer.write(count: bytes)
    writer.write(isActive)
    for value in [totalObjects, bytesPerSecond] { writer.write(count: value) }
    writer.write(optional: secondsLeft) { $0.write(count: $1) }
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    let kind = try reader.readString()
    let partition = try PartitionID(decoding: &reader)
    let from = try reader.readString()
    let to = try reader.readString()
    let objects = Int(clamping: try reader.readVarint())
    let bytes = Int(clamping: try reader.readVarint())
    self.init(
      kind: kind, partition: partition.index, from: from, to: to, objects: objects, bytes: bytes,
      isActive: try reader.readBool())
    totalObjects = Int(clamping: try reader.readVarint())
    bytesPerSecond = Int(clamping: try reader.readVarint())
    secondsLeft = try reader.readOptional { (r) throws(DecodingFailure) in
      Int(clamping: try r.readVarint())
    }
  }
}
