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
      case .index(let query, let after, let limit, _):
        return .entries(try entries(of: query, after: after, limit: limit), done: true)
      case .preferenceList(let key):
        return .preferenceList(
          (0..<(try effective(key.bucket).nVal)).map {
            PreferredVnode(partition: $0, node: "node1@127.0.0.1", isPrimary: true)
          })
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
      case .keyQuery: return .found(KeyQueryPage(), done: true)
      case .reap: return .reapQueued
      case .bucketTypes: return .bucketTypes([BucketID.defaultType])
      }
    } catch {
      return .failure(error)
    }
  }

  private func entries(
    of query: IndexQuery, after: IndexEntry?, limit: Int?
  ) throws(RequestFailure) -> [IndexEntry] {
    _ = try effective(query.bucket)
    var found: [IndexEntry] = []
    for (key, object) in objects where key.bucket == query.bucket {
      let terms =
        query.field == IndexQuery.keyField
        ? [key.key]
        : object.indexes.filter { $0.key == query.field }
          .map { IndexTerm.sortable($0.value ?? [], field: query.field) }
      for term in terms where query.pattern?.matches(term) ?? true {
        let isAbove = !term.lexicographicallyPrecedes(query.lower)
        let isBelow = query.upper.map { !$0.lexicographicallyPrecedes(term) } ?? true
        if isAbove, isBelow { found.append(IndexEntry(term: term, key: key.key)) }
      }
    }
    let rest = found.sorted().filter { entry in after.map { $0 < entry } ?? true }
    return Array(rest.prefix(limit ?? .max))
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
    var content = content
    var context = context
    if let update = options.dataType {
      let dot = Dot(actor: actor, counter: object.clock[actor] + 1)
      do throws(DataTypeFailure) {
        content = try object.content(
          changedBy: update, as: dot, at: WallClock(microseconds: time))
      } catch {
        throw .refused("\(error)")
      }
      context = object.clock
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
