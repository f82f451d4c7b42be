import KVBase
import KVCluster

/// What nodes say to each other over a connection, inside KVTransport's frames.
///
/// ```
/// hello    0x01 | magic "SKVP" | format u16 | node u64 | name string | host string | port u16
///          | lowest protocol u16 | highest protocol u16   (both 1 when left out)
/// message  0x02 | target node u64 (0: whoever listens) | target shard u16 | source shard u16 | bytes
/// ```
///
/// The dialer sends its hello first and may send messages at once; the acceptor answers with its own
/// hello and sends nothing else. Integers are big-endian, strings as in ``ByteWriter``.
enum PeerFrame {
  case hello(PeerHello)
  case message(target: NodeID?, shard: ShardIndex, from: ShardIndex, Bytes)

  /// The format of hello and message; nodes with different formats do not talk.
  static let format: UInt16 = 1
  private static let magic = Bytes("SKVP".utf8)
  /// Bytes before a message's own.
  static let messageHeaderByteCount = 13

  /// A frame's payload for a hello.
  static func encode(_ hello: PeerHello) -> Bytes {
    var writer = ByteWriter(capacity: 64)
    writer.write(UInt8(1))
    writer.write(raw: magic)
    writer.write(fixed: hello.format)
    writer.write(fixed: hello.node.rawValue)
    writer.write(hello.name)
    writer.write(hello.endpoint.host)
    writer.write(fixed: hello.endpoint.port)
    writer.write(fixed: hello.speaks.lowerBound)
    writer.write(fixed: hello.speaks.upperBound)
    return writer.bytes
  }

  /// A frame's payload for a message.
  static func encode(
    _ message: Bytes, target: NodeID?, shard: ShardIndex, from source: ShardIndex
  ) -> Bytes {
    var writer = ByteWriter(capacity: message.count + messageHeaderByteCount)
    writer.write(UInt8(2))
    writer.write(fixed: target?.rawValue ?? 0)
    writer.write(fixed: UInt16(truncatingIfNeeded: shard.index))
    writer.write(fixed: UInt16(truncatingIfNeeded: source.index))
    writer.write(raw: message)
    return writer.bytes
  }

  init(decoding payload: Bytes) throws(DecodingFailure) {
    var reader = ByteReader(payload)
    switch try reader.readByte() {
    case 1: self = .hello(try Self.readHello(&reader))
    case 2:
      let target = try reader.readFixed(UInt64.self)
      let shard = ShardIndex(Int(try reader.readFixed(UInt16.self)))
      let source = ShardIndex(Int(try reader.readFixed(UInt16.self)))
      self = .message(
        target: target == 0 ? nil : NodeID(rawValue: target), shard: shard, from: source,
        try reader.readRaw(reader.remaining))
    case let kind: throw reader.failure(expected: "a peer frame of kind 1 or 2, not \(kind)")
    }
  }

  private static func readHello(_ reader: inout ByteReader) throws(DecodingFailure) -> PeerHello {
    guard try reader.readRaw(magic.count) == magic else {
      throw reader.failure(expected: "a SpineKV node on the other side")
    }
    let format = try reader.readFixed(UInt16.self)
    let node = NodeID(rawValue: try reader.readFixed(UInt64.self))
    let name = try reader.readString()
    let host = try reader.readString()
    let port = try reader.readFixed(UInt16.self)
    var hello = PeerHello(
      format: format, node: node, name: name, endpoint: Endpoint(host: host, port: port))
    // The first release ends here and takes no notice of what follows; so does this one.
    hello.speaks = PeerProtocol.earliest...PeerProtocol.earliest
    if reader.remaining > 0 {
      let lowest = try reader.readFixed(UInt16.self)
      let highest = try reader.readFixed(UInt16.self)
      guard lowest <= highest else { throw reader.failure(expected: "a range of protocols") }
      hello.speaks = lowest...highest
    }
    return hello
  }
}

/// Who is on the other side of a peer connection.
struct PeerHello: Hashable, Sendable {
  var format: UInt16
  var node: NodeID
  var name: String
  var endpoint: Endpoint
  /// The peer protocols it speaks.
  var speaks = PeerProtocol.earliest...PeerProtocol.latest

  /// The protocol to use with it; nil when there is none.
  var agreedProtocol: UInt16? {
    format == PeerFrame.format
      ? PeerProtocol.agreed(speaks, PeerProtocol.earliest...PeerProtocol.latest) : nil
  }
}
