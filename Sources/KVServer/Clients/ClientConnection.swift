import KVBase
import KVModel
import KVNode
import KVTransport
import NIOCore
import Synchronization

/// One client connection: joins its session to the connection and to the shard that serves it.
///
/// **Concurrency**: belongs to the connection's event loop. Replies reach it from other threads
/// through the loop's ``ReplyInbox``.
final class ClientConnection {
  /// With more bytes than this still to be written, no more of a listing is asked for.
  private static let listingByteLimit = 1 << 20
  private static let listingPause = TimeAmount.milliseconds(5)

  private let connection: FrameConnection
  private let shards: ShardSet
  /// Serves the requests that no shard is better for than another.
  private let driver: ShardDriver
  private let inbox: ReplyInbox
  private var session: ClientSession?
  private var tokens: UInt64 = 0
  /// The request whose replies are awaited.
  private var current: (token: UInt64, reply: (ClientReply) -> Void)?
  private var currentID: (RequestID, ShardDriver)?
  /// True while a request is being handed to its shard, which may answer it at once.
  private var isSubmitting = false
  private var isDraining = false

  init(
    connection: FrameConnection, shards: ShardSet, driver: ShardDriver, inbox: ReplyInbox,
    nodeName: String, limits: ClientSessionLimits
  ) {
    self.connection = connection
    self.shards = shards
    self.driver = driver
    self.inbox = inbox
    let environment = ClientSessionEnvironment(
      nodeName: nodeName, serverVersion: ServerVersion.clientInterface,
      submit: { [weak self] in self?.submit($0, $1) ?? {} },
      write: { connection.send($0) == .queued },
      setReading: { [weak self] isOn in
        if self?.isDraining != true { connection.setReading(isOn) }
      },
      close: { connection.close() })
    session = ClientSession(environment: environment, limits: limits)
  }

  func receive(_ event: FrameEvent) {
    switch event {
    case .frame(let payload): session?.received(payload)
    case .violation(.empty): session?.receivedBrokenFrame(nil)
    case .violation(.tooLarge(let announced)):
      session?.receivedBrokenFrame("a frame of \(announced) bytes exceeds the limit")
    case .violation(.noMemory): session?.receivedUnaffordableFrame()
    case .violation(.tooSlow):
      session?.receivedBrokenFrame("a frame takes longer than client.frame_timeout")
    case .writable: break
    case .closed:
      session?.connectionClosed()
      session = nil
      current = nil
    }
  }

  /// Takes a reply that the shard gave for the request with the token.
  func deliver(_ reply: ClientReply, token: UInt64, isFinal: Bool) {
    guard let current, current.token == token else { return }
    if isFinal { self.current = nil }
    current.reply(reply)
    if !isFinal { takeMore(of: token) }
    closeIfDrained()
  }

  /// Asks for more of a listing once the client has read most of what it was sent.
  private func takeMore(of token: UInt64) {
    guard current?.token == token, let (id, driver) = currentID else { return }
    guard connection.pendingBytes > Self.listingByteLimit else { return driver.takenListing(id) }
    connection.eventLoop.assumeIsolated().scheduleTask(in: Self.listingPause) { [weak self] in
      self?.takeMore(of: token)
    }
  }

  /// Reads no further requests and closes the connection when those it has are answered.
  func drain() {
    isDraining = true
    connection.setReading(false)
    closeIfDrained()
  }

  private func closeIfDrained() {
    guard isDraining, session?.isBusy == false else { return }
    connection.close()
  }

  private func submit(
    _ request: ClientRequest, _ reply: @escaping (ClientReply) -> Void
  ) -> ClientSessionEnvironment.Cancel {
    tokens += 1
    let token = tokens
    current = (token, reply)
    let driver = shards.driver(for: request) ?? driver
    isSubmitting = true
    let id = driver.submit(
      request, byteCount: request.approximateByteCount, reply: receiver(of: token))
    isSubmitting = false
    guard let id else {
      deliver(.failure(.overload), token: token, isFinal: true)
      return {}
    }
    // An answer that came at once may have led to another request.
    if current?.token == token { currentID = (id, driver) }
    return { [weak self] in
      if self?.current?.token == token { self?.current = nil }
      driver.cancel(id)
    }
  }

  /// Brings the replies to the request with the token here: at once when the shard answers on this
  /// thread while it is asked.
  private func receiver(of token: UInt64) -> ShardDriver.ReplyHandler {
    let inbox = inbox
    let receiver = NIOLoopBound(WeakReference(self), eventLoop: connection.eventLoop)
    return { reply, isFinal in
      if inbox.eventLoop.inEventLoop, let connection = receiver.value.object,
        connection.isSubmitting
      {
        return connection.deliver(reply, token: token, isFinal: isFinal)
      }
      inbox.post(
        ReplyInbox.Item(receiver: receiver, token: token, reply: reply, isFinal: isFinal))
    }
  }
}

/// A reference that does not keep a connection alive whose replies are still to come.
final class WeakReference<Object: AnyObject> {
  weak var object: Object?

  init(_ object: Object) { self.object = object }
}

/// Replies on their way to the connections of one event loop: however many arrive while the loop is
/// busy, it is woken once.
///
/// **Concurrency**: ``post(_:)`` from any thread.
final class ReplyInbox: Sendable {
  struct Item: Sendable {
    var receiver: NIOLoopBound<WeakReference<ClientConnection>>
    var token: UInt64
    var reply: ClientReply
    var isFinal: Bool
  }

  let eventLoop: any EventLoop
  private let items = Mutex<[Item]>([])

  init(eventLoop: any EventLoop) { self.eventLoop = eventLoop }

  func post(_ item: Item) {
    let isFirst = items.withLock { items in
      items.append(item)
      return items.count == 1
    }
    if isFirst { eventLoop.execute { self.drain() } }
  }

  private func drain() {
    let batch = items.withLock { items in
      defer { items = [] }
      return items
    }
    for item in batch {
      item.receiver.value.object?.deliver(item.reply, token: item.token, isFinal: item.isFinal)
    }
  }
}

/// The inbox of each event loop.
final class InboxTable: Sendable {
  private let inboxes = Mutex<[ObjectIdentifier: ReplyInbox]>([:])

  func inbox(of eventLoop: any EventLoop) -> ReplyInbox {
    inboxes.withLock { inboxes in
      if let inbox = inboxes[ObjectIdentifier(eventLoop)] { return inbox }
      let inbox = ReplyInbox(eventLoop: eventLoop)
      inboxes[ObjectIdentifier(eventLoop)] = inbox
      return inbox
    }
  }
}

extension ClientRequest {
  /// About how much memory the request holds while it waits.
  var approximateByteCount: Int {
    switch self {
    case .put(let key, _, let content, _): 256 + key.key.count + content.value.count
    case .reap(let keys): keys.reduce(256) { $0 + $1.key.count + 64 }
    case .index(let query, _, _, _): 256 + query.approximateByteCount
    case .keyQuery(let query, _): query.parts.reduce(256) { $0 + $1.query.approximateByteCount }
    default: 256
    }
  }

  /// The key of a request that reads or writes one object.
  var key: ObjectKey? {
    switch self {
    case .get(let key, _), .put(let key, _, _, _), .delete(let key, _, _): key
    case .listBuckets, .listKeys, .index, .keyQuery, .preferenceList, .bucketProperties,
      .setBucketProperties, .resetBucketProperties, .fold, .reap, .bucketTypes, .dropBucket:
      nil
    }
  }
}

extension IndexQuery {
  fileprivate var approximateByteCount: Int {
    let texts = filter.map { $0.source.evaluation.count + $0.source.condition.count } ?? 0
    return 128 + lower.count + (upper?.count ?? 0) + (pattern?.text.count ?? 0) + texts
  }
}
