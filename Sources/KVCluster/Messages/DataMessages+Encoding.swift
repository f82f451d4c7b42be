import KVBase
import KVModel

extension OperationID {
  func encode(into writer: inout ByteWriter) { writer.write(fixed: rawValue) }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    self.init(rawValue: try reader.readFixed())
  }
}

extension ReadRequest {
  func encode(into writer: inout ByteWriter) {
    operation.encode(into: &writer)
    partition.encode(into: &writer)
    key.encode(into: &writer)
    writer.write(count: byteLimit)
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    operation = try OperationID(decoding: &reader)
    partition = try PartitionID(decoding: &reader)
    key = try ObjectKey(decoding: &reader)
    byteLimit = Int(clamping: try reader.readVarint())
  }
}

extension ReplicaReading {
  var byteCount: Int {
    switch self {
    case .whole(let bytes), .head(let bytes): bytes.count
    case .notFound, .failure: 0
    }
  }

  func encode(into writer: inout ByteWriter) {
    switch self {
    case .notFound: writer.write(UInt8(0))
    case .whole(let bytes):
      writer.write(UInt8(1))
      writer.write(bytes)
    case .head(let bytes):
      writer.write(UInt8(2))
      writer.write(bytes)
    case .failure(let failure):
      writer.write(UInt8(3))
      failure.encode(into: &writer)
    }
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    switch try reader.readByte() {
    case 0: self = .notFound
    case 1: self = .whole(try reader.readBytes())
    case 2: self = .head(try reader.readBytes())
    case 3: self = .failure(try RequestFailure(decoding: &reader))
    case let tag: throw reader.failure(expected: "a reading, not \(tag)")
    }
  }
}

extension ReadReply {
  func encode(into writer: inout ByteWriter) {
    operation.encode(into: &writer)
    partition.encode(into: &writer)
    reading.encode(into: &writer)
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    operation = try OperationID(decoding: &reader)
    partition = try PartitionID(decoding: &reader)
    reading = try ReplicaReading(decoding: &reader)
  }
}

extension WriteRequest {
  func encode(into writer: inout ByteWriter) {
    operation.encode(into: &writer)
    partition.encode(into: &writer)
    key.encode(into: &writer)
    for flag in [keepsSiblings, waitsForSync, wantsReceipt] { writer.write(flag) }
    writer.write(encoded)
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    operation = try OperationID(decoding: &reader)
    partition = try PartitionID(decoding: &reader)
    key = try ObjectKey(decoding: &reader)
    keepsSiblings = try reader.readBool()
    waitsForSync = try reader.readBool()
    wantsReceipt = try reader.readBool()
    encoded = try reader.readBytes()
  }
}

extension WriteReply {
  func encode(into writer: inout ByteWriter) {
    operation.encode(into: &writer)
    partition.encode(into: &writer)
    switch outcome {
    case .received: writer.write(UInt8(0))
    case .stored: writer.write(UInt8(1))
    case .refused(let failure):
      writer.write(UInt8(2))
      failure.encode(into: &writer)
    }
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    operation = try OperationID(decoding: &reader)
    partition = try PartitionID(decoding: &reader)
    switch try reader.readByte() {
    case 0: outcome = .received
    case 1: outcome = .stored
    case 2: outcome = .refused(try RequestFailure(decoding: &reader))
    case let tag: throw reader.failure(expected: "a write's outcome, not \(tag)")
    }
  }
}

extension ForwardedPut {
  func encode(into writer: inout ByteWriter) {
    operation.encode(into: &writer)
    partition.encode(into: &writer)
    key.encode(into: &writer)
    options.encode(into: &writer)
    context.encode(into: &writer)
    content.encode(into: &writer)
    // At the end, so that nodes that do not know data types read the rest as ever.
    options.dataType?.encode(into: &writer)
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    operation = try OperationID(decoding: &reader)
    partition = try PartitionID(decoding: &reader)
    key = try ObjectKey(decoding: &reader)
    options = try PutOptions(decoding: &reader)
    context = try VersionVector(decoding: &reader)
    content = try Content(decoding: &reader)
    if !reader.isAtEnd { options.dataType = try DataTypeUpdate(decoding: &reader) }
  }
}

extension ForwardReply {
  func encode(into writer: inout ByteWriter) {
    operation.encode(into: &writer)
    writer.write(result: result) { $0.write($1) }
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    operation = try OperationID(decoding: &reader)
    result = try reader.readResult { (r) throws(DecodingFailure) in try r.readBytes() }
  }
}

extension PutOptions {
  func encode(into writer: inout ByteWriter) {
    for value in [w, dw, pw, nodeConfirms] {
      writer.write(optional: value) { $1.encode(into: &$0) }
    }
    writer.write(optional: timeout) { $0.write(varint: $1.wholeNanoseconds) }
    writer.write(optional: nVal) { $0.write(fixed: $1) }
    writer.write(optional: syncOnWrite) { $0.write($1.rawValue) }
    for flag in [sloppyQuorum, asIs, ifNoneMatch, ifNotModified, returnBody] { writer.write(flag) }
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    self.init()
    w = try reader.readQuorum()
    dw = try reader.readQuorum()
    pw = try reader.readQuorum()
    nodeConfirms = try reader.readQuorum()
    timeout = try reader.readOptional { (r) throws(DecodingFailure) in
      .nanoseconds(Int64(clamping: try r.readVarint()))
    }
    nVal = try reader.readOptional { (r) throws(DecodingFailure) in try r.readFixed(UInt32.self) }
    syncOnWrite = try reader.readOptional { (r) throws(DecodingFailure) in
      try SyncOnWrite(decoding: &r)
    }
    sloppyQuorum = try reader.readBool()
    asIs = try reader.readBool()
    ifNoneMatch = try reader.readBool()
    ifNotModified = try reader.readBool()
    returnBody = try reader.readBool()
  }
}

extension ByteReader {
  fileprivate mutating func readQuorum() throws(DecodingFailure) -> QuorumValue? {
    try readOptional { (r) throws(DecodingFailure) in try QuorumValue(decoding: &r) }
  }
}
