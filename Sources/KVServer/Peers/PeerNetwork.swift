import KVBase
import KVCluster
import KVNode
import KVTransport
import NIOCore
import Synchronization

/// All connections between this node and others: one outgoing connection for each peer, which carries
/// the messages of all shards, and the connections that peers made to this node, which are only read.
///
/// **Concurrency**: any thread.
final class PeerNetwork: Sendable {
  /// Where incoming messages and news go.
  struct Handlers: Sendable {
    /// A message for a shard of this node.
    var deliver: @Sendable (Bytes, _ from: Address, _ to: ShardIndex) -> Void
    /// A connection to a node broke or could not be made.
    var disconnected: @Sendable (NodeID) -> Void
    /// A connection to a node was made: this is the peer protocol to use with it.
    var speaks: @Sendable (UInt16, NodeID) -> Void
    var log: @Sendable (LogLevel, String) -> Void
  }

  private struct Book {
    /// From the membership; what peers say of themselves only fills gaps.
    var members: [NodeID: Endpoint] = [:]
    var met: [NodeID: Endpoint] = [:]
    var links: [Endpoint: PeerLink] = [:]
    var unroutable = 0
    var isClosed = false
  }

  /// The most endpoints remembered beyond the members'.
  private static let metLimit = 1024

  private let local: NodeID
  private let endpoint: Endpoint
  private let handlers: Handlers
  private let book = Mutex(Book())
  private let linkSurroundings = OnceCell<PeerLink.Surroundings>()
  private let helloFrame: Bytes
  private let received = Atomic<Int>(0)

  init(
    local member: Member, configuration: ServerConfiguration, group: any EventLoopGroup,
    handlers: Handlers
  ) {
    local = member.id
    endpoint = member.endpoint
    self.handlers = handlers
    let frame = PeerFrame.encode(
      PeerHello(
        format: PeerFrame.format, node: member.id, name: member.name, endpoint: member.endpoint))
    helloFrame = frame
    linkSurroundings.set(
      PeerLink.Surroundings(
        group: group, transport: Self.transport(configuration), hello: frame,
        reconnectMinimum: configuration.peerReconnectMinimum,
        reconnectMaximum: configuration.peerReconnectMaximum,
        met: { [weak self] hello in self?.meet(hello) },
        lost: { [weak self] endpoint, node, reason in self?.lose(endpoint, node, reason) }))
  }

  /// The limits of peer connections.
  static func transport(_ configuration: ServerConfiguration) -> FrameConfiguration {
    var transport = FrameConfiguration()
    transport.maximumFrameBytes = configuration.peerFrameByteLimit
    transport.outboundLimit = configuration.peerQueueByteLimit
    transport.maximumConnections = 1024
    return transport
  }

  /// Messages sent, received and dropped, and peers connected to.
  var counts: (sent: Int, received: Int, dropped: Int) {
    let (links, unroutable) = book.withLock { ($0.links.values.map(\.counts), $0.unroutable) }
    return (
      links.reduce(0) { $0 + $1.sent }, received.load(ordering: .relaxed),
      links.reduce(unroutable) { $0 + $1.dropped }
    )
  }

  /// Learns where members are.
  func setMembers(_ members: [Member]) {
    book.withLock { book in
      book.members = [:]
      for member in members { book.members[member.id] = member.endpoint }
    }
  }

  /// Sends to a shard of another node, or drops the message.
  func send(_ message: Bytes, from shard: ShardIndex, to address: Address) {
    guard let link = link(to: address.node), fits(message) else { return }
    link.send(
      PeerFrame.encode(message, target: address.node, shard: address.shard, from: shard))
  }

  /// Sends to the membership shard of whichever node listens at the endpoint.
  func send(_ message: Bytes, from shard: ShardIndex, to endpoint: Endpoint) {
    if endpoint == self.endpoint {
      handlers.deliver(message, Address(node: local, shard: shard), .membership)
      return
    }
    guard let link = link(at: endpoint), fits(message) else { return }
    link.send(PeerFrame.encode(message, target: nil, shard: .membership, from: shard))
  }

  /// The receiver of a connection that a peer made.
  func accept(_ connection: FrameConnection) -> FrameReceiver {
    let peer = Mutex<PeerHello?>(nil)
    return { [weak self] event in self?.receive(event, on: connection, peer: peer) }
  }

  /// Closes all outgoing connections.
  func close() {
    let links = book.withLock { book in
      book.isClosed = true
      defer { book.links = [:] }
      return Array(book.links.values)
    }
    for link in links { link.close() }
  }

  // MARK: Outgoing

  private func fits(_ message: Bytes) -> Bool {
    let limit = linkSurroundings.value?.transport.maximumFrameBytes ?? 0
    guard message.count + PeerFrame.messageHeaderByteCount <= limit else {
      handlers.log(.error, "a message of \(message.count) bytes exceeds peer.frame_limit: dropped")
      book.withLock { $0.unroutable += 1 }
      return false
    }
    return true
  }

  private func link(to node: NodeID) -> PeerLink? {
    let surroundings = linkSurroundings.value
    return book.withLock { book in
      guard let endpoint = book.members[node] ?? book.met[node] else {
        book.unroutable += 1
        return nil
      }
      return Self.link(at: endpoint, &book, surroundings)
    }
  }

  private func link(at endpoint: Endpoint) -> PeerLink? {
    let surroundings = linkSurroundings.value
    return book.withLock { Self.link(at: endpoint, &$0, surroundings) }
  }

  private static func link(
    at endpoint: Endpoint, _ book: inout Book, _ surroundings: PeerLink.Surroundings?
  ) -> PeerLink? {
    if let link = book.links[endpoint] { return link }
    guard let surroundings, !book.isClosed else { return nil }
    let link = PeerLink(endpoint: endpoint, surroundings: surroundings)
    book.links[endpoint] = link
    return link
  }

  private func meet(_ hello: PeerHello) {
    if let version = hello.agreedProtocol { handlers.speaks(version, hello.node) }
    book.withLock { book in
      guard book.met.count < Self.metLimit || book.met[hello.node] != nil else { return }
      book.met[hello.node] = hello.endpoint
    }
  }

  private func lose(_ endpoint: Endpoint, _ node: NodeID?, _ reason: String) {
    let known =
      node
      ?? book.withLock { book in
        book.members.first { $0.value == endpoint }?.key
      }
    handlers.log(.debug, "peer \(endpoint) lost: \(reason)")
    if let known { handlers.disconnected(known) }
  }

  // MARK: Incoming

  private func receive(
    _ event: FrameEvent, on connection: FrameConnection, peer: borrowing Mutex<PeerHello?>
  ) {
    switch event {
    case .frame(let payload):
      do throws(DecodingFailure) {
        let known = peer.withLock { $0 }
        if let hello = try handle(try PeerFrame(decoding: payload), from: known, on: connection) {
          peer.withLock { $0 = hello }
        }
      } catch {
        handlers.log(.warning, "peer connection from \(connection.remoteAddress): \(error)")
        connection.abort()
      }
    case .violation(let violation):
      handlers.log(.warning, "peer connection from \(connection.remoteAddress): \(violation)")
      connection.abort()
    case .writable: break
    case .closed:
      if let node = peer.withLock({ $0?.node }) { handlers.disconnected(node) }
    }
  }

  /// Returns a hello that introduced the peer.
  private func handle(
    _ frame: PeerFrame, from peer: PeerHello?, on connection: FrameConnection
  ) throws(DecodingFailure) -> PeerHello? {
    switch frame {
    case .hello(let hello):
      connection.send(helloFrame)
      guard hello.agreedProtocol != nil else {
        handlers.log(
          .warning, "\(hello.name) speaks peer protocols \(hello.speaks), this node others: refused"
        )
        connection.close()
        return nil
      }
      meet(hello)
      return hello
    case .message(let target, let shard, let source, let message):
      guard let peer else {
        throw DecodingFailure(expected: "a hello before any message", offset: 0)
      }
      // Another node may have had this address before: what was meant for it is not for us.
      guard target == nil || target == local else { return nil }
      received.add(1, ordering: .relaxed)
      handlers.deliver(message, Address(node: peer.node, shard: source), shard)
      return nil
    }
  }
}
