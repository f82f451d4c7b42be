import KVBase

/// What one node says of another's health, to be passed on.
struct Rumor: Hashable, Sendable {
  /// Whether a node answers.
  ///
  /// The raw values are sent.
  enum Health: UInt8, Hashable, Sendable {
    /// It does, as far as is known.
    case alive = 0
    /// It did not, lately.
    case suspect = 1
    /// It has not for as long as a suspicion lasts.
    case unreachable = 2
  }

  /// Whom it is about.
  var node: NodeID
  /// The latest incarnation of it that was heard of.
  var incarnation: UInt64
  /// How it is.
  var health: Health

  func encode(into writer: inout ByteWriter) {
    node.encode(into: &writer)
    writer.write(varint: incarnation)
    writer.write(health.rawValue)
  }

  init(node: NodeID, incarnation: UInt64, health: Health) {
    self.node = node
    self.incarnation = incarnation
    self.health = health
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    node = try NodeID(decoding: &reader)
    incarnation = try reader.readIncarnation()
    guard let health = Health(rawValue: try reader.readByte()) else {
      throw reader.failure(expected: "a health")
    }
    self.health = health
  }
}
