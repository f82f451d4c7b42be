import KVBase
import KVModel
import KVProtocol
import NIOCore

/// Asks nodes for their names and for preference lists, on a connection of its own, so that no request
/// waits for it.
///
/// **Concurrency**: an actor, used by one learner at a time.
actor TopologyScout {
  private let topology: Topology
  private let pool: ConnectionPool
  private let recorder: ClientRecorder
  private let patience: Duration
  private var connection: ClientConnection?
  private var isClosed = false

  init(
    topology: Topology, pool: ConnectionPool, recorder: ClientRecorder, patience: Duration
  ) {
    self.topology = topology
    self.pool = pool
    self.recorder = recorder
    self.patience = patience
  }

  /// Learns what `plan` says.
  ///
  /// - Returns: true when something was learned.
  func learn(_ plan: Topology.Plan, for key: ObjectKey) async -> Bool {
    var progress = false
    if plan.wantsNames {
      for endpoint in topology.takeUnnamed() where await learnName(of: endpoint) {
        progress = true
      }
    }
    if plan.wantsList, await learnList(of: key) { progress = true }
    return progress
  }

  /// Closes the connection, and opens no other.
  func close() {
    isClosed = true
    connection?.close()
    connection = nil
  }

  private func learnName(of endpoint: KVEndpoint) async -> Bool {
    guard await pool.isHealthy(endpoint),
      let connection = await pool.connect(endpoint, within: patience)
    else { return false }
    defer { connection.close() }
    guard case .serverInfo(let node, _)? = await ask(.serverInfo, on: connection) else {
      return false
    }
    topology.learn(name: node, of: endpoint)
    return true
  }

  private func learnList(of key: ObjectKey) async -> Bool {
    guard let connection = await ready() else { return false }
    recorder.placementAsked()
    guard case .preferenceList(let list)? = await ask(.preferenceList(key), on: connection)
    else {
      connection.close()
      self.connection = nil
      return false
    }
    return topology.learn(list, for: key)
  }

  private func ready() async -> ClientConnection? {
    if let connection, connection.isOpen { return connection }
    guard let endpoint = await pool.anyHealthy(),
      let made = await pool.connect(endpoint, within: patience)
    else { return nil }
    guard !isClosed else {
      made.close()
      return nil
    }
    connection = made
    return made
  }

  private func ask(_ request: WireRequest, on connection: ClientConnection) async -> WireReply? {
    guard connection.send(request.payload),
      case .success(let frame) = await connection.next(before: ContinuousClock.now + patience)
    else { return nil }
    return try? WireReply(payload: frame)
  }
}
