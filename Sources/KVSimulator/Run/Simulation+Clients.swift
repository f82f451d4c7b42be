import KVBase
import KVModel
import KVNode

/// What clients send, and what is made of the answers.
extension Simulation {
  /// A client sends its next request, unless the doors are closed.
  mutating func sendNext(_ client: Int) {
    if workload == .releases { return sendRelease(client) }
    guard isOpen, requestCount < options.requestLimit else { return }
    guard let place = somePlace(&clients[client].random) else {
      planNext(client)
      return
    }
    if workload == .conditional { return sendConditional(client, to: place) }
    let key = clients[client].random.below(hotKeyCount)
    let mix = workload.mix
    let weights = [
      mix.gets, mix.puts, mix.updates, mix.deletes, mix.properties, mix.listings, mix.queries,
      mix.types,
    ]
    var choice = clients[client].random.below(weights.reduce(0, +))
    let kind = weights.firstIndex { weight in
      choice -= weight
      return choice < 0
    }
    switch kind {
    case 0: sendGet(client, key, .look, to: place)
    case 1: sendPut(client, key, to: place)
    case 2: sendGet(client, key, .update, to: place)
    case 3: sendDelete(client, key, to: place)
    case 4: sendProperties(client, to: place)
    case 5: sendListing(client, to: place)
    case 6: sendQuery(client, to: place)
    default: sendTypeRequest(client, to: place)
    }
  }

  /// A shard of some node that takes requests.
  func somePlace(_ random: inout SeededRandom) -> ShardPlace? {
    let open = members.filter { world.nodes[$0].isRunning && knowsBuckets($0) }
    guard !open.isEmpty else { return nil }
    let node = open[random.below(open.count)]
    return ShardPlace(node: node, shard: random.below(world.nodes[node].shards.count))
  }

  private mutating func planNext(_ client: Int) {
    if workload == .releases { return continueRelease(client) }
    let pause =
      workload == .conditional
      ? conditionalPause(&clients[client].random)
      : UInt64(clients[client].random.below(Int(settings.thinkTime)))
    world.plan(.client(client), after: pause)
  }

  private func wantsPrimaries(_ random: inout SeededRandom) -> Bool {
    random.chance(workload == .registers || workload == .disks ? 0.8 : 0.2)
  }

  // MARK: Sending

  mutating func submit(
    _ request: ClientRequest, _ kind: PendingRequest.Kind, client: Int, timeout: Duration?,
    to place: ShardPlace
  ) {
    requestCount += 1
    let id = world.submit(request, to: place)
    pending[id] = PendingRequest(client: client, kind: kind, place: place, start: world.time)
    let limit = (timeout ?? settings.shard.requestTimeout).wholeNanoseconds
    world.plan(.deadline(id), after: limit + settings.faults.longest + 10 * Self.second)
    if clients[client].random.chance(0.01) {
      world.plan(.impatience(id), after: UInt64(clients[client].random.below(500_000_000)))
    }
  }

  private mutating func sendGet(
    _ client: Int, _ key: Int, _ intent: Client.Intent, to place: ShardPlace
  ) {
    let primaries = wantsPrimaries(&clients[client].random)
    let options = clients[client].getOptions(n: settings.nVal, wantsPrimaries: primaries)
    // Without notfound_ok one vnode that has nothing may end a GET before its primaries have answered.
    let count = options.notFoundOK == false ? 0 : options.pr?.resolved(n: settings.nVal) ?? 0
    submit(
      .get(history.keys[key].name, options),
      .get(key: key, primaryCount: count, intent: intent), client: client,
      timeout: options.timeout, to: place)
  }

  private mutating func sendPut(_ client: Int, _ key: Int, to place: ShardPlace) {
    let primaries = wantsPrimaries(&clients[client].random)
    let options = clients[client].putOptions(n: settings.nVal, wantsPrimaries: primaries)
    let held = clients[client].random.chance(0.7) ? clients[client].held[key] : nil
    let byteCount = clients[client].byteCount(limit: settings.valueByteLimit)
    // With `one`, a primary that has stored the write may forget it in a crash.
    let primaryCount =
      options.syncOnWrite == .one ? 0 : options.pw?.resolved(n: settings.nVal) ?? 0
    let number = history.begin(
      History.Write(
        key: key, isDelete: false, seen: held?.covered ?? WriteSet(), readsBefore: false,
        byteCount: byteCount, primaryCount: primaryCount, start: world.time))
    let content = content(number, byteCount: byteCount)
    submit(
      .put(
        history.keys[key].name, context: held?.context ?? VersionVector(), content, options),
      .put(number), client: client, timeout: options.timeout, to: place)
  }

  private mutating func sendDelete(_ client: Int, _ key: Int, to place: ShardPlace) {
    if clients[client].random.chance(0.4) {
      sendGet(client, key, .delete, to: place)
      return
    }
    let held = clients[client].random.chance(0.6) ? clients[client].held[key] : nil
    sendDelete(client, key, held, to: place)
  }

  private mutating func sendDelete(
    _ client: Int, _ key: Int, _ held: Client.Held?, to place: ShardPlace
  ) {
    let options = clients[client].deleteOptions(n: settings.nVal)
    let number = history.begin(
      History.Write(
        key: key, isDelete: true, seen: held?.covered ?? WriteSet(), readsBefore: held == nil,
        byteCount: 0, primaryCount: 0, start: world.time))
    submit(
      .delete(history.keys[key].name, context: held?.context, options), .delete(number),
      client: client, timeout: options.timeout, to: place)
  }

  private mutating func sendListing(_ client: Int, to place: ShardPlace) {
    if hasSettled, clients[client].random.chance(0.5) {
      if requestCount % 2 == 0 {
        return submit(
          .keyQuery(Self.settledQuery, timeout: settings.shard.requestTimeout), .settledQuery,
          client: client, timeout: nil, to: place)
      }
      submit(
        .listKeys(Self.settledBucket, timeout: settings.shard.requestTimeout), .settledListing,
        client: client, timeout: nil, to: place)
    } else if clients[client].random.chance(0.3) {
      submit(
        .listBuckets(type: BucketID.defaultType, timeout: settings.shard.requestTimeout),
        .listing(isOfKeys: false), client: client, timeout: nil, to: place)
    } else {
      submit(
        .listKeys(Self.siblingsBucket, timeout: settings.shard.requestTimeout),
        .listing(isOfKeys: true), client: client, timeout: nil, to: place)
    }
  }

  private mutating func sendProperties(_ client: Int, to place: ShardPlace) {
    let buckets = Self.scratchBuckets
    let bucket = buckets[clients[client].random.below(buckets.count)]
    let choice = clients[client].random.below(5)
    guard choice > 1 else {
      submit(
        .bucketProperties(bucket), .readProperties, client: client, timeout: nil, to: place)
      return
    }
    var properties = BucketProperties()
    if choice > 2 {
      properties.nVal = 1 + clients[client].random.below(5)
      properties.bigVclock = 1_000 + propertyHistory.changes.count
    }
    let number = propertyHistory.begin(
      PropertyHistory.Change(
        bucket: bucket, properties: properties, node: place.node, start: world.time))
    submit(
      choice > 2 ? .setBucketProperties(bucket, properties) : .resetBucketProperties(bucket),
      .changeProperties(number), client: client, timeout: nil, to: place)
  }

  // MARK: Answers

  /// A shard answered.
  mutating func receive(
    _ reply: ClientReply, to id: RequestID, isFinal: Bool
  ) throws(SimulationFailure) {
    if cancelled.contains(id) {
      // At most one answer may have been on its way.
      if isFinal { cancelled.remove(id) }
      return
    }
    guard !answered.contains(id) else {
      throw SimulationFailure(
        checker: .replies,
        explanation: "request \(id.rawValue) is answered again: \(Describe.text(of: reply))")
    }
    guard var request = pending[id] else {
      throw SimulationFailure(
        checker: .replies, explanation: "nobody sent the answered request \(id.rawValue)")
    }
    if isFinal {
      answered.insert(id)
      pending[id] = nil
    }
    if case .failure(let failure) = reply { request.failure = failure }
    let understood = try take(reply, for: &request, isFinal: isFinal)
    guard understood else {
      throw SimulationFailure(
        checker: .replies,
        explanation: "request \(id.rawValue) got \(Describe.text(of: reply)), final: \(isFinal)")
    }
    if !isFinal {
      pending[id] = request
    } else if request.client == nil {
      finished[id] = request
    }
  }

  private mutating func take(
    _ reply: ClientReply, for request: inout PendingRequest, isFinal: Bool
  ) throws(SimulationFailure) -> Bool {
    switch (request.kind, reply) {
    case (.get(let key, let primaryCount, let intent), .object(let object)):
      guard isFinal else { return false }
      try takeObject(object, key, primaryCount, request)
      proceed(request.client, key, intent)
      return true
    case (.register(let number), _):
      guard isFinal, try takeRegister(number, reply, request.client) else { return false }
    case (.verdict(let number), _):
      guard isFinal, try takeVerdict(number, reply) else { return false }
    case (.put(let number), .stored(let object)):
      history.end(number, .acknowledged, at: world.time)
      if !object.isEmpty { try takeBody(object, number, request.client) }
    case (.delete(let number), .deleted): history.end(number, .acknowledged, at: world.time)
    case (.put(let number), .failure(let failure)), (.delete(let number), .failure(let failure)):
      history.end(number, Self.isRefusal(failure) ? .refused : .unknown, at: world.time)
    case (.listing(true), .keys(let names, let done)),
      (.listing(false), .buckets(let names, let done)):
      guard done == isFinal else { return false }
      request.names += names
      if !isFinal { return true }
    case (.settledListing, .keys(let names, let done)):
      guard done == isFinal else { return false }
      request.names += names
      guard isFinal else { return true }
      if !hasMoved { try checkSettled(request.names, "listing") }
    case (.typeChange(let number), _):
      guard isFinal, takeTypeChange(number, reply) else { return false }
    case (.typeRead(let key), .object(let object)): try takeType(object, key, request.client)
    case (.query(let query), .entries(let entries, let done)):
      guard done == isFinal else { return false }
      request.entries += entries
      guard isFinal else { return true }
      if request.client != nil { try checkHits(request.entries, of: query) }
    case (.settledQuery, .found(let page, let done)):
      guard done == isFinal else { return false }
      request.names += page.keys
      guard isFinal else { return true }
      if !hasMoved { try checkSettled(request.names, "key query") }
    case (.settling, .stored), (.settling, .propertiesStored), (.settling, .object): break
    case (.readProperties, .properties), (.readProperties, .propertiesStored): break
    case (.changeProperties(let number), .propertiesStored):
      propertyHistory.acknowledge(number, at: world.time)
    case (_, .failure): break
    default: return false
    }
    if let client = request.client { planNext(client) }
    return isFinal
  }

  private mutating func takeObject(
    _ object: KVObject, _ key: Int, _ primaryCount: Int, _ request: PendingRequest
  ) throws(SimulationFailure) {
    let sight = try history.look(at: object, key: key)
    if primaryCount > 0, !hasMoved, history.keys[key].mode == .siblings {
      try history.checkQuorumRead(
        object, sight, key: key, start: request.start, primaryCount: primaryCount,
        n: settings.nVal)
      world.probes.count("sim: read held against a quorum")
    }
    if sight.values.count > 1 { world.probes.count("sim: siblings read") }
    guard let client = request.client else { return }
    clients[client].held[key] = Client.Held(context: object.clock, covered: sight.covered)
  }

  private mutating func takeBody(
    _ object: KVObject, _ number: Int, _ client: Int?
  ) throws(SimulationFailure) {
    let key = history.writes[number].key
    let sight = try history.look(at: object, key: key)
    guard let client else { return }
    clients[client].held[key] = Client.Held(context: object.clock, covered: sight.covered)
  }

  private mutating func proceed(_ client: Int?, _ key: Int, _ intent: Client.Intent) {
    guard let client else { return }
    guard intent != .look, isOpen, let place = somePlace(&clients[client].random) else {
      planNext(client)
      return
    }
    switch intent {
    case .update: sendPut(client, key, to: place)
    case .delete: sendDelete(client, key, clients[client].held[key], to: place)
    case .look: break
    }
  }

  /// True when the failure says that nothing was done.
  static func isRefusal(_ failure: RequestFailure) -> Bool {
    switch failure {
    case .overload, .nValViolation, .quorumViolation, .matchFound, .modified, .notFound, .failed,
      .unknownBucketType, .tooLarge:
      true
    default: false
    }
  }

  // MARK: No answer

  /// The process that had the request is gone.
  mutating func lose(_ id: RequestID) {
    guard let request = pending.removeValue(forKey: id) else { return }
    answered.insert(id)
    giveUp(request)
  }

  /// A client loses patience.
  mutating func cancel(_ id: RequestID) {
    guard let request = pending.removeValue(forKey: id) else { return }
    cancelled.insert(id)
    answered.insert(id)
    world.cancel(id)
    giveUp(request)
  }

  private mutating func giveUp(_ request: PendingRequest) {
    switch request.kind {
    case .put(let number), .delete(let number): history.end(number, .unknown, at: world.time)
    case .register(let number): registers.end(number, .unknown, at: world.time)
    case .typeChange(let number): types.end(number, .unknown)
    case .verdict(let number):
      registers.end(number, .unknown, at: world.time)
      world.plan(.verdict, after: Self.second / 10)
    case .get, .listing, .query, .typeRead, .settling, .settledListing, .settledQuery,
      .readProperties, .changeProperties:
      break
    }
    if let client = request.client { planNext(client) }
  }

  /// The request must have been answered by now.
  mutating func checkAnswered(_ id: RequestID) throws(SimulationFailure) {
    guard let request = pending[id] else { return }
    // Time in which the process stood still does not count.
    let patience = settings.shard.requestTimeout.wholeNanoseconds + 10 * Self.second
    let resumed = world.nodes[request.place.node].pausedUntil
    guard resumed + patience <= world.time else {
      world.plan(.deadline(id), after: resumed + patience - world.time)
      return
    }
    throw SimulationFailure(
      checker: .replies,
      explanation: "request \(id.rawValue) to n\(request.place.node)/\(request.place.shard) has "
        + "no answer \((world.time - request.start) / 1_000_000) ms later")
  }
}
