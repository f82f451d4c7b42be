import KVBase
import KVModel

extension FoldQuery {
  func encode(into writer: inout ByteWriter) {
    switch kind {
    case .statistics: writer.write(UInt8(0))
    case .siblings(let limit):
      writer.write(UInt8(1))
      writer.write(count: limit)
    case .size(let limit):
      writer.write(UInt8(2))
      writer.write(count: limit)
    case .tombstones: writer.write(UInt8(3))
    case .live: writer.write(UInt8(4))
    }
    writer.write(optional: bucket) { $1.encode(into: &$0) }
    for key in [from, through] { writer.write(optional: key) { $0.write($1) } }
    for time in [modifiedFrom, modifiedThrough] {
      writer.write(optional: time) { $0.write(fixed: $1.microseconds) }
    }
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    switch try reader.readByte() {
    case 0: self.init(.statistics)
    case 1: self.init(.siblings(moreThan: Int(clamping: try reader.readVarint())))
    case 2: self.init(.size(moreThan: Int(clamping: try reader.readVarint())))
    case 3: self.init(.tombstones)
    case 4: self.init(.live)
    case let tag: throw reader.failure(expected: "a kind of fold, not \(tag)")
    }
    bucket = try reader.readOptional { (r) throws(DecodingFailure) in
      try BucketID(decoding: &r)
    }
    from = try reader.readOptional { (r) throws(DecodingFailure) in try r.readBytes() }
    through = try reader.readOptional { (r) throws(DecodingFailure) in try r.readBytes() }
    modifiedFrom = try reader.readOptional { (r) throws(DecodingFailure) in
      WallClock(microseconds: try r.readFixed())
    }
    modifiedThrough = try reader.readOptional { (r) throws(DecodingFailure) in
      WallClock(microseconds: try r.readFixed())
    }
  }
}

extension FoldRequest {
  func encode(into writer: inout ByteWriter) {
    operation.encode(into: &writer)
    partition.encode(into: &writer)
    query.encode(into: &writer)
    writer.write(list: firstPartitions) { $1.encode(into: &$0) }
    writer.write(optional: cursor) { $1.encode(into: &$0) }
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    operation = try OperationID(decoding: &reader)
    partition = try PartitionID(decoding: &reader)
    query = try FoldQuery(decoding: &reader)
    firstPartitions = try reader.readList(minimumBytes: 2) { (r) throws(DecodingFailure) in
      try PartitionID(decoding: &r)
    }
    cursor = try reader.readOptional { (r) throws(DecodingFailure) in try ObjectKey(decoding: &r) }
  }
}

extension FoldReply {
  func encode(into writer: inout ByteWriter) {
    operation.encode(into: &writer)
    partition.encode(into: &writer)
    writer.write(result: result) { writer, page in
      page.result.encode(into: &writer)
      writer.write(optional: page.cursor) { $1.encode(into: &$0) }
    }
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    operation = try OperationID(decoding: &reader)
    partition = try PartitionID(decoding: &reader)
    result = try reader.readResult { (r) throws(DecodingFailure) in
      let result = try FoldResult(decoding: &r)
      let cursor = try r.readOptional { (r) throws(DecodingFailure) in
        try ObjectKey(decoding: &r)
      }
      return Page(result: result, cursor: cursor)
    }
  }
}

extension FoldResult {
  func encode(into writer: inout ByteWriter) {
    writer.write(count: count)
    writer.write(count: byteCount)
    for list in [sizes, siblings] { writer.write(list: list) { $0.write(count: $1) } }
    writer.write(list: found) { writer, found in
      found.key.encode(into: &writer)
      writer.write(count: found.value)
      found.clock.encode(into: &writer)
    }
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    self.init()
    count = try reader.readNumber()
    byteCount = try reader.readNumber()
    sizes = try reader.readHistogram()
    siblings = try reader.readHistogram()
    found = try reader.readList(minimumBytes: 5) { (r) throws(DecodingFailure) in
      let key = try ObjectKey(decoding: &r)
      let value = try r.readNumber()
      return Found(key: key, value: value, clock: try VersionVector(decoding: &r))
    }
  }
}

extension ByteReader {
  /// A number that may be added to many others.
  fileprivate mutating func readNumber() throws(DecodingFailure) -> Int {
    let number = try readVarint()
    guard number < 1 << 50 else { throw failure(expected: "a number below 2^50") }
    return Int(number)
  }

  fileprivate mutating func readHistogram() throws(DecodingFailure) -> [Int] {
    let list = try readList { (r) throws(DecodingFailure) in try r.readNumber() }
    guard list.count <= 128 else { throw failure(expected: "at most 128 classes") }
    return list
  }
}
