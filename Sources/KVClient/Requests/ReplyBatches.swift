import KVBase
import KVProtocol

/// One run of a listing or a query, for one task: the items of its messages, as they arrive.
public struct BatchIterator<Item>: AsyncIteratorProtocol {
  let batches: ReplyBatches<Item>

  /// The next items; nil at the end.
  public func next(
    isolation actor: isolated (any Actor)? = #isolation
  ) async throws(KVClientError) -> [Item]? {
    try await batches.next()
  }

  /// Ends it before its end.
  func cancel(isolation actor: isolated (any Actor)? = #isolation) async {
    await batches.cancel()
  }
}

/// The messages of an answer that comes in several, one after the other.
///
/// It holds a connection until the last of them; when it is dropped before, it closes it.
final class ReplyBatches<Item> {
  private let client: KVClient
  private let request: WireRequest
  /// The items of a message and whether it is the last; nil for one that does not belong here.
  private let read: (WireReply) -> (items: [Item], isLast: Bool)?
  private var connection: ClientConnection?
  private var isDone = false
  /// Set from the beginning to the end.
  private var observed: (request: ObservedRequest, began: ContinuousClock.Instant)?

  init(
    client: KVClient, request: WireRequest,
    _ read: @escaping (WireReply) -> (items: [Item], isLast: Bool)?
  ) {
    self.client = client
    self.request = request
    self.read = read
  }

  deinit {
    ended(at: connection?.endpoint, nil)
    guard let connection else { return }
    let pool = client.pool
    Task { await pool.discard(connection) }
  }

  /// The next items; nil at the end.
  func next(
    isolation actor: isolated (any Actor)? = #isolation
  ) async throws(KVClientError) -> [Item]? {
    while !isDone {
      let items: [Item]
      do throws(KVClientError) {
        items = try await message()
      } catch {
        isDone = true
        ended(at: error.endpoint, error)
        throw error
      }
      if !items.isEmpty { return items }
    }
    return nil
  }

  private func message(
    isolation actor: isolated (any Actor)? = #isolation
  ) async throws(KVClientError) -> [Item] {
    let connection = try await started()
    switch await connection.next(
      before: ContinuousClock.now + client.configuration.listingTimeout)
    {
    case .failure(let failure):
      await drop()
      await client.noticed(failure, at: connection.endpoint)
      throw KVClientError(failure, endpoint: connection.endpoint, isWrite: false)
    case .success(let frame): return try await take(frame, connection)
    }
  }

  /// Ends it before its end.
  func cancel(isolation actor: isolated (any Actor)? = #isolation) async {
    isDone = true
    ended(at: connection?.endpoint, nil)
    await drop()
  }

  private func drop(isolation actor: isolated (any Actor)? = #isolation) async {
    guard let connection else { return }
    self.connection = nil
    await client.pool.discard(connection)
  }

  private func started(
    isolation actor: isolated (any Actor)? = #isolation
  ) async throws(KVClientError) -> ClientConnection {
    if let connection { return connection }
    observed = (client.recorder.began(request), .now)
    let opened = try await client.pool.acquire(
      before: ContinuousClock.now + client.configuration.requestTimeout)
    connection = opened
    guard opened.send(request.payload) else {
      await drop()
      throw KVClientError(
        .connectionFailed, "the connection was closed", endpoint: opened.endpoint)
    }
    return opened
  }

  private func take(
    _ frame: Bytes, _ connection: ClientConnection,
    isolation actor: isolated (any Actor)? = #isolation
  ) async throws(KVClientError) -> [Item] {
    let reply: WireReply
    do throws(ProtocolFailure) {
      reply = try WireReply(payload: frame)
    } catch {
      await drop()
      throw KVClientError(.protocolViolation, error.text, endpoint: connection.endpoint)
    }
    if case .error(let text) = reply {
      await giveBack()
      throw KVClientError(text: text, endpoint: connection.endpoint, isWrite: false)
    }
    guard let (items, isLast) = read(reply) else {
      await drop()
      throw client.unexpected(reply, connection.endpoint, isWrite: false)
    }
    if isLast {
      isDone = true
      ended(at: connection.endpoint, nil)
      await giveBack()
    }
    return items
  }

  private func giveBack(isolation actor: isolated (any Actor)? = #isolation) async {
    guard let connection else { return }
    self.connection = nil
    await client.pool.release(connection)
  }

  private func ended(at endpoint: KVEndpoint?, _ failure: KVClientError?) {
    guard let (request, began) = observed else { return }
    observed = nil
    client.ended(request, began, at: endpoint, failure)
  }
}
