import KVBase
import KVModel

/// One node with one replica of everything, as plainly as it can be said: what sessions are tested
/// against.
final class ObviousStore {
  private var objects: [ObjectKey: KVObject] = [:]
  private var properties: [BucketID: BucketProperties] = [:]
  private var types: [Bytes: BucketProperties] = [BucketID.defaultType: BucketProperties()]
  private var time: UInt64 = 1_700_000_000_000_000
  private let actor = VnodeID(rawValue: 1)

  func createType(_ name: String, _ change: (inout BucketProperties) -> Void = { _ in }) {
    var properties = BucketProperties(untyped: false)
    change(&properties)
    types[Bytes(name.utf8)] = properties
  }

  func perform(_ request: ClientRequest) -> ClientReply {
    do throws(RequestFailure) {
      switch request {
      case .get(let key, let options):
        let n = try replicas(key, options.nVal)
        for asked in [options.r, options.pr] { try check(asked, n) }
        if let confirms = options.nodeConfirms, confirms.resolved(n: n) > 1 {
          throw .insufficientNodes(need: confirms.resolved(n: n), got: 1)
        }
        return .object(objects[key] ?? KVObject())
      case .put(let key, let context, let content, let options):
        return try put(key, context, content, options)
      case .delete(let key, let context, let options):
        return try delete(key, context, options)
      case .listBuckets(let type, _):
        guard types[type] != nil else { throw .unknownBucketType(type) }
        let names = Set(objects.keys.map(\.bucket).filter { $0.type == type }.map(\.name))
        return .buckets(names.sorted { $0.lexicographicallyPrecedes($1) }, done: true)
      case .listKeys(let bucket, _):
        _ = try effective(bucket)
        let keys = objects.keys.filter { $0.bucket == bucket }.map(\.key)
        return .keys(keys.sorted { $0.lexicographicallyPrecedes($1) }, done: true)
      case .bucketProperties(let bucket): return .properties(try effective(bucket))
      case .setBucketProperties(let bucket, let new):
        _ = try effective(bucket)
        properties[bucket] = new
        return .propertiesStored
      case .resetBucketProperties(let bucket):
        _ = try effective(bucket)
        properties[bucket] = nil
        return .propertiesStored
      case .dropBucket(let bucket):
        _ = try effective(bucket)
        objects = objects.filter { $0.key.bucket != bucket }
        return .propertiesStored
      case .fold: return .folded(FoldResult())
      }
    } catch {
      return .failure(error)
    }
  }

  private func effective(_ bucket: BucketID) throws(RequestFailure) -> BucketProperties {
    guard let type = types[bucket.type] else { throw .unknownBucketType(bucket.type) }
    return properties[bucket] ?? type
  }

  private func replicas(_ key: ObjectKey, _ asked: UInt32?) throws(RequestFailure) -> Int {
    let n = try effective(key.bucket).nVal
    guard let asked else { return n }
    guard asked >= 1, asked <= n else { throw .nValViolation(Int(asked)) }
    return Int(asked)
  }

  private func check(_ asked: QuorumValue?, _ n: Int) throws(RequestFailure) {
    if let asked, asked.resolved(n: n) > n { throw .nValViolation(n) }
  }

  private func put(
    _ key: ObjectKey, _ context: VersionVector, _ content: Content, _ options: PutOptions
  ) throws(RequestFailure) -> ClientReply {
    let n = try replicas(key, options.nVal)
    for asked in [options.w, options.pw, options.dw] { try check(asked, n) }
    var object = objects[key] ?? KVObject()
    if options.ifNoneMatch, !object.isDeleted { throw .matchFound }
    if options.ifNotModified {
      guard !object.isEmpty else { throw .notFound }
      guard object.clock == context else { throw .modified }
    }
    write(content, context, to: &object, try effective(key.bucket))
    objects[key] = object
    return .stored(options.returnBody ? object : KVObject())
  }

  private func delete(
    _ key: ObjectKey, _ context: VersionVector?, _ options: DeleteOptions
  ) throws(RequestFailure) -> ClientReply {
    let n = try replicas(key, options.nVal)
    for asked in [options.rw, options.r, options.w] { try check(asked, n) }
    guard var object = objects[key] else { return .deleted }
    write(
      .tombstone(at: WallClock(microseconds: 0)), context ?? object.clock, to: &object,
      try effective(key.bucket))
    objects[key] = object
    return .deleted
  }

  private func write(
    _ content: Content, _ context: VersionVector, to object: inout KVObject,
    _ properties: BucketProperties
  ) {
    time += 1000
    var stamped = content
    stamped.lastModified = WallClock(microseconds: time)
    object.write(stamped, context: context, by: actor)
    let isWriteOnce = properties.opaque.contains {
      $0.key == Bytes("write_once".utf8) && $0.value == Bytes("true".utf8)
    }
    if !properties.allowMult || isWriteOnce { object.keepNewestSibling() }
  }
}
