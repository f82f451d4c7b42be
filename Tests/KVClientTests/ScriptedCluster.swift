import KVBase
import KVClient
import KVModel
import KVProtocol
import Synchronization

/// Several scripted servers that say they are nodes of one ring, and count which objects they are asked
/// for.
final class ScriptedCluster: Sendable {
  struct State {
    var owners: [Int]
    var replicas: Int
    var atPrimary = 0
    var elsewhere = 0
    var lists = 0
    /// What nodes say of their names and lists; nil for the truth.
    var lie: ScriptedAnswer?
    var silent: Set<Int> = []
  }

  let state: Mutex<State>
  let servers: Mutex<[ScriptedServer]> = Mutex([])

  var endpoints: [KVEndpoint] { servers.withLock { $0.map(\.endpoint) } }

  /// Nodes `0..<nodes`, which own the partitions of a ring in turn.
  init(nodes: Int, ringSize: Int, replicas: Int = 1) async throws {
    state = Mutex(State(owners: (0..<ringSize).map { $0 % nodes }, replicas: replicas))
    for node in 0..<nodes {
      let server = try await ScriptedServer { [weak self] request, _ in
        self?.answer(request, at: node) ?? .hangUp
      }
      servers.withLock { $0.append(server) }
    }
  }

  static func firstPartition(_ key: ObjectKey, _ size: Int) -> Int {
    (Int(key.placement >> (32 - UInt32(size.trailingZeroBitCount))) + 1) % size
  }

  private func answer(_ request: SessionRequest, at node: Int) -> ScriptedAnswer {
    state.withLock { state in
      if state.silent.contains(node) { return .silence }
      let size = state.owners.count
      switch request {
      case .serverInfo:
        return state.lie ?? .frames([ReplyEncoder.serverInfo(node: "n\(node)", version: "3.4")])
      case .perform(.preferenceList(let key), _):
        state.lists += 1
        let first = Self.firstPartition(key, size)
        let list = (0..<state.replicas).map { offset in
          let partition = (first + offset) % size
          return PreferredVnode(
            partition: partition, node: "n\(state.owners[partition])", isPrimary: true)
        }
        return state.lie ?? .reply(.preferenceList(list))
      case .perform(.get(let key, _), _):
        count(key, node, &state)
        return .reply(.object(KVObject()))
      case .perform(.put(let key, _, _, _), _):
        count(key, node, &state)
        return .reply(.stored(KVObject()))
      default: return .reply(.object(KVObject()))
      }
    }
  }

  private func count(_ key: ObjectKey, _ node: Int, _ state: inout State) {
    let size = state.owners.count
    let first = Self.firstPartition(key, size)
    let isPrimary = (0..<state.replicas).contains { state.owners[(first + $0) % size] == node }
    if isPrimary { state.atPrimary += 1 } else { state.elsewhere += 1 }
  }

  /// Begins to count anew.
  func restart() {
    state.withLock { state in
      state.atPrimary = 0
      state.elsewhere = 0
    }
  }

  /// The share of requests that went to a primary since the last restart.
  var primaryShare: Double {
    state.withLock { Double($0.atPrimary) / Double(max(1, $0.atPrimary + $0.elsewhere)) }
  }

  func stop() async {
    for server in servers.withLock({ $0 }) { await server.stop() }
  }
}

/// Remembers what an observer is told, as lines of text.
final class RememberingObserver: ClientObserver {
  private let remembered = Mutex<[String]>([])

  var lines: [String] { remembered.withLock { $0 } }

  func count(_ prefix: String) -> Int { lines.count { $0.hasPrefix(prefix) } }

  private func add(_ line: String) { remembered.withLock { $0.append(line) } }

  func requestBegan(_ request: ObservedRequest) {
    add("began \(request.operation) \(request.bucketType ?? "-") #\(request.id)")
  }
  func requestEnded(_ request: ObservedRequest, _ end: ObservedEnd) {
    let outcome = end.failure.map { "\($0.code.rawValue)" } ?? "well"
    add("ended \(request.operation) \(outcome) \(end.endpoint == nil ? "nowhere" : "somewhere")")
  }
  func requestRetried(_ request: ObservedRequest, after failure: KVClientError) {
    add("retried \(request.operation) \(failure.code.rawValue)")
  }
  func readHedged(_ request: ObservedRequest, slow: KVEndpoint, other: KVEndpoint) {
    add("hedged \(request.operation) \(slow == other ? "same" : "other")")
  }
  func connectionOpened(_ endpoint: KVEndpoint) { add("opened") }
  func connectionClosed(_ endpoint: KVEndpoint) { add("closed") }
  func endpointFailed(_ endpoint: KVEndpoint, _ reason: String) { add("failed \(endpoint)") }
  func endpointRecovered(_ endpoint: KVEndpoint) { add("recovered \(endpoint)") }
}

/// Waits until something is so, for up to five minutes: other tests may hold the threads.
func eventually(_ isSo: () async throws -> Bool) async throws -> Bool {
  let deadline = ContinuousClock.now + .seconds(300)
  while try await !isSo() {
    guard ContinuousClock.now < deadline else { return false }
    try await Task.sleep(for: .milliseconds(5))
  }
  return true
}
