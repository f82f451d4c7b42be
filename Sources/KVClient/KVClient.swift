import KVModel
public import NIOCore
import NIOPosix

/// A client of a cluster.
///
/// ```swift
/// let client = KVClient(configuration: .init(endpoints: [.init(host: "127.0.0.1", port: 8087)]))
/// let key = ObjectKey(bucket: "patients", key: "9434765919")
/// try await client.put(Content(value: Array("Ada".utf8)), at: key)
/// if let object = try await client.get(key) {
///   try await client.put(Content(value: Array("Ada L.".utf8)), at: key, context: object.context)
/// }
/// await client.close()
/// ```
///
/// A write should carry the context of the read that it is based on: it then replaces what was read,
/// and anything written meanwhile by others stays beside it as a sibling.
///
/// **Where requests go.** A request about a key goes to a node that holds it, once the client has
/// learned where it lies (``KVClientConfiguration/routing``); all others to the endpoint with the least
/// to do. Endpoints that cannot be reached or do not answer are left alone while there are others. Any
/// node takes any request, so none of this makes a request fail.
///
/// **What is repeated**, at most ``KVClientConfiguration/attempts`` times and within a budget of a
/// fifth of all requests: everything that was certainly not performed (no connection, overload), reads,
/// deletes with a context, and writes that the caller calls idempotent. A write whose fate is unknown is
/// never repeated otherwise; it fails with ``KVClientError/isAmbiguous`` set. Reads of slow nodes can
/// be asked of another at once (``KVClientConfiguration/hedging``).
///
/// `Docs/Client.md` is the guide.
///
/// **Concurrency**: any task. Close the client when it is no longer needed.
public final class KVClient: Sendable {
  let configuration: KVClientConfiguration
  let pool: ConnectionPool
  let budget = RetryBudget()
  let latencies = LatencyEstimate()
  let recorder: ClientRecorder
  /// Nil when requests go to any node.
  let topology: Topology?
  private let scout: TopologyScout?

  /// A client; it connects with the first request.
  ///
  /// - Parameters:
  ///   - configuration: endpoints and limits.
  ///   - group: the event loops that serve the connections; by default the process's shared ones.
  public init(
    configuration: KVClientConfiguration,
    group: (any EventLoopGroup)? = nil
  ) {
    self.configuration = configuration
    recorder = ClientRecorder(observer: configuration.observer)
    pool = ConnectionPool(
      configuration: configuration, group: group ?? MultiThreadedEventLoopGroup.singleton,
      recorder: recorder)
    guard configuration.routing == .primaries, Set(configuration.endpoints).count > 1 else {
      topology = nil
      scout = nil
      return
    }
    let topology = Topology(
      endpoints: configuration.endpoints, refresh: configuration.topologyRefresh)
    self.topology = topology
    scout = TopologyScout(
      topology: topology, pool: pool, recorder: recorder, patience: configuration.connectTimeout)
  }

  /// What the client has done so far.
  public var statistics: ClientStatistics { recorder.statistics }

  /// Closes every connection; requests under way may still finish, further ones fail.
  public func close() async {
    await pool.close()
    await scout?.close()
  }
}

extension KVClient {
  /// Where the primaries of the call's key are, as far as is known; what is not is learned meanwhile.
  func primaries(of call: Call) -> [KVEndpoint] {
    guard let topology, let scout, let key = call.key else { return [] }
    let plan = topology.plan(for: key)
    if plan.wantsLearning, topology.beginLearning() {
      // Ends by itself: each question has a time limit.
      Task { topology.endLearning(progress: await scout.learn(plan, for: key)) }
    }
    return plan.primaries
  }
}
