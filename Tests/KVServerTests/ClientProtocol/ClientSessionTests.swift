import KVBase
import KVModel
import KVProtocol
import Testing

@testable import KVServer

/// A session with everything it does written down, and replies given by hand.
final class SessionHarness {
  var written: [Bytes] = []
  var submitted: [ClientRequest] = []
  var pending: [(ClientReply) -> Void] = []
  var cancelled = 0
  var isClosed = false
  var isReading = true
  var takesWrites = true
  private let limits: ClientSessionLimits
  private let store: ObviousStore?

  init(limits: ClientSessionLimits = ClientSessionLimits(), store: ObviousStore? = nil) {
    self.limits = limits
    self.store = store
  }

  lazy var session = ClientSession(
    environment: ClientSessionEnvironment(
      nodeName: "node1@127.0.0.1", serverVersion: "3.4.0",
      submit: { [unowned self] request, reply in
        submitted.append(request)
        if let store { reply(store.perform(request)) } else { pending.append(reply) }
        return { self.cancelled += 1 }
      },
      write: { [unowned self] in
        guard takesWrites else { return false }
        written.append($0)
        return true
      },
      setReading: { [unowned self] in isReading = $0 },
      close: { [unowned self] in isClosed = true },
      random: SeededRandom(seed: 1)),
    limits: limits)

  func reply(_ reply: ClientReply) { pending.removeFirst()(reply) }

  var errors: [String] {
    written.compactMap {
      guard case .error(let text)? = try? WireReply(payload: $0) else { return nil }
      return text
    }
  }
}

@Suite struct ClientSessionTests {
  private let key = ObjectKey(bucket: "b", key: "k")
  private var get: Bytes {
    WireRequest.get(key, GetOptions(), ifModified: nil, tombstoneContext: false).payload
  }
  private var listKeys: Bytes { WireRequest.listKeys(key.bucket, timeout: nil).payload }

  @Test func `session messages are answered at once`() throws {
    let harness = SessionHarness()
    harness.session.received([1])
    harness.session.received([3])
    harness.session.received([5, 0x0A, 4] + Bytes("abcd".utf8))
    harness.session.received([3])
    harness.session.received([7])
    #expect(
      harness.written.dropLast() == [
        [2], [4, 0x0A, 4, 0, 0, 0, 0], [6], [4, 0x0A, 4] + Bytes("abcd".utf8),
      ])
    #expect(
      try WireReply(payload: try #require(harness.written.last))
        == .serverInfo(node: "node1@127.0.0.1", version: "3.4.0"))
  }

  @Test func `requests sent ahead are performed one at a time and answered in order`() {
    let harness = SessionHarness()
    for payload in [get, [1], get, [1]] { harness.session.received(payload) }
    #expect(harness.submitted.count == 1)
    #expect(harness.written.isEmpty)
    harness.reply(.object(KVObject()))
    #expect(harness.written == [[10], [2]])
    #expect(harness.submitted.count == 2)
    harness.reply(.failure(.timeout))
    #expect(harness.written.count == 4)
    #expect(harness.written.last == [2])
    #expect(harness.errors == ["timeout"])
    #expect(!harness.session.isBusy)
  }

  @Test func `ten thousand answers at once need no deep stack`() {
    let harness = SessionHarness(store: ObviousStore())
    for _ in 0..<10_000 { harness.session.received(get) }
    #expect(harness.written.count == 10_000)
  }

  @Test func `reading pauses when too many requests wait and resumes when they have gone`() {
    var limits = ClientSessionLimits()
    limits.waitingRequests = 4
    let harness = SessionHarness(limits: limits)
    for count in 1...5 {
      harness.session.received(get)
      #expect(harness.isReading == (count < 5))
    }
    harness.reply(.object(KVObject()))
    #expect(!harness.isReading)
    harness.reply(.object(KVObject()))
    #expect(harness.isReading)
  }

  @Test func `a request while a listing is going out ends the connection`() {
    let harness = SessionHarness()
    harness.session.received(listKeys)
    harness.reply(.keys([[1]], done: false))
    harness.session.received([1])
    #expect(harness.errors == ["Cannot send another request while one is in progress"])
    #expect(harness.isClosed)
    #expect(harness.cancelled == 1)
  }

  @Test func `a request sent before the listing's first message waits for its end`() {
    let harness = SessionHarness()
    var replies: [(ClientReply) -> Void] = []
    harness.session.received(listKeys)
    harness.session.received([1])
    replies = harness.pending
    replies[0](.keys([[1]], done: false))
    replies[0](.keys([[2]], done: true))
    #expect(harness.written.count == 4)
    #expect(harness.written.last == [2])
    #expect(!harness.isClosed)
  }

  @Test func `an unstreamed bucket listing is one message with each name once`() throws {
    let harness = SessionHarness()
    harness.session.received([15])
    let reply = harness.pending[0]
    reply(.buckets([[2], [1]], done: false))
    reply(.buckets([[1], [3]], done: true))
    #expect(
      try harness.written.map { try WireReply(payload: $0) } == [
        .buckets([[1], [2], [3]], done: false)
      ])
  }

  @Test func `a listing of more names than the limit fails and is given up`() {
    var limits = ClientSessionLimits()
    limits.gatheredNames = 2
    let harness = SessionHarness(limits: limits)
    harness.session.received([15])
    harness.pending[0](.buckets([[2], [1], [3]], done: false))
    #expect(harness.errors.count == 1)
    #expect(harness.cancelled == 1)
    harness.session.received([1])
    #expect(harness.written.last == [2])
  }

  @Test func `setting properties reads, checks and stores the complete set`() {
    let harness = SessionHarness()
    var wanted = BucketProperties()
    wanted.allowMult = true
    harness.session.received([21, 0x0A, 1, 98, 0x12, 2, 0x10, 1])
    harness.reply(.properties(BucketProperties()))
    #expect(harness.submitted.last == .setBucketProperties(key.bucket, wanted))
    harness.reply(.propertiesStored)
    #expect(harness.written == [[22]])
    harness.session.received([21, 0x0A, 1, 98, 0x12, 2, 0x08, 0])
    harness.reply(.properties(BucketProperties()))
    #expect(harness.errors == ["Invalid bucket properties: [{n_val,not_integer}]"])
    #expect(harness.submitted.count == 3)
    harness.session.received([19, 0x0A, 1, 98, 0x12, 1, 84])
    harness.reply(.failure(.unknownBucketType(Bytes("T".utf8))))
    #expect(harness.errors.last == "No bucket-type named 'T'")
  }

  @Test func `a body that is no message ends the connection, later frames are ignored`() {
    let harness = SessionHarness()
    harness.session.received([9, 0xFF])
    harness.session.received([1])
    #expect(harness.errors.count == 1)
    #expect(harness.written.count == 1)
    #expect(harness.isClosed)
  }

  @Test func `a broken frame is answered, an empty one is not`() {
    let empty = SessionHarness()
    empty.session.receivedBrokenFrame(nil)
    #expect(empty.isClosed && empty.written.isEmpty)
    let large = SessionHarness()
    large.session.receivedBrokenFrame("emsgsize")
    #expect(large.isClosed)
    #expect(large.errors == ["Invalid message packet, reason: emsgsize"])
  }

  @Test func `when the client is gone its request is given up and a late answer dropped`() {
    let harness = SessionHarness()
    harness.session.received(get)
    harness.session.connectionClosed()
    #expect(harness.cancelled == 1)
    harness.reply(.object(KVObject()))
    #expect(harness.written.isEmpty)
  }

  @Test func `a client that does not read is cut off`() {
    let harness = SessionHarness()
    harness.session.received(get)
    harness.takesWrites = false
    harness.reply(.object(KVObject()))
    #expect(harness.isClosed)
  }

  @Test func `a reply above the limit becomes an error`() {
    var limits = ClientSessionLimits()
    limits.replyBytes = 100
    let harness = SessionHarness(limits: limits)
    var object = KVObject()
    object.write(
      Content(value: Bytes(repeating: 1, count: 200)), context: VersionVector(),
      by: VnodeID(rawValue: 1))
    harness.session.received(get)
    harness.reply(.object(object))
    #expect(harness.errors.count == 1)
    #expect(!harness.isClosed)
  }
}
