import KVBase
import KVModel

/// How commands and replies travel between the node that was asked and the claimant. A status is
/// answered by the node that was asked, so it has no encoding.
extension AdminCommand {
  func encode(into writer: inout ByteWriter) {
    switch self {
    case .join(let endpoint):
      writer.write(UInt8(0))
      endpoint.encode(into: &writer)
    case .leave(let name):
      writer.write(UInt8(1))
      writer.write(optional: name) { $0.write($1) }
    case .forceRemove(let name):
      writer.write(UInt8(2))
      writer.write(name)
    case .replace(let old, let new):
      writer.write(UInt8(3))
      writer.write(old)
      writer.write(new)
    case .down(let name):
      writer.write(UInt8(4))
      writer.write(name)
    case .plan: writer.write(UInt8(5))
    case .commit: writer.write(UInt8(6))
    case .clear: writer.write(UInt8(7))
    case .status: writer.write(UInt8(8))
    case .locate(let name, let location):
      writer.write(UInt8(0x60))
      writer.write(optional: name) { $0.write($1) }
      writer.write(location)
    case .transferLimit: preconditionFailure("limits are the node's own: \(self)")
    }
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    let tag = try reader.readByte()
    switch tag {
    case 0: self = .join(try Endpoint(decoding: &reader))
    case 1:
      self = .leave(
        try reader.readOptional { (r) throws(DecodingFailure) in try r.readString() })
    case 2: self = .forceRemove(try reader.readString())
    case 3: self = .replace(try reader.readString(), with: try reader.readString())
    case 4: self = .down(try reader.readString())
    case 5: self = .plan
    case 6: self = .commit
    case 7: self = .clear
    case 8: self = .status
    case 0x60:
      let name = try reader.readOptional { (r) throws(DecodingFailure) in try r.readString() }
      self = .locate(name, at: try reader.readString())
    default: throw reader.failure(expected: "an admin command, not \(tag)")
    }
  }
}

extension AdminReply {
  func encode(into writer: inout ByteWriter) {
    switch self {
    case .done(let text):
      writer.write(UInt8(0))
      writer.write(text)
    case .refused(let text):
      writer.write(UInt8(1))
      writer.write(text)
    case .plan(let plan):
      writer.write(UInt8(plan.isPlain ? 2 : 0x60))
      plan.encode(into: &writer)
      if !plan.isPlain { plan.encodeAdditions(into: &writer) }
    case .status(let status):
      preconditionFailure("the status of \(status.local) is not sent to another node")
    }
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    let tag = try reader.readByte()
    switch tag {
    case 0: self = .done(try reader.readString())
    case 1: self = .refused(try reader.readString())
    case 2: self = .plan(try ClusterPlan(decoding: &reader))
    case 0x60:
      var plan = try ClusterPlan(decoding: &reader)
      try plan.decodeAdditions(&reader)
      self = .plan(plan)
    default: throw reader.failure(expected: "an admin reply, not \(tag)")
    }
  }
}

extension ClusterPlan {
  /// True when nodes of the first peer protocol understand all of it.
  var isPlain: Bool { notes.isEmpty && membersAfter.allSatisfy(\.location.isEmpty) }

  /// The part that those nodes understand.
  var plain: ClusterPlan {
    var plan = self
    plan.notes = []
    for index in plan.membersAfter.indices { plan.membersAfter[index].location = "" }
    return plan
  }

  func encodeAdditions(into writer: inout ByteWriter) {
    writer.write(list: notes) { $0.write($1) }
    writer.write(list: membersAfter) { $0.write($1.location) }
  }

  mutating func decodeAdditions(_ reader: inout ByteReader) throws(DecodingFailure) {
    notes = try reader.readList { (r) throws(DecodingFailure) in try r.readString() }
    let locations = try reader.readList { (r) throws(DecodingFailure) in try r.readString() }
    guard locations.count == membersAfter.count else {
      throw reader.failure(expected: "a location for each member")
    }
    for (index, location) in locations.enumerated() { membersAfter[index].location = location }
  }

  func encode(into writer: inout ByteWriter) {
    writer.write(list: changes) { writer, change in
      writer.write(change.action)
      writer.write(change.details)
    }
    writer.write(list: membersAfter) { $1.encode(into: &$0) }
    writer.write(list: moves) { writer, move in
      writer.write(move.from)
      writer.write(move.to)
      writer.write(count: move.count)
      writer.write(move.transfersData)
    }
    writer.write(list: warnings) { $0.write($1) }
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    let changes = try reader.readList(minimumBytes: 2) { (r) throws(DecodingFailure) in
      Change(action: try r.readString(), details: try r.readString())
    }
    let members = try reader.readList(minimumBytes: 9) { (r) throws(DecodingFailure) in
      try ClusterStatus.MemberRow(decoding: &r)
    }
    let moves = try reader.readList(minimumBytes: 4) { (r) throws(DecodingFailure) in
      Move(
        from: try r.readString(), to: try r.readString(), count: try r.readPartitionCount(),
        transfersData: try r.readBool())
    }
    let warnings = try reader.readList { (r) throws(DecodingFailure) in try r.readString() }
    self.init(changes: changes, membersAfter: members, moves: moves, warnings: warnings)
  }
}

extension ClusterStatus.MemberRow {
  func encode(into writer: inout ByteWriter) {
    writer.write(name)
    writer.write(status.rawValue)
    writer.write(isReachable)
    writer.write(count: partitions)
    writer.write(count: pendingPartitions)
    clientEndpoint.encode(into: &writer)
    endpoint.encode(into: &writer)
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    let name = try reader.readString()
    guard let status = MemberStatus(rawValue: try reader.readByte()) else {
      throw reader.failure(expected: "a member status")
    }
    self.init(
      name: name, status: status, isReachable: try reader.readBool(),
      partitions: try reader.readPartitionCount(),
      pendingPartitions: try reader.readPartitionCount(),
      clientEndpoint: try Endpoint(decoding: &reader), endpoint: try Endpoint(decoding: &reader))
  }
}

extension ByteReader {
  fileprivate mutating func readPartitionCount() throws(DecodingFailure) -> Int {
    let count = try readVarint()
    guard count <= 4096 else { throw failure(expected: "at most 4096 partitions") }
    return Int(count)
  }
}
