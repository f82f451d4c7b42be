import KVModel

/// The replies to one request, as they come: the next part of a listing or a query is asked for when
/// the one before has been taken, and nothing more once nobody takes any.
struct ReplyStream: AsyncSequence, Sendable {
  let replies: AsyncStream<ClientReply>
  /// Called when a part has been taken.
  let taken: @Sendable () -> Void

  /// One reply that is there at once.
  init(_ reply: ClientReply) {
    replies = AsyncStream { continuation in
      continuation.yield(reply)
      continuation.finish()
    }
    taken = {}
  }

  init(_ replies: AsyncStream<ClientReply>, taken: @escaping @Sendable () -> Void) {
    self.replies = replies
    self.taken = taken
  }

  struct Iterator: AsyncIteratorProtocol {
    var replies: AsyncStream<ClientReply>.Iterator
    let taken: @Sendable () -> Void
    var hasPart = false

    mutating func next() async -> ClientReply? {
      if hasPart { taken() }
      let reply = await replies.next()
      hasPart = reply?.isPart ?? false
      return reply
    }
  }

  func makeAsyncIterator() -> Iterator {
    Iterator(replies: replies.makeAsyncIterator(), taken: taken)
  }
}

extension ClientReply {
  /// True when more replies follow.
  var isPart: Bool {
    switch self {
    case .buckets(_, let done), .keys(_, let done), .entries(_, let done), .found(_, let done):
      !done
    default: false
    }
  }
}
