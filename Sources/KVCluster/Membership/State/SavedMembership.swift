import KVBase
import KVModel

/// What a node keeps of its membership from one run to the next.
///
/// **On disk**: a version byte (1), the incarnation, the ring state, the property entries.
struct SavedMembership: Hashable, Sendable {
  static let encodingVersion: UInt8 = 1

  var incarnation: UInt64
  var state: RingState
  var properties: PropertyTable

  func encoded() -> Bytes {
    var writer = ByteWriter(capacity: 1024)
    writer.write(Self.encodingVersion)
    writer.write(varint: incarnation)
    state.encode(into: &writer)
    writer.write(list: properties.entries) { $1.encode(into: &$0) }
    return writer.bytes
  }

  init(incarnation: UInt64, state: RingState, properties: PropertyTable) {
    self.incarnation = incarnation
    self.state = state
    self.properties = properties
  }

  /// Reads what ``encoded()`` wrote on the node `local`.
  init(decoding bytes: Bytes, local: NodeID) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    let version = try reader.readByte()
    guard version == Self.encodingVersion else {
      throw reader.failure(expected: "a saved membership of version 1, not \(version)")
    }
    incarnation = try reader.readIncarnation()
    state = try RingState(decoding: &reader)
    guard state.member(local) != nil else {
      throw reader.failure(
        expected: "a cluster with this node as a member, not of \(state.members.map(\.name))")
    }
    let entries = try reader.readList(minimumBytes: 12) { (r) throws(DecodingFailure) in
      try PropertyEntry(decoding: &r)
    }
    properties = PropertyTable()
    for entry in entries { _ = properties.merge(entry) }
    try reader.expectEnd()
  }
}
