import KVBase
import KVCluster
import KVModel
import KVNode

/// How events and effects appear in a trace: as numbers for the digest, as words for people.
struct Describe {
  /// What a trace calls each node.
  var names: [NodeID: String] = [:]

  private func name(_ address: Address) -> String {
    "\(names[address.node] ?? "\(address.node.rawValue)")/\(address.shard.index)"
  }

  static func tag(of event: ShardEvent) -> Int {
    switch event {
    case .start: 10
    case .message: 11
    case .request: 12
    case .requestCancelled: 13
    case .admin: 14
    case .synced: 15
    case .syncFailed: 16
    case .peerDisconnected: 17
    case .timer: 18
    case .stop: 19
    case .peerSpeaks: 9
    case .listingTaken: 20
    case .damaged: 21
    }
  }

  static func fingerprint(of event: ShardEvent) -> UInt64 {
    switch event {
    case .message(let bytes, let from): StableHash.hash(bytes) &+ UInt64(from.shard.index)
    case .request(let id, _), .requestCancelled(let id), .admin(let id, _), .listingTaken(let id):
      id.rawValue
    case .synced(let through): through
    case .peerDisconnected(let node): node.rawValue
    case .peerSpeaks(let version, let node): node.rawValue &+ UInt64(version)
    case .damaged(let lower, let upper, _): StableHash.hash(lower) &+ StableHash.hash(upper)
    case .start, .syncFailed, .timer, .stop: 0
    }
  }

  func text(of event: ShardEvent) -> String {
    switch event {
    case .start: "start"
    case .message(let bytes, let from): "message \(text(ofMessage: bytes)) of \(name(from))"
    case .request(let id, let request): "request \(id.rawValue) \(Self.text(of: request))"
    case .requestCancelled(let id): "request \(id.rawValue) cancelled"
    case .listingTaken(let id): "listing \(id.rawValue) taken"
    case .admin(let id, let command): "admin \(id.rawValue) \(command)"
    case .synced(let through): "synced \(through)"
    case .syncFailed(let failure): "sync failed: \(failure)"
    case .damaged(let lower, let upper, let isValue):
      "damaged \(isValue ? "value" : "block") from \(lower) to \(upper)"
    case .peerDisconnected(let node): "disconnected from \(names[node] ?? "\(node.rawValue)")"
    case .peerSpeaks(let version, let node):
      "\(names[node] ?? "\(node.rawValue)") speaks version \(version)"
    case .timer: "timer"
    case .stop: "stop"
    }
  }

  static func tag(of effect: ShardEffect) -> Int {
    switch effect {
    case .send: 30
    case .sendToEndpoint: 31
    case .reply: 32
    case .adminReply: 33
    case .sync: 34
    case .log: 35
    case .probe: 36
    case .stopped: 37
    }
  }

  static func fingerprint(of effect: ShardEffect) -> UInt64 {
    switch effect {
    case .send(let bytes, let to): StableHash.hash(bytes) &+ to.node.rawValue
    case .sendToEndpoint(let bytes, _): StableHash.hash(bytes)
    case .reply(let id, let reply, _): id.rawValue &+ fingerprint(of: reply)
    case .adminReply(let id, _): id.rawValue
    case .sync(let through): through
    case .log(let level, let line): StableHash.hash(Bytes(line.utf8)) &+ UInt64(level.rawValue)
    case .probe(let name): UInt64(name.utf8CodeUnitCount)
    case .stopped: 0
    }
  }

  func text(of effect: ShardEffect) -> String {
    switch effect {
    case .send(let bytes, let to): "send \(text(ofMessage: bytes)) to \(name(to))"
    case .sendToEndpoint(let bytes, let to): "send \(text(ofMessage: bytes)) to \(to)"
    case .reply(let id, let reply, let isFinal):
      "reply \(id.rawValue)\(isFinal ? "" : " (more)") \(Self.text(of: reply))"
    case .adminReply(let id, let reply): "admin reply \(id.rawValue) \(reply)"
    case .sync(let through): "sync \(through)"
    case .log(let level, let line): "log \(level): \(line)"
    case .probe(let name): "probe \(name)"
    case .stopped: "stopped"
    }
  }

  static func fingerprint(of reply: ClientReply) -> UInt64 {
    switch reply {
    case .object(let object), .stored(let object): StableHash.hash(object.encoded().bytes)
    case .deleted: 1
    case .buckets(let names, let done): UInt64(names.count) << 1 | (done ? 1 : 0)
    case .keys(let keys, let done): UInt64(keys.count) << 1 | (done ? 1 : 0)
    case .entries(let entries, let done): UInt64(entries.count) << 1 | (done ? 1 : 0)
    case .found(let page, let done): UInt64(page.keys.count) << 1 | (done ? 1 : 0)
    case .preferenceList(let vnodes): UInt64(vnodes.count)
    case .properties(let properties): UInt64(properties.nVal)
    case .propertiesStored: 2
    case .folded(let result): UInt64(result.count)
    case .reapQueued: 3
    case .bucketTypes(let types): UInt64(types.count)
    case .failure(let failure): StableHash.hash(Bytes("\(failure)".utf8))
    }
  }

  static func text(of request: ClientRequest) -> String {
    switch request {
    case .get(let key, let options): "get \(name(key)) \(text(of: options))"
    case .put(let key, let context, let content, let options):
      "put \(name(key)) w\(WrittenValue.identifier(in: content.value) ?? 0) "
        + "context \(text(of: context)) \(text(of: options))"
    case .delete(let key, let context, _):
      "delete \(name(key)) context \(context.map(text(of:)) ?? "none")"
    case .listBuckets: "list buckets"
    case .listKeys(let bucket, _): "list keys of \(String(decoding: bucket.name, as: UTF8.self))"
    case .index(let query, _, _, _):
      "query \(String(decoding: query.field, as: UTF8.self))"
    case .keyQuery, .preferenceList, .bucketProperties, .setBucketProperties,
      .resetBucketProperties,
      .dropBucket, .fold, .reap, .bucketTypes:
      "\(request)"
    }
  }

  static func text(of options: GetOptions) -> String {
    "r=\(options.r.map { "\($0)" } ?? "-") pr=\(options.pr.map { "\($0)" } ?? "-")"
  }

  static func text(of options: PutOptions) -> String {
    "w=\(options.w.map { "\($0)" } ?? "-") dw=\(options.dw.map { "\($0)" } ?? "-") "
      + "pw=\(options.pw.map { "\($0)" } ?? "-")"
  }

  static func text(of reply: ClientReply) -> String {
    switch reply {
    case .object(let object): text(of: object)
    case .stored(let object): "stored \(text(of: object))"
    case .deleted, .buckets, .keys, .entries, .found, .preferenceList, .properties,
      .propertiesStored,
      .folded, .reapQueued, .bucketTypes, .failure:
      "\(reply)"
    }
  }

  /// `{w3@a1b2:4 †@c3d4:1 | a1b2:4 c3d4:1}`: siblings with their dots, then the clock.
  static func text(of object: KVObject) -> String {
    let siblings = object.siblings.map { sibling in
      let value =
        sibling.content.isTombstone
        ? "†" : "w\(WrittenValue.identifier(in: sibling.content.value) ?? 0)"
      return "\(value)@\(text(of: sibling.dot))"
    }
    return "{\(siblings.joined(separator: " ")) | \(text(of: object.clock))}"
  }

  static func text(of vector: VersionVector) -> String {
    vector.isEmpty ? "-" : vector.entries.map(text(of:)).joined(separator: " ")
  }

  static func text(of dot: Dot) -> String {
    "\(String(dot.actor.rawValue >> 48, radix: 16)):\(dot.counter)"
  }

  static func name(_ key: ObjectKey) -> String {
    String(decoding: key.bucket.name, as: UTF8.self) + "/"
      + String(decoding: key.key, as: UTF8.self)
  }
}
