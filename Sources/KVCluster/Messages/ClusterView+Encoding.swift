public import KVBase
public import KVModel

/// The encoding in which shard 0 tells its node's other shards of a new view.
extension ClusterView {
  /// Appends the whole view.
  public func encode(into writer: inout ByteWriter) {
    writer.write(fixed: local.rawValue)
    writer.write(fixed: cluster)
    writer.write(varint: version)
    ring.encode(into: &writer)
    writer.write(list: transfers) { $1.encode(into: &$0) }
    writer.write(list: members) { $1.encode(into: &$0) }
    writer.write(list: members) { $0.write($1.location) }
    writer.write(list: unavailable) { $0.write(fixed: $1.rawValue) }
    writer.write(list: properties) { writer, entry in
      entry.bucket.encode(into: &writer)
      entry.properties.encode(into: &writer)
    }
    writer.write(isClosing)
  }

  /// Reads what ``encode(into:)`` wrote.
  public init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    let local = NodeID(rawValue: try reader.readFixed())
    let cluster = try reader.readFixed(UInt64.self)
    let version = try reader.readVarint()
    let ring = try Ring(decoding: &reader)
    let transfers = try reader.readList(minimumBytes: 17) { (r) throws(DecodingFailure) in
      try PendingTransfer(decoding: &r)
    }
    var members = try reader.readList(minimumBytes: 9) { (r) throws(DecodingFailure) in
      try Member(decoding: &r)
    }
    try members.readLocations(&reader)
    guard let first = members.first(where: { $0.id == local }) else {
      throw reader.failure(expected: "the local node among the members")
    }
    self.init(local: first, ringSize: ring.size)
    self.cluster = cluster
    self.version = version
    self.ring = ring
    self.transfers = transfers
    self.members = members.sorted { $0.id < $1.id }
    unavailable = try reader.readList(minimumBytes: 8) { (r) throws(DecodingFailure) in
      NodeID(rawValue: try r.readFixed())
    }
    properties = try reader.readList(minimumBytes: 8) { (r) throws(DecodingFailure) in
      BucketEntry(
        bucket: try BucketID(decoding: &r), properties: try BucketProperties(decoding: &r))
    }
    isClosing = try reader.readBool()
  }
}

extension Ring {
  /// Appends each partition's owner.
  public func encode(into writer: inout ByteWriter) {
    writer.write(list: owners) { $0.write(fixed: $1.rawValue) }
  }

  /// Reads a ring of one of the permitted sizes.
  public init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    let owners = try reader.readList(minimumBytes: 8) { (r) throws(DecodingFailure) in
      NodeID(rawValue: try r.readFixed())
    }
    guard Ring.sizes.contains(owners.count) else {
      throw reader.failure(expected: "a ring size, not \(owners.count)")
    }
    self.init(owners: owners)
  }
}

extension PartitionID {
  /// The partition's index of 0 to 4095, in two bytes.
  public func encode(into writer: inout ByteWriter) { writer.write(fixed: UInt16(index)) }

  /// Reads an index within the largest ring.
  public init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    let index = Int(try reader.readFixed(UInt16.self))
    guard index < 4096 else { throw reader.failure(expected: "a partition, not \(index)") }
    self.init(index)
  }
}

extension PendingTransfer {
  /// Appends partition, sender and receiver.
  public func encode(into writer: inout ByteWriter) {
    partition.encode(into: &writer)
    writer.write(fixed: from.rawValue)
    writer.write(fixed: to.rawValue)
  }

  /// Reads what ``encode(into:)`` wrote.
  public init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    self.init(
      partition: try PartitionID(decoding: &reader),
      from: NodeID(rawValue: try reader.readFixed()),
      to: NodeID(rawValue: try reader.readFixed()))
  }
}

extension Endpoint {
  /// Appends host and port.
  public func encode(into writer: inout ByteWriter) {
    writer.write(host)
    writer.write(fixed: port)
  }

  /// Reads what ``encode(into:)`` wrote.
  public init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    self.init(host: try reader.readString(), port: try reader.readFixed())
  }
}

extension Member {
  /// Appends all but the identity, which follows from the name, and the location, which nodes that
  /// speak only the first peer protocol do not know.
  public func encode(into writer: inout ByteWriter) {
    writer.write(name)
    endpoint.encode(into: &writer)
    clientEndpoint.encode(into: &writer)
    writer.write(count: shardCount + (shardLayout == .modulo ? 0 : Self.shardLimit))
    writer.write(status.rawValue)
  }

  /// Reads what ``encode(into:)`` wrote.
  public init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    let name = try reader.readString()
    let endpoint = try Endpoint(decoding: &reader)
    let clientEndpoint = try Endpoint(decoding: &reader)
    let shards = try reader.readVarint()
    guard (1...2 * UInt64(Self.shardLimit)).contains(shards) else {
      throw reader.failure(expected: "1 to 4096 shards in one of 2 layouts, not \(shards)")
    }
    let isSpread = shards > Self.shardLimit
    guard let status = MemberStatus(rawValue: try reader.readByte()) else {
      throw reader.failure(expected: "a member status")
    }
    self.init(
      name: name, endpoint: endpoint, clientEndpoint: clientEndpoint,
      shardCount: Int(shards) - (isSpread ? Self.shardLimit : 0),
      shardLayout: isSpread ? .spread : .modulo, status: status)
  }

  /// The most shards; a number of shards above it means the layout ``ShardLayout/spread``, which
  /// nodes that speak an earlier peer protocol than 3 take for damage.
  private static let shardLimit = 4096
}

extension [Member] {
  /// Reads a location for each member, in the same order.
  mutating func readLocations(_ reader: inout ByteReader) throws(DecodingFailure) {
    let locations = try reader.readList { (r) throws(DecodingFailure) in try r.readString() }
    guard locations.count == count,
      locations.allSatisfy({ $0.utf8.count <= Member.locationByteLimit })
    else { throw reader.failure(expected: "a location for each member") }
    for (index, location) in locations.enumerated() { self[index].location = location }
  }
}

extension BucketID {
  /// Appends type and name.
  public func encode(into writer: inout ByteWriter) {
    writer.write(type)
    writer.write(name)
  }

  /// Reads what ``encode(into:)`` wrote.
  public init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    let type = try reader.readBytes()
    self.init(type: type, name: try reader.readBytes())
  }
}
