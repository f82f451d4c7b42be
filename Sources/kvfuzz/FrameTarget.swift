import KVBase
import KVModel
import KVProtocol
import KVServer
import KVTransport

/// A client connection's bytes, through framing, session and decoders; and what a client reads.
struct FrameTarget: FuzzTarget {
  let name = "frames"
  private static let frameLimit = 1 << 16

  var samples: [Bytes] {
    let requests = Self.requests.map(\.payload) + TypedSamples.requests
    let answers = Self.answers
    let stream = requests.prefix(6).flatMap { Self.framed($0) }
    return requests + answers + TypedSamples.values + requests.map { Self.framed($0) } + [stream]
  }

  func run(_ bytes: Bytes) -> Bool {
    let accepted = (try? WireReply(payload: bytes)) != nil
    _ = try? VersionVector(clientBytes: bytes)
    if let object = try? KVObject(encoded: bytes) {
      object.checkInvariants()
      precondition(
        (try? KVObject(encoded: object.encoded().bytes)) == object,
        "an object changes when it is encoded again")
    }
    TypedSamples.check(bytes)
    let performed = FuzzConnection()
    performed.session.received(bytes)
    performed.finish()
    let streamed = FuzzConnection()
    let pieces = stride(from: 0, to: bytes.count, by: 7).map {
      Bytes(bytes[$0..<min($0 + 7, bytes.count)])
    }
    for event in FramingFuzz.events(of: pieces, limit: Self.frameLimit) {
      switch event {
      case .frame(let payload): streamed.session.received(payload)
      case .violation(.empty): streamed.session.receivedBrokenFrame(nil)
      default: streamed.session.receivedBrokenFrame("emsgsize")
      }
    }
    streamed.finish()
    return accepted || performed.submitted > 0
  }

  private static func framed(_ payload: Bytes) -> Bytes {
    var writer = ByteWriter(capacity: payload.count + 4)
    writer.write(fixed: UInt32(payload.count))
    writer.write(raw: payload)
    return writer.bytes
  }

  static let key = ObjectKey(type: "type", bucket: "bucket", key: "key")
  static let clock = VersionVector([
    Dot(actor: VnodeID(rawValue: 7), counter: 2), Dot(actor: VnodeID(rawValue: 9), counter: 5),
  ])
  static let content = Content(
    value: Bytes("value".utf8), contentType: Bytes("text/plain".utf8),
    charset: Bytes("utf-8".utf8), contentEncoding: Bytes("gzip".utf8),
    links: [Link(bucket: [1], key: [2], tag: [3])],
    userMetadata: [Pair(key: [1], value: [2]), Pair(key: [3], value: nil)],
    indexes: [
      Pair(key: Bytes("a_int".utf8), value: Bytes("-42".utf8)),
      Pair(key: Bytes("b_bin".utf8), value: Bytes("term".utf8)),
    ], vtag: Bytes("tag".utf8), lastModified: WallClock(microseconds: 1_700_000_000_000_000))

  static var object: KVObject {
    KVObject(
      clock: clock,
      siblings: [
        Sibling(dot: clock.entries[0], content: content),
        Sibling(dot: clock.entries[1], content: .tombstone(at: WallClock(microseconds: 5))),
      ])
  }

  private static var requests: [WireRequest] {
    var get = GetOptions()
    (get.r, get.pr, get.nodeConfirms) = (.quorum, .count(1), .all)
    (get.basicQuorum, get.notFoundOK, get.timeout) = (true, false, .seconds(1))
    (get.sloppyQuorum, get.nVal, get.headOnly) = (false, 3, true)
    var put = PutOptions()
    (put.w, put.dw, put.pw, put.nodeConfirms) = (.one, .all, .count(0), .quorum)
    (put.timeout, put.sloppyQuorum, put.nVal, put.asIs) = (.seconds(2), false, 2, true)
    (put.syncOnWrite, put.ifNoneMatch, put.ifNotModified, put.returnBody) = (.one, true, true, true)
    var delete = DeleteOptions()
    (delete.rw, delete.r, delete.w, delete.pr) = (.all, .one, .quorum, .count(2))
    var properties = BucketProperties(untyped: false)
    properties.precommit = [NamedFunction(module: [1], function: [2])]
    properties.opaque = [Pair(key: Bytes("search_index".utf8), value: [1])]
    return [
      .ping, .serverInfo, .get(key, GetOptions(), ifModified: nil, tombstoneContext: false),
      .get(key, get, ifModified: clock.clientBytes, tombstoneContext: true),
      .put(key.bucket, key: nil, context: nil, Content(value: [1]), PutOptions()),
      .put(key.bucket, key: key.key, context: clock.clientBytes, content, put),
      .delete(key, context: clock.clientBytes, delete),
      .listBuckets(type: key.bucket.type, timeout: .seconds(1)),
      .listKeys(key.bucket, timeout: .seconds(1)), .properties(key.bucket),
      .setProperties(key.bucket, properties), .resetProperties(key.bucket),
    ]
  }

  private static var answers: [Bytes] {
    let shape = ReplyShape.object(
      ifModified: VersionVector(), headOnly: false, tombstoneClock: false)
    return ReplyEncoder.frames(.object(object), shape: shape)
      + ReplyEncoder.frames(
        .stored(object), shape: .stored(generatedKey: [5, 6], headOnly: false))
      + ReplyEncoder.frames(.keys([[1], [2, 3]], done: true), shape: .keys)
      + ReplyEncoder.frames(
        .properties(BucketProperties()), shape: .properties(untyped: true))
      + [ReplyEncoder.error("{n_val_violation,3}"), clock.clientBytes, object.encoded().bytes]
      + [[3], [5, 0x0A, 4, 1, 2, 3, 4], [255], [31, 0x0A, 1, 65]]
  }
}

/// A session on a connection that only counts, over a node that always knows an answer.
private final class FuzzConnection {
  /// Answers that the Swift client does not ask for.
  private static let codesWithoutReader: Set<UInt8> = [
    4, 6, 24, 26, 34, 41, 51, 53, 81, 83, 221, 222, 224,
  ]

  private(set) var submitted = 0
  private var written = 0
  private var isClosed = false

  lazy var session = ClientSession(
    environment: ClientSessionEnvironment(
      nodeName: "fuzz", serverVersion: "3.4.0",
      submit: { [unowned self] request, reply in
        submitted += 1
        reply(Self.answer(request))
        return {}
      },
      write: { [unowned self] payload in
        precondition(!isClosed, "written after the end")
        written += 1
        let hasReader = payload.first.map { !Self.codesWithoutReader.contains($0) } ?? true
        precondition(
          !hasReader || (try? WireReply(payload: payload)) != nil,
          "an answer that no client can read: \(payload)")
        return true
      },
      setReading: { _ in },
      close: { [unowned self] in isClosed = true },
      random: SeededRandom(seed: 1)))

  func finish() {
    precondition(isClosed || !session.isBusy, "a request was left without an answer")
    session.connectionClosed()
  }

  private static var found: FoldResult {
    var result = FoldResult()
    result.count = 1
    result.found = [FoldResult.Found(key: FrameTarget.key, value: 7, clock: FrameTarget.clock)]
    result.sizes = [0, 0, 1]
    return result
  }

  private static func answer(_ request: ClientRequest) -> ClientReply {
    switch request {
    case .get(let key, _) where TypedSamples.kind(of: key.bucket) != nil:
      .object(TypedSamples.object(in: key.bucket))
    case .put(let key, _, _, _) where TypedSamples.kind(of: key.bucket) != nil:
      .stored(TypedSamples.object(in: key.bucket))
    case .get(let key, _):
      key.key.count % 2 == 0 ? .failure(.timeout) : .object(FrameTarget.object)
    case .put: .stored(FrameTarget.object)
    case .delete: .deleted
    case .listBuckets: .buckets([[1], [2]], done: true)
    case .listKeys: .keys([[1], [2]], done: true)
    case .index: .entries([IndexEntry(term: [1], key: [2])], done: true)
    case .preferenceList:
      .preferenceList([PreferredVnode(partition: 1, node: "n", isPrimary: true)])
    case .bucketProperties(let bucket): .properties(TypedSamples.properties(of: bucket))
    case .setBucketProperties, .resetBucketProperties, .dropBucket: .propertiesStored
    case .keyQuery: .found(KeyQueryPage(keys: [[1]]), done: true)
    case .fold: .folded(Self.found)
    case .reap: .reapQueued
    case .bucketTypes: .bucketTypes([[1], [2]])
    }
  }
}
