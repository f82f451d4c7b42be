public import KVBase

/// The encoding of bucket properties between nodes and in stored metadata: a version byte (1), then
/// the fields in declaration order.
extension BucketProperties {
  private static let formatVersion: UInt8 = 1

  /// Appends all properties.
  public func encode(into writer: inout ByteWriter) {
    writer.write(Self.formatVersion)
    writer.write(count: nVal)
    for flag in [allowMult, lastWriteWins, basicQuorum, notFoundOK] { writer.write(flag) }
    for value in [r, w, dw, rw, pr, pw, nodeConfirms] { value.encode(into: &writer) }
    writer.write(syncOnWrite.rawValue)
    for hooks in [precommit, postcommit] {
      writer.write(list: hooks) { writer, hook in
        writer.write(optional: hook.module) { $0.write($1) }
        writer.write(hook.function)
      }
    }
    for number in [oldVclock, youngVclock, bigVclock, smallVclock] { writer.write(count: number) }
    writer.write(list: opaque) { writer, pair in
      writer.write(pair.key)
      writer.write(optional: pair.value) { $0.write($1) }
    }
  }

  /// Reads what ``encode(into:)`` wrote.
  public init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    guard try reader.readByte() == Self.formatVersion else {
      throw reader.failure(expected: "bucket properties version \(Self.formatVersion)")
    }
    self.init()
    nVal = try reader.readNumber()
    guard nVal >= 1 else { throw reader.failure(expected: "an n_val of at least 1") }
    allowMult = try reader.readBool()
    lastWriteWins = try reader.readBool()
    basicQuorum = try reader.readBool()
    notFoundOK = try reader.readBool()
    r = try QuorumValue(decoding: &reader)
    w = try QuorumValue(decoding: &reader)
    dw = try QuorumValue(decoding: &reader)
    rw = try QuorumValue(decoding: &reader)
    pr = try QuorumValue(decoding: &reader)
    pw = try QuorumValue(decoding: &reader)
    nodeConfirms = try QuorumValue(decoding: &reader)
    syncOnWrite = try SyncOnWrite(decoding: &reader)
    precommit = try reader.readHooks()
    postcommit = try reader.readHooks()
    oldVclock = try reader.readNumber()
    youngVclock = try reader.readNumber()
    bigVclock = try reader.readNumber()
    smallVclock = try reader.readNumber()
    opaque = try reader.readList(minimumBytes: 2) { (r) throws(DecodingFailure) in
      let key = try r.readBytes()
      return Pair(
        key: key, value: try r.readOptional { (r) throws(DecodingFailure) in try r.readBytes() })
    }
  }
}

extension SyncOnWrite {
  /// Reads one byte, the raw value.
  public init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    guard let value = SyncOnWrite(rawValue: try reader.readByte()) else {
      throw reader.failure(expected: "a sync_on_write of 0 to 2")
    }
    self = value
  }
}

extension QuorumValue {
  /// Appends a literal as it is and each word as a number above all literals, as on Riak's wire.
  public func encode(into writer: inout ByteWriter) {
    switch self {
    case .one: writer.write(varint: 4_294_967_294)
    case .quorum: writer.write(varint: 4_294_967_293)
    case .all: writer.write(varint: 4_294_967_292)
    case .count(let value): writer.write(varint: UInt64(value))
    }
  }

  /// Reads what ``encode(into:)`` wrote.
  public init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    switch try reader.readVarint() {
    case 4_294_967_294: self = .one
    case 4_294_967_293: self = .quorum
    case 4_294_967_292: self = .all
    case let value where value <= UInt64(UInt32.max): self = .count(UInt32(value))
    case let value: throw reader.failure(expected: "a quorum value, not \(value)")
    }
  }
}

extension ByteReader {
  fileprivate mutating func readNumber() throws(DecodingFailure) -> Int {
    let value = try readVarint()
    guard value <= UInt64(Int32.max) else { throw failure(expected: "a number of 31 bits") }
    return Int(value)
  }

  fileprivate mutating func readHooks() throws(DecodingFailure) -> [NamedFunction] {
    try readList(minimumBytes: 2) { (r) throws(DecodingFailure) in
      let module = try r.readOptional { (r) throws(DecodingFailure) in try r.readBytes() }
      return NamedFunction(module: module, function: try r.readBytes())
    }
  }
}
