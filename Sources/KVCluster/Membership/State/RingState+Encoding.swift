import KVBase
import KVModel

// All of this is stored and sent: see Docs/Protocols.md, "Membership".

extension NodeID {
  func encode(into writer: inout ByteWriter) { writer.write(fixed: rawValue) }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    self.init(rawValue: try reader.readFixed())
  }
}

extension StagedChange {
  func encode(into writer: inout ByteWriter) {
    switch self {
    case .join: writer.write(UInt8(0))
    case .leave: writer.write(UInt8(1))
    case .forceRemove: writer.write(UInt8(2))
    case .replace: writer.write(UInt8(3))
    case .locate: writer.write(UInt8(4))
    }
    subject.encode(into: &writer)
    if case .replace(_, let new) = self { new.encode(into: &writer) }
    if case .locate(_, let location) = self { writer.write(location) }
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    let kind = try reader.readByte()
    let subject = try NodeID(decoding: &reader)
    switch kind {
    case 0: self = .join(subject)
    case 1: self = .leave(subject)
    case 2: self = .forceRemove(subject)
    case 3: self = .replace(subject, with: try NodeID(decoding: &reader))
    case 4:
      let location = try reader.readString()
      guard location.utf8.count <= Member.locationByteLimit else {
        throw reader.failure(expected: "a shorter location")
      }
      self = .locate(subject, location)
    default: throw reader.failure(expected: "a staged change, not \(kind)")
    }
  }
}

extension RingVersion {
  func encode(into writer: inout ByteWriter) {
    writer.write(varint: term)
    writer.write(varint: number)
    writer.write(fixed: nonce)
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    let term = try reader.readVarint()
    let number = try reader.readVarint()
    // Room to count on: a forged maximum must not make the next change overflow.
    guard term < 1 << 31, number < 1 << 32 else { throw reader.failure(expected: "a ring version") }
    self.init(term: term, number: number, nonce: try reader.readFixed())
  }
}

extension RingState {
  /// The first byte of an encoded state, and the first peer protocol whose nodes read it: 3 when a
  /// member's shards are spread, else 2 when there are locations, else 1.
  var encodingVersion: UInt8 {
    if (members + removed).contains(where: { $0.shardLayout != .modulo }) { return 3 }
    let hasLocations =
      members.contains { !$0.location.isEmpty }
      || staged.contains { if case .locate = $0 { true } else { false } }
    return hasLocations ? 2 : 1
  }

  /// Appends the state.
  ///
  /// Owners are positions in the list of members.
  func encode(into writer: inout ByteWriter) {
    let encodingVersion = encodingVersion
    writer.write(encodingVersion)
    writer.write(fixed: clusterID)
    version.encode(into: &writer)
    claimant.encode(into: &writer)
    writer.write(list: members) { $1.encode(into: &$0) }
    let position = Dictionary(
      uniqueKeysWithValues: members.enumerated().map { ($0.element.id, $0.offset) })
    writer.write(list: owners) { $0.write(count: position[$1] ?? 0) }
    writer.write(list: transfers) { $1.encode(into: &$0) }
    writer.write(list: staged) { $1.encode(into: &$0) }
    writer.write(list: removed) { $1.encode(into: &$0) }
    if encodingVersion >= 2 { writer.write(list: members) { $0.write($1.location) } }
  }

  /// Reads what ``encode(into:)`` wrote; a state that breaks an invariant is a failure.
  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    let encodingVersion = try reader.readByte()
    guard (1...3).contains(encodingVersion) else {
      throw reader.failure(expected: "a ring state of version 1 to 3, not \(encodingVersion)")
    }
    let clusterID: UInt64 = try reader.readFixed()
    let version = try RingVersion(decoding: &reader)
    let claimant = try NodeID(decoding: &reader)
    let members = try reader.readList(minimumBytes: 9) {
      (r: inout ByteReader) throws(DecodingFailure) in
      try Member(decoding: &r)
    }
    let owners = try reader.readList { (r: inout ByteReader) throws(DecodingFailure) -> NodeID in
      let position = try r.readVarint()
      guard position < members.count else { throw r.failure(expected: "the position of a member") }
      return members[Int(position)].id
    }
    self.init(
      clusterID: clusterID, version: version, claimant: claimant, members: members, owners: owners)
    transfers = try reader.readList(minimumBytes: 17) {
      (r: inout ByteReader) throws(DecodingFailure) in try PendingTransfer(decoding: &r)
    }
    staged = try reader.readList(minimumBytes: 9) {
      (r: inout ByteReader) throws(DecodingFailure) in try StagedChange(decoding: &r)
    }
    removed = try reader.readList(minimumBytes: 9) {
      (r: inout ByteReader) throws(DecodingFailure) in try Member(decoding: &r)
    }
    if encodingVersion >= 2 { try self.members.readLocations(&reader) }
    if let violation = invariantViolation {
      throw reader.failure(expected: "a sound ring state, not one with \(violation)")
    }
  }
}
