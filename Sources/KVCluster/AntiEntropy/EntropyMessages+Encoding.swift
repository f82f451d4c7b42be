import KVBase
import KVModel

extension EntropyMessage {
  /// The tags that begin anti-entropy's messages.
  static let tags: ClosedRange<UInt8> = 0x40...0x4F

  var tag: UInt8 {
    switch self {
    case .request: 0x40
    case .reply: 0x41
    case .fold: 0x42
    case .foldReply: 0x43
    }
  }

  func encode(into writer: inout ByteWriter) {
    switch self {
    case .request(let request): request.encode(into: &writer)
    case .reply(let reply): reply.encode(into: &writer)
    case .fold(let request): request.encode(into: &writer)
    case .foldReply(let reply): reply.encode(into: &writer)
    }
  }

  init(tag: UInt8, decoding reader: inout ByteReader) throws(DecodingFailure) {
    switch tag {
    case 0x40: self = .request(try EntropyRequest(decoding: &reader))
    case 0x41: self = .reply(try EntropyReply(decoding: &reader))
    case 0x42: self = .fold(try FoldRequest(decoding: &reader))
    case 0x43: self = .foldReply(try FoldReply(decoding: &reader))
    default: throw DecodingFailure(expected: "a peer message tag, not \(tag)", offset: 1)
    }
  }

  /// About how many bytes the encoding takes.
  var capacityHint: Int {
    switch self {
    case .request(let request):
      if case .push(let entries) = request.question {
        return entries.reduce(64) { $0 + $1.encoded.count + 64 }
      }
      return 256
    case .reply(let reply):
      switch reply.answer {
      case .found(let found): return found.reduce(64) { $0 + ($1.encoded?.count ?? 0) + 64 }
      case .root, .leaves, .entries: return 4096
      case .refused, .stored: return 64
      }
    case .fold, .foldReply: return 256
    }
  }
}

extension EntropyRequest {
  func encode(into writer: inout ByteWriter) {
    operation.encode(into: &writer)
    writer.write(fixed: number)
    partition.encode(into: &writer)
    group.encode(into: &writer)
    writer.write(fixed: signature)
    question.encode(into: &writer)
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    operation = try OperationID(decoding: &reader)
    number = try reader.readFixed()
    partition = try PartitionID(decoding: &reader)
    group = try TreeGroup(decoding: &reader)
    signature = try reader.readFixed()
    question = try EntropyQuestion(decoding: &reader)
  }
}

extension EntropyQuestion {
  func encode(into writer: inout ByteWriter) {
    switch self {
    case .root: writer.write(UInt8(0))
    case .leaves(let branches):
      writer.write(UInt8(1))
      writer.write(branches)
    case .entries(let leaves, let after, let through):
      writer.write(UInt8(2))
      leaves.encode(into: &writer)
      for key in [after, through] { writer.write(optional: key) { $1.encode(into: &$0) } }
    case .fetch(let wanted):
      writer.write(UInt8(3))
      writer.write(list: wanted) { writer, wanted in
        wanted.key.encode(into: &writer)
        writer.write(wanted.wantsObject)
      }
    case .push(let entries):
      writer.write(UInt8(4))
      writer.write(list: entries) { writer, entry in
        entry.key.encode(into: &writer)
        writer.write(entry.encoded)
      }
    }
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    switch try reader.readByte() {
    case 0: self = .root
    case 1:
      let branches = try reader.readBytes()
      guard branches.count <= EntropyLimits.branches else {
        throw reader.failure(expected: "at most \(EntropyLimits.branches) branches")
      }
      self = .leaves(branches)
    case 2:
      let leaves = try LeafSet(decoding: &reader)
      let after = try reader.readOptionalKey()
      self = .entries(leaves, after: after, through: try reader.readOptionalKey())
    case 3:
      let wanted = try reader.readList(minimumBytes: 4) { (r) throws(DecodingFailure) in
        let key = try ObjectKey(decoding: &r)
        return EntropyWanted(key: key, wantsObject: try r.readBool())
      }
      self = .fetch(try reader.checkBatch(wanted))
    case 4:
      let entries = try reader.readList(minimumBytes: 4) { (r) throws(DecodingFailure) in
        let key = try ObjectKey(decoding: &r)
        return ReplicaScan.Entry(key: key, encoded: try r.readBytes())
      }
      self = .push(try reader.checkBatch(entries))
    case let tag: throw reader.failure(expected: "a question of anti-entropy, not \(tag)")
    }
  }
}

extension EntropyReply {
  func encode(into writer: inout ByteWriter) {
    operation.encode(into: &writer)
    writer.write(fixed: number)
    answer.encode(into: &writer)
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    operation = try OperationID(decoding: &reader)
    number = try reader.readFixed()
    answer = try EntropyAnswer(decoding: &reader)
  }
}

extension EntropyAnswer {
  func encode(into writer: inout ByteWriter) {
    switch self {
    case .refused(let refusal):
      writer.write(UInt8(0))
      writer.write(refusal.rawValue)
    case .root(let hashes):
      writer.write(UInt8(1))
      for hash in hashes { writer.write(fixed: hash) }
    case .leaves(let branches):
      writer.write(UInt8(2))
      writer.write(list: branches) { writer, leaves in
        for hash in leaves { writer.write(fixed: hash) }
      }
    case .entries(let page):
      writer.write(UInt8(3))
      writer.write(list: page.entries) { writer, entry in
        entry.key.encode(into: &writer)
        writer.write(fixed: entry.hash)
        entry.clock.encode(into: &writer)
      }
      writer.write(optional: page.through) { $1.encode(into: &$0) }
    case .found(let found):
      writer.write(UInt8(4))
      writer.write(list: found) { writer, found in
        found.key.encode(into: &writer)
        writer.write(optional: found.hash) { $0.write(fixed: $1) }
        writer.write(optional: found.encoded) { $0.write($1) }
      }
    case .stored(let changed):
      writer.write(UInt8(5))
      writer.write(count: changed)
    }
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    switch try reader.readByte() {
    case 0:
      let raw = try reader.readByte()
      guard let refusal = EntropyRefusal(rawValue: raw) else {
        throw reader.failure(expected: "a refusal of anti-entropy, not \(raw)")
      }
      self = .refused(refusal)
    case 1: self = .root(try reader.readHashes(HashTree.branchCount))
    case 2:
      self = .leaves(
        try reader.readList(minimumBytes: 8 * HashTree.leavesPerBranch) {
          (r) throws(DecodingFailure) in try r.readHashes(HashTree.leavesPerBranch)
        })
    case 3:
      let entries = try reader.readList(minimumBytes: 12) { (r) throws(DecodingFailure) in
        let key = try ObjectKey(decoding: &r)
        let hash = try r.readFixed(UInt64.self)
        return EntropyEntry(key: key, hash: hash, clock: try VersionVector(decoding: &r))
      }
      self = .entries(EntropyPage(entries: entries, through: try reader.readOptionalKey()))
    case 4:
      let found = try reader.readList(minimumBytes: 5) { (r) throws(DecodingFailure) in
        let key = try ObjectKey(decoding: &r)
        let hash = try r.readOptional { (r) throws(DecodingFailure) in
          try r.readFixed(UInt64.self)
        }
        let encoded = try r.readOptional { (r) throws(DecodingFailure) in try r.readBytes() }
        return EntropyFound(key: key, hash: hash, encoded: encoded)
      }
      self = .found(try reader.checkBatch(found))
    case 5: self = .stored(changed: Int(clamping: try reader.readVarint()))
    case let tag: throw reader.failure(expected: "an answer of anti-entropy, not \(tag)")
    }
  }
}

extension ByteReader {
  fileprivate mutating func readOptionalKey() throws(DecodingFailure) -> ObjectKey? {
    try readOptional { (r) throws(DecodingFailure) in try ObjectKey(decoding: &r) }
  }

  fileprivate mutating func readHashes(_ count: Int) throws(DecodingFailure) -> [UInt64] {
    var hashes: [UInt64] = []
    hashes.reserveCapacity(count)
    for _ in 0..<count { hashes.append(try readFixed()) }
    return hashes
  }

  fileprivate func checkBatch<T>(_ list: [T]) throws(DecodingFailure) -> [T] {
    guard list.count <= EntropyLimits.batchKeys else {
      throw failure(expected: "at most \(EntropyLimits.batchKeys) keys")
    }
    return list
  }
}
