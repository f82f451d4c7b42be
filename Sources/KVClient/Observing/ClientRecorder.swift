import KVProtocol
import Synchronization

/// Counts what a client does, and tells its observer.
///
/// **Concurrency**: any thread; the numbers are guarded by a lock, which is never held while the
/// observer is told.
final class ClientRecorder: Sendable {
  private let observer: (any ClientObserver)?
  private let numbers = Mutex(ClientStatistics())

  init(observer: (any ClientObserver)?) { self.observer = observer }

  var statistics: ClientStatistics { numbers.withLock { $0 } }

  func began(_ request: WireRequest) -> ObservedRequest {
    let id = numbers.withLock { numbers in
      numbers.requests += 1
      return UInt64(numbers.requests)
    }
    let observed = ObservedRequest(
      id: id, operation: request.operation,
      bucketType: request.bucketType.map { String(decoding: $0, as: UTF8.self) })
    observer?.requestBegan(observed)
    return observed
  }

  func ended(_ request: ObservedRequest, _ end: ObservedEnd) {
    if end.failure != nil { numbers.withLock { $0.failures += 1 } }
    observer?.requestEnded(request, end)
  }

  func retried(_ request: ObservedRequest, after failure: KVClientError) {
    numbers.withLock { $0.retries += 1 }
    observer?.requestRetried(request, after: failure)
  }

  /// An attempt of a request about a key with these known primaries goes to `endpoint`.
  func attempted(_ endpoint: KVEndpoint, primaries: [KVEndpoint]) {
    numbers.withLock { numbers in
      if primaries.isEmpty {
        numbers.attemptsUnplaced += 1
      } else if primaries.contains(endpoint) {
        numbers.attemptsAtPrimaries += 1
      } else {
        numbers.attemptsElsewhere += 1
      }
    }
  }

  func hedged(_ request: ObservedRequest, slow: KVEndpoint, other: KVEndpoint) {
    numbers.withLock { $0.hedges += 1 }
    observer?.readHedged(request, slow: slow, other: other)
  }

  func hedgeWon() { numbers.withLock { $0.hedgesWon += 1 } }

  func placementAsked() { numbers.withLock { $0.placementQuestions += 1 } }

  func opened(_ endpoint: KVEndpoint) {
    numbers.withLock { $0.connectionsOpened += 1 }
    observer?.connectionOpened(endpoint)
  }

  func closed(_ endpoint: KVEndpoint) {
    numbers.withLock { $0.connectionsClosed += 1 }
    observer?.connectionClosed(endpoint)
  }

  func failed(_ endpoint: KVEndpoint, _ reason: String) {
    observer?.endpointFailed(endpoint, reason)
  }

  func recovered(_ endpoint: KVEndpoint) { observer?.endpointRecovered(endpoint) }
}

extension WireRequest {
  var operation: ClientOperation {
    switch self {
    case .ping: .ping
    case .serverInfo: .serverInfo
    case .get: .get
    case .put: .put
    case .delete: .delete
    case .listBuckets: .listBuckets
    case .listKeys: .listKeys
    case .properties: .properties
    case .setProperties, .resetProperties: .setProperties
    case .index: .index
    case .preferenceList: .preferenceList
    case .fetchDataType: .fetchDataType
    case .updateDataType: .updateDataType
    }
  }
}
