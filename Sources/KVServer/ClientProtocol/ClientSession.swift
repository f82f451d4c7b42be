package import KVBase
package import KVModel
package import KVProtocol
package import KVTransport

/// What a session needs of the node it serves and of the connection it speaks on.
///
/// All closures are called on the session's thread.
package struct ClientSessionEnvironment {
  /// Gives up a request whose answer nobody waits for any more.
  package typealias Cancel = () -> Void

  /// The node's name, as server info tells it.
  package var nodeName: String
  /// A version that clients compare as dotted numbers, e.g.
  ///
  /// `3.4.0`.
  package var serverVersion: String
  /// Hands a request to the node.
  ///
  /// `reply` is called on the session's thread, once, or several times for listings until `done` or
  /// a failure; it may be called before `submit` returns.
  package var submit: (ClientRequest, _ reply: @escaping (ClientReply) -> Void) -> Cancel
  /// Queues a payload; false when it was not taken.
  package var write: (Bytes) -> Bool
  /// Stops or resumes the delivery of frames.
  package var setReading: (Bool) -> Void
  /// Closes the connection after what was written has gone out.
  package var close: () -> Void
  /// The source of generated keys.
  package var random: any RandomNumberGenerator

  /// The environment made of these parts.
  package init(
    nodeName: String, serverVersion: String,
    submit: @escaping (ClientRequest, _ reply: @escaping (ClientReply) -> Void) -> Cancel,
    write: @escaping (Bytes) -> Bool, setReading: @escaping (Bool) -> Void,
    close: @escaping () -> Void,
    random: any RandomNumberGenerator = SystemRandomNumberGenerator()
  ) {
    self.nodeName = nodeName
    self.serverVersion = serverVersion
    self.submit = submit
    self.write = write
    self.setReading = setReading
    self.close = close
    self.random = random
  }
}

/// What one client connection may make the node keep.
package struct ClientSessionLimits: Sendable {
  /// Requests that wait behind the one being performed; reading pauses there.
  package var waitingRequests = 128
  /// Bytes of those requests; reading pauses there.
  package var waitingBytes = 8 << 20
  /// Bucket names gathered for a listing in one message.
  package var gatheredNames = 500_000
  /// Bytes of index hits gathered for one message.
  package var gatheredBytes = 48 << 20
  /// The largest reply.
  package var replyBytes = 64 << 20
  /// Operations that an operator has switched off.
  package var disabledJobs: Set<JobClass> = []
  /// What waiting requests of all connections hold together; when it is used up, each connection has
  /// one wait.
  package var memory: MemoryBudget?

  /// The defaults given above.
  package init() {}
}

/// One client connection: takes its frames, answers them strictly in order, one at a time.
///
/// Requests may be sent ahead; they wait here within ``ClientSessionLimits``. Only while the messages
/// of a listing are going out is a further request an error, which ends the connection.
///
/// **Concurrency**: belongs to one thread (an event loop or a shard's); holds no lock.
/// **Source**: reference sections 1.1, 1.10 and 1.22.
package final class ClientSession {
  enum State {
    case idle
    case performing(ReplyShape)
    /// At least one message of a listing has been sent, and more will follow.
    case streaming(ReplyShape)
    case closed
  }

  private var environment: ClientSessionEnvironment
  private let limits: ClientSessionLimits
  var state = State.idle
  /// What performs the present request, when it takes several.
  var script: (any SessionScript)?
  private var cancel: ClientSessionEnvironment.Cancel?
  /// Tells the replies of the present request from late ones of a request given up.
  private var generation: UInt64 = 0
  private var clientID: Bytes = [0, 0, 0, 0]
  private var waiting = RequestQueue()
  private let share: MemoryShare?
  private var isReadingPaused = false
  private var isAdvancing = false
  private var gathered = NameCollector()
  private var hits = HitCollector()

  /// A session for a new connection.
  package init(
    environment: ClientSessionEnvironment, limits: ClientSessionLimits = ClientSessionLimits()
  ) {
    self.environment = environment
    self.limits = limits
    share = limits.memory.map(MemoryShare.init)
  }

  /// True while a request is being performed or waits.
  package var isBusy: Bool {
    switch state {
    case .performing, .streaming: true
    case .idle: !waiting.isEmpty
    case .closed: false
    }
  }

  /// Takes a frame's payload: message code and body.
  package func received(_ payload: Bytes) {
    switch state {
    case .closed: return
    case .streaming:
      return fail("Cannot send another request while one is in progress")
    case .idle, .performing: break
    }
    waiting.append(payload)
    advance()
    pauseOrResumeReading()
  }

  /// Ends the session because the framing was broken: silently for an empty frame, as the reference
  /// does, else after an error.
  package func receivedBrokenFrame(_ reason: String?) {
    guard let reason else { return end() }
    fail("Invalid message packet, reason: \(reason)")
  }

  /// Ends the session because large requests of all connections take too much memory.
  package func receivedUnaffordableFrame() { fail(RequestFailure.overload.text()) }

  /// The connection is gone: what was asked for is given up.
  package func connectionClosed() {
    guard !isClosed else { return }
    state = .closed
    giveUp()
  }

  var isClosed: Bool {
    if case .closed = state { return true }
    return false
  }

  private func giveUp() {
    generation += 1
    waiting = RequestQueue()
    share?.hold(0)
    gathered = NameCollector()
    hits = HitCollector()
    script = nil
    let cancel = cancel
    self.cancel = nil
    cancel?()
  }

  private func end() {
    guard !isClosed else { return }
    state = .closed
    giveUp()
    environment.close()
  }

  private func fail(_ text: String) {
    guard !isClosed else { return }
    _ = environment.write(ReplyEncoder.error(text))
    end()
  }

  func write(_ payload: Bytes) {
    guard !isClosed else { return }
    var payload = payload
    if payload.count > limits.replyBytes {
      payload = ReplyEncoder.error(
        RequestFailure.tooLarge("a reply of \(payload.count) bytes").text())
    }
    // A full queue means that the client does not read; it can only be cut off.
    if !environment.write(payload) { end() }
  }

  private func pauseOrResumeReading() {
    guard !isClosed else { return }
    let isAffordable = share?.hold(waiting.byteCount) ?? true
    let isFull =
      waiting.count >= limits.waitingRequests || waiting.byteCount >= limits.waitingBytes
      || !isAffordable
    let hasRoom =
      waiting.count <= limits.waitingRequests / 2 && waiting.byteCount <= limits.waitingBytes / 2
    if isReadingPaused ? hasRoom : isFull {
      isReadingPaused.toggle()
      environment.setReading(!isReadingPaused)
    }
  }
}

// MARK: - Performing

extension ClientSession {
  /// Performs waiting requests until one has to wait for the node.
  private func advance() {
    guard !isAdvancing else { return }
    isAdvancing = true
    defer { isAdvancing = false }
    while case .idle = state, let payload = waiting.popFirst() {
      perform(payload)
      pauseOrResumeReading()
    }
  }

  private func perform(_ payload: Bytes) {
    let request: SessionRequest
    do throws(ProtocolFailure) {
      request = try RequestDecoder.decode(payload) { Base62.key(using: &environment.random) }
    } catch {
      return error.closesConnection ? fail(error.text) : write(ReplyEncoder.error(error.text))
    }
    if let job = request.jobClass, limits.disabledJobs.contains(job) {
      return write(ReplyEncoder.error(job.refusal))
    }
    switch request {
    case .answer(let reply): write(reply)
    case .serverInfo:
      write(
        ReplyEncoder.serverInfo(
          node: environment.nodeName, version: environment.serverVersion))
    case .clientID: write(ReplyEncoder.clientID(clientID))
    case .setClientID(let id):
      clientID = id
      write(ReplyEncoder.clientIDSet)
    case .perform(let request, let shape):
      state = .performing(shape)
      submit(request) { session, reply in session.answer(reply, shape) }
    case .update(let bucket, let update):
      state = .performing(.propertiesStored)
      submit(.bucketProperties(bucket)) { $0.apply(update, to: bucket, after: $1) }
    case .script(let request): perform(request)
    case .dataType(let request):
      state = .performing(.propertiesStored)
      submit(.bucketProperties(request.key.bucket)) { $0.perform(request, after: $1) }
    }
  }

  /// Submits for the request being performed; replies that come after it was given up are dropped.
  func submit(
    _ request: ClientRequest, then handle: @escaping (ClientSession, ClientReply) -> Void
  ) {
    generation += 1
    let submitted = generation
    let cancel = environment.submit(request) { [weak self] reply in
      guard let self, generation == submitted else { return }
      handle(self, reply)
    }
    if generation == submitted, !isClosed { self.cancel = cancel }
  }

  private func apply(
    _ update: BucketPropertiesUpdate, to bucket: BucketID, after reply: ClientReply
  ) {
    guard case .properties(let present) = reply else { return answer(reply, .propertiesStored) }
    do throws(ProtocolFailure) {
      let properties = try update.applied(to: present, untyped: bucket.isUntyped)
      submit(.setBucketProperties(bucket, properties)) { $0.answer($1, .propertiesStored) }
    } catch {
      write(ReplyEncoder.error(error.text))
      finish()
    }
  }

  private func perform(_ request: DataTypeRequest, after reply: ClientReply) {
    guard case .properties(let properties) = reply else {
      if case .failure(let failure) = reply {
        write(ReplyEncoder.error(failure.text(for: request.failureContext)))
      }
      return finish()
    }
    do throws(ProtocolFailure) {
      let (planned, shape) = try request.planned(for: properties)
      state = .performing(shape)
      submit(planned) { $0.answer($1, shape) }
    } catch {
      write(ReplyEncoder.error(error.text))
      finish()
    }
  }

  private func answer(_ reply: ClientReply, _ shape: ReplyShape) {
    if case .index(let form) = shape, case .entries(let entries, let done) = reply {
      return answer(entries, done: done, form)
    }
    if case .buckets(streamed: false) = shape, case .buckets(let names, let done) = reply {
      return gather(names, done: done)
    }
    for frame in ReplyEncoder.frames(reply, shape: shape) { write(frame) }
    guard !isClosed else { return }
    switch reply {
    case .buckets(_, done: false), .keys(_, done: false): state = .streaming(shape)
    default: finish()
    }
  }

  private func gather(_ names: [Bytes], done: Bool) {
    gathered.insert(names)
    guard gathered.count <= limits.gatheredNames else {
      write(
        ReplyEncoder.error(
          RequestFailure.tooLarge("more than \(limits.gatheredNames) bucket names").text()))
      let cancel = cancel
      finish()
      cancel?()
      return
    }
    guard done else { return }
    let all = gathered.sorted
    for frame in ReplyEncoder.frames(.buckets(all, done: true), shape: .buckets(streamed: false)) {
      write(frame)
    }
    finish()
  }

  /// Tells the hits of an index query, at once or together, and where the query would go on.
  private func answer(_ entries: [IndexEntry], done: Bool, _ form: IndexShape) {
    hits.insert(entries, keeping: !form.isStreamed)
    guard hits.byteCount <= limits.gatheredBytes else {
      write(
        ReplyEncoder.error(
          RequestFailure.tooLarge("more than \(limits.gatheredBytes) bytes of hits").text()))
      let cancel = cancel
      finish()
      cancel?()
      return
    }
    let next = done && hits.count == form.limit ? hits.last : nil
    if form.isStreamed {
      if !entries.isEmpty {
        write(ReplyEncoder.index(entries, form, continuation: nil, done: false))
      }
      if done { write(ReplyEncoder.index([], form, continuation: next, done: true)) }
    } else if done {
      write(ReplyEncoder.index(hits.entries, form, continuation: next, done: false))
    }
    guard !isClosed else { return }
    if done {
      finish()
    } else if form.isStreamed {
      state = .streaming(.index(form))
    }
  }

  func finish() {
    guard !isClosed else { return }
    hits = HitCollector()
    generation += 1
    cancel = nil
    gathered = NameCollector()
    state = .idle
    advance()
    pauseOrResumeReading()
  }
}
