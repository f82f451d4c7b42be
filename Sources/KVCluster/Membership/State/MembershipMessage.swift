import KVBase
import KVModel

/// What one node's membership says to another's.
///
/// Every message begins with the sender's cluster, incarnation, ring version and a digest of its
/// properties: whatever is said, two nodes that differ find out.
///
/// **On the wire**: Docs/Protocols.md, "Membership".
struct MembershipMessage: Hashable, Sendable {
  /// The first byte of an encoded message.
  static let encodingVersion: UInt8 = 1
  /// The longest message that is read.
  static let byteLimit = 16 << 20
  /// The most rumours a message carries.
  static let rumorLimit = 6

  /// The sender's cluster.
  var clusterID: UInt64
  /// The sender's incarnation.
  var incarnation: UInt64
  /// The version of the sender's ring.
  var ring: RingVersion
  /// The digest of the sender's property table.
  var propertyDigest: UInt64
  /// What the sender has heard of others.
  var rumors: [Rumor] = []
  /// What is said.
  var body: Body

  enum Body: Hashable, Sendable {
    /// Are you there?
    case ping(sequence: UInt64)
    /// Yes.
    case pong(sequence: UInt64)
    /// Please ping the target for me.
    case pingRequest(sequence: UInt64, target: NodeID)
    /// The target of the request answered.
    case targetAnswered(sequence: UInt64, target: NodeID, incarnation: UInt64)
    /// Nothing but what every message begins with.
    case greeting
    /// Please send your ring.
    case ringRequest
    /// The sender's ring.
    case ring(RingState)
    /// What the claimant should know and does not show in the ring yet.
    case facts(Facts)
    /// Which property entries the sender has.
    case propertySummary([PropertyStamp])
    /// Please send the entries of these buckets.
    case propertyRequest([BucketID])
    /// Entries.
    case properties([PropertyEntry])
    /// A lone node wants to become a member; passed on to the claimant.
    case joinRequest(Member, ringSize: Int)
    /// It may not, for this reason.
    case joinRefused(String)
    /// The sender is not a member of the receiver's cluster, whatever the ring says.
    case notJoined
    /// An operator's command that only the claimant can carry out.
    case adminRequest(id: UInt64, AdminCommand)
    /// Its outcome.
    case adminReply(id: UInt64, AdminReply)
    /// The sender's configured location, which the ring does not show; peer protocol 2.
    case location(String)

    /// The first peer protocol that knows the message.
    var protocolVersion: UInt16 {
      switch self {
      case .location, .adminRequest(_, .locate): 2
      case .ring(let state): UInt16(state.encodingVersion)
      case .joinRequest(let member, _) where member.shardLayout != .modulo: 3
      case .adminReply(_, .plan(let plan)): plan.isPlain ? 1 : 2
      case .ping, .pong, .pingRequest, .targetAnswered, .greeting, .ringRequest, .facts,
        .propertySummary, .propertyRequest, .properties, .joinRequest, .joinRefused, .notJoined,
        .adminRequest, .adminReply:
        1
      }
    }
  }

  /// What a member tells the claimant until the ring shows it.
  struct Facts: Hashable, Sendable {
    /// The most completed transfers in one message.
    static let transferLimit = 4096

    /// The member's own name, endpoints and shards.
    var member: Member
    /// Whether it has given everything away and goes.
    var hasExited: Bool
    /// Transfers it has finished as sender.
    var completed: [PendingTransfer]
  }

  func encoded() -> Bytes {
    var writer = ByteWriter(capacity: 128)
    writer.write(Self.encodingVersion)
    writer.write(fixed: clusterID)
    writer.write(varint: incarnation)
    ring.encode(into: &writer)
    writer.write(fixed: propertyDigest)
    writer.write(list: rumors) { $1.encode(into: &$0) }
    body.encode(into: &writer)
    return writer.bytes
  }

  init(
    clusterID: UInt64, incarnation: UInt64, ring: RingVersion, propertyDigest: UInt64,
    rumors: [Rumor], body: Body
  ) {
    self.clusterID = clusterID
    self.incarnation = incarnation
    self.ring = ring
    self.propertyDigest = propertyDigest
    self.rumors = rumors
    self.body = body
  }

  init(decoding bytes: Bytes) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    guard bytes.count <= Self.byteLimit else {
      throw reader.failure(expected: "at most \(Self.byteLimit) bytes, not \(bytes.count)")
    }
    let version = try reader.readByte()
    guard version == Self.encodingVersion else {
      throw reader.failure(expected: "a membership message of version 1, not \(version)")
    }
    clusterID = try reader.readFixed()
    incarnation = try reader.readIncarnation()
    ring = try RingVersion(decoding: &reader)
    propertyDigest = try reader.readFixed()
    rumors = try reader.readList(minimumBytes: 10) { (r) throws(DecodingFailure) in
      try Rumor(decoding: &r)
    }
    guard rumors.count <= Self.rumorLimit else { throw reader.failure(expected: "fewer rumours") }
    body = try Body(decoding: &reader)
    try reader.expectEnd()
  }
}

extension ByteReader {
  mutating func readIncarnation() throws(DecodingFailure) -> UInt64 {
    let value = try readVarint()
    guard value < 1 << 60 else { throw failure(expected: "an incarnation") }
    return value
  }

  mutating func readNodeID() throws(DecodingFailure) -> NodeID { try NodeID(decoding: &self) }
}

extension MembershipMessage.Body {
  /// The byte that names each body; stored nowhere, but spoken between versions.
  var tag: UInt8 {
    switch self {
    case .ping: 0
    case .pong: 1
    case .pingRequest: 2
    case .targetAnswered: 3
    case .greeting: 4
    case .ringRequest: 5
    case .ring: 6
    case .facts: 7
    case .propertySummary: 8
    case .propertyRequest: 9
    case .properties: 10
    case .joinRequest: 11
    case .joinRefused: 12
    case .notJoined: 13
    case .adminRequest: 14
    case .adminReply: 15
    case .location: 0x60
    }
  }

  func encode(into writer: inout ByteWriter) {
    writer.write(tag)
    switch self {
    case .greeting, .ringRequest, .notJoined: break
    case .ping(let sequence), .pong(let sequence): writer.write(varint: sequence)
    case .pingRequest(let sequence, let target):
      writer.write(varint: sequence)
      target.encode(into: &writer)
    case .targetAnswered(let sequence, let target, let incarnation):
      writer.write(varint: sequence)
      target.encode(into: &writer)
      writer.write(varint: incarnation)
    case .ring(let state): state.encode(into: &writer)
    case .facts(let facts):
      facts.member.encode(into: &writer)
      writer.write(facts.hasExited)
      writer.write(list: facts.completed) { $1.encode(into: &$0) }
    case .propertySummary(let stamps): writer.write(list: stamps) { $1.encode(into: &$0) }
    case .propertyRequest(let buckets): writer.write(list: buckets) { $1.encode(into: &$0) }
    case .properties(let entries): writer.write(list: entries) { $1.encode(into: &$0) }
    case .joinRequest(let member, let ringSize):
      member.encode(into: &writer)
      writer.write(count: ringSize)
    case .joinRefused(let reason): writer.write(reason)
    case .adminRequest(let id, let command):
      writer.write(varint: id)
      command.encode(into: &writer)
    case .adminReply(let id, let reply):
      writer.write(varint: id)
      reply.encode(into: &writer)
    case .location(let location): writer.write(location)
    }
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    let tag = try reader.readByte()
    switch tag {
    case 0: self = .ping(sequence: try reader.readVarint())
    case 1: self = .pong(sequence: try reader.readVarint())
    case 2:
      self = .pingRequest(sequence: try reader.readVarint(), target: try reader.readNodeID())
    case 3:
      self = .targetAnswered(
        sequence: try reader.readVarint(), target: try reader.readNodeID(),
        incarnation: try reader.readIncarnation())
    case 4: self = .greeting
    case 5: self = .ringRequest
    case 6: self = .ring(try RingState(decoding: &reader))
    case 7: self = .facts(try MembershipMessage.Facts(decoding: &reader))
    case 8:
      self = .propertySummary(
        try reader.readList(minimumBytes: 11) { (r) throws(DecodingFailure) in
          try PropertyStamp(decoding: &r)
        })
    case 9:
      self = .propertyRequest(
        try reader.readList(minimumBytes: 2) { (r) throws(DecodingFailure) in
          try BucketID(decoding: &r)
        })
    case 10:
      self = .properties(
        try reader.readList(minimumBytes: 12) { (r) throws(DecodingFailure) in
          try PropertyEntry(decoding: &r)
        })
    case 11:
      let member = try Member(decoding: &reader)
      let size = try reader.readVarint()
      guard size <= 4096 else { throw reader.failure(expected: "a ring size, not \(size)") }
      self = .joinRequest(member, ringSize: Int(size))
    case 12: self = .joinRefused(try reader.readString())
    case 13: self = .notJoined
    case 14:
      self = .adminRequest(id: try reader.readVarint(), try AdminCommand(decoding: &reader))
    case 15: self = .adminReply(id: try reader.readVarint(), try AdminReply(decoding: &reader))
    case 0x60: self = .location(try reader.readString())
    default: throw reader.failure(expected: "a kind of membership message, not \(tag)")
    }
  }
}

extension MembershipMessage.Facts {
  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    member = try Member(decoding: &reader)
    hasExited = try reader.readBool()
    completed = try reader.readList(minimumBytes: 17) { (r) throws(DecodingFailure) in
      try PendingTransfer(decoding: &r)
    }
    guard completed.count <= Self.transferLimit else {
      throw reader.failure(expected: "at most \(Self.transferLimit) transfers")
    }
  }
}
