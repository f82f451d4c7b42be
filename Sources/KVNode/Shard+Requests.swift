import KVBase
import KVCluster
import KVModel

/// Client requests: admission, the exactly one final reply, and bucket properties.
extension Shard {
  mutating func take(_ request: ClientRequest, _ id: RequestID) {
    precondition(!clients.contains(id), "request \(id.rawValue) is already under way")
    clients.insert(id)
    if let refusal = refusal(of: request) { return reply(id, .failure(refusal)) }
    if startConsensus(request, id) { return }
    switch request {
    case .get(let key, let options): get(key, options, id)
    case .put(let key, let context, let content, let options):
      put(key, context, content, options, id)
    case .delete(let key, let context, let options): delete(key, context, options, id)
    case .listBuckets(let type, let timeout): list(.buckets(type: type), timeout, id)
    case .listKeys(let bucket, let timeout): list(.keys(bucket), timeout, id)
    case .index(let query, let after, let limit, let timeout):
      self.query(query, after: after, limit: limit, timeout, id)
    case .keyQuery(let query, let timeout): keyQuery(query, timeout, id)
    case .preferenceList(let key): reply(id, .preferenceList(preferredVnodes(of: key)))
    case .bucketProperties(let bucket):
      reply(id, .properties(view.properties(of: bucket)))
    case .setBucketProperties(let bucket, let properties): change(bucket, properties, id)
    case .resetBucketProperties(let bucket): change(bucket, nil, id)
    case .fold(let query): fold(query, id)
    case .reap(let keys): reap(keys, id)
    case .bucketTypes: reply(id, .bucketTypes(view.bucketTypes))
    case .dropBucket(let bucket): drop(bucket, id)
    }
  }

  private func refusal(of request: ClientRequest) -> RequestFailure? {
    guard phase == .serving, clients.count + forwardedCount <= configuration.requestLimit else {
      return .overload
    }
    if hasDeparted { return .allNodesDown }
    let type = request.bucketType
    return view.knowsType(type) || request.mayCreateType ? nil : .unknownBucketType(type)
  }

  /// When a request that may say how long it takes must have been answered.
  func deadline(_ timeout: Duration?) -> Instant {
    guard let timeout, timeout > .zero else { return now.instant + configuration.requestTimeout }
    return now.instant + timeout
  }

  /// Answers a client for good; a second answer, or one to a client that is gone, is dropped.
  mutating func reply(_ id: RequestID, _ reply: ClientReply) {
    guard clients.remove(id) != nil else { return }
    if case .failure(let failure) = reply {
      counters.failures += 1
      if failure == .timeout { counters.timeouts += 1 }
      if failure == .overload { counters.overloads += 1 }
    }
    outbox.append(.reply(id, reply, isFinal: true))
  }

  mutating func cancel(_ id: RequestID) {
    clients.remove(id)
    held.removeAll { event in
      if case .request(id, _) = event { true } else { false }
    }
    for operation in listings.keys.sorted() where listings[operation]?.request == id {
      listings[operation] = nil
      listPages.drop(of: operation)
    }
    cancelFolds(of: id)
    cancelQueries(of: id)
    cancelKeyQueries(of: id)
  }

  // MARK: Bucket properties

  mutating func change(
    _ bucket: BucketID, _ properties: BucketProperties?, _ id: RequestID
  ) {
    // What a node says before it goes might reach nobody.
    if view.isClosing { return reply(id, .failure(.allNodesDown)) }
    if let refusal = refusal(of: properties, for: bucket) {
      return reply(id, .failure(refusal))
    }
    let operation = newOperation()
    propertyChanges[operation] = id
    deadlines.add(.properties(operation), at: deadline(nil))
    let change = PropertiesChange(
      operation: operation, bucket: bucket, properties: properties)
    send(.setProperties(change), to: Address(node: address.node, shard: .membership))
  }

  /// Whether a bucket is consistent, and with how many acceptors, is settled with its type.
  private func refusal(
    of properties: BucketProperties?, for bucket: BucketID
  ) -> RequestFailure? {
    let isNewType = bucket.name.isEmpty && !view.knowsType(bucket.type)
    guard let properties, !isNewType else { return nil }
    let present = view.properties(of: bucket)
    if properties.isConsistent != present.isConsistent { return .failed }
    guard present.isConsistent, properties.nVal != present.nVal else { return nil }
    return .nValViolation(properties.nVal)
  }

  /// Shard 0: changes the properties; the answer follows the view that shows them.
  mutating func serveProperties(_ change: PropertiesChange, from: Address) {
    stepMembership(.setProperties(change.bucket, change.properties))
    let message = PeerMessage.propertiesStored(change.operation)
    // A node that leaves its cluster takes no change: the client's time runs out.
    guard storeFailure == nil, !view.isClosing, isInTable(change) else { return }
    send(message, to: from, whenSynced: store.sequences.applied)
  }

  /// False for the drop of a bucket that the table of properties had no room to note.
  private func isInTable(_ change: PropertiesChange) -> Bool {
    guard let bucket = ClusterView.bucket(ofDropMarker: change.bucket) else { return true }
    return (view.dropTime(of: bucket) ?? WallClock(microseconds: 0))
      >= (change.properties?.dropTime ?? WallClock(microseconds: 0))
  }

  mutating func takePropertiesStored(_ operation: OperationID) {
    if let id = propertyChanges.removeValue(forKey: operation) { reply(id, .propertiesStored) }
  }

  mutating func propertiesDue(_ operation: OperationID) {
    if let id = propertyChanges.removeValue(forKey: operation) { reply(id, .failure(.timeout)) }
  }
}

extension ClientRequest {
  fileprivate var bucketType: Bytes {
    switch self {
    case .get(let key, _), .put(let key, _, _, _), .delete(let key, _, _): key.bucket.type
    case .index(let query, _, _, _): query.bucket.type
    case .keyQuery(let query, _): query.bucket.type
    case .preferenceList(let key): key.bucket.type
    case .listBuckets(let type, _): type
    case .listKeys(let bucket, _), .bucketProperties(let bucket),
      .setBucketProperties(let bucket, _), .resetBucketProperties(let bucket),
      .dropBucket(let bucket):
      bucket.type
    case .fold(let query): query.bucket?.type ?? BucketID.defaultType
    case .reap, .bucketTypes: BucketID.defaultType
    }
  }

  /// True for the properties of a bucket type itself, which setting them creates.
  fileprivate var mayCreateType: Bool {
    if case .setBucketProperties(let bucket, _) = self { bucket.name.isEmpty } else { false }
  }
}
