public import KVCluster

/// Every setting of a node, checked; the values given here are the defaults.
///
/// Each property is one key of the configuration file; ``Setting/all`` says how they are named,
/// what they accept and what they are for.
public struct ServerConfiguration: Hashable, Sendable {
  /// The node's name, which is its identity in the cluster.
  public var nodeName = "spinekv@127.0.0.1"
  /// Where everything is kept.
  public var dataDirectory = "./data"
  /// Shards of a new data directory; 0 for one per processor.
  public var shardCount = 0
  /// Partitions of a new ring.
  public var ringSize = 64
  /// Where the process id is written; empty for nowhere.
  public var pidFile = ""
  /// The longest a stop in order may take.
  public var stopTimeout: Duration = .seconds(30)

  /// Where protobuf clients are served.
  public var clientEndpoint = Endpoint(host: "127.0.0.1", port: 8087)
  /// Where the status page, metrics and the admin interface are served.
  public var httpEndpoint = Endpoint(host: "127.0.0.1", port: 8098)
  /// Where other nodes connect.
  public var peerEndpoint = Endpoint(host: "127.0.0.1", port: 8099)
  /// What other nodes are told about ``clientEndpoint``; nil for that itself.
  public var advertisedClientEndpoint: Endpoint?
  /// What other nodes are told about ``peerEndpoint``; nil for that itself.
  public var advertisedPeerEndpoint: Endpoint?

  /// The most client connections; more are closed at once.
  public var clientConnectionLimit = 4096
  /// The most requests of one connection that wait or are under way.
  public var clientPipelineLimit = 128
  /// The largest client frame, in bytes.
  public var clientFrameByteLimit = 64 << 20
  /// How long a client may take to send a frame.
  public var clientFrameTimeout: Duration = .seconds(60)
  /// What the requests of all clients may hold together, in bytes.
  public var clientMemoryByteLimit = 256 << 20

  /// Whether clients may list buckets.
  public var allowsListBuckets = true
  /// Whether clients may list keys.
  public var allowsListKeys = true
  /// Whether clients may query secondary indexes.
  public var allowsSecondaryIndex = true
  /// Whether clients may run MapReduce jobs.
  public var allowsMapReduce = true

  /// The largest HTTP request body, in bytes.
  public var httpBodyByteLimit = 64 << 10
  /// The most HTTP connections.
  public var httpConnectionLimit = 256
  /// How long an admin command may take.
  public var adminTimeout: Duration = .seconds(30)

  /// The largest peer message, in bytes.
  public var peerFrameByteLimit = 64 << 20
  /// Bytes that may wait for one peer before messages to it are dropped.
  public var peerQueueByteLimit = 128 << 20
  /// The pause before a connection to a peer is tried again, at first.
  public var peerReconnectMinimum: Duration = .milliseconds(50)
  /// The same after many failures.
  public var peerReconnectMaximum: Duration = .seconds(2)

  /// How long a request may take when it does not say.
  public var requestTimeout: Duration = .seconds(60)
  /// The most requests under way in one shard.
  public var requestLimit = 10_000
  /// The most events that wait for one shard.
  public var mailboxLimit = 65_536
  /// The most bytes of events that wait for one shard.
  public var mailboxByteLimit = 256 << 20
  /// The largest object, in bytes.
  public var objectByteLimit = 50 << 20
  /// The most siblings of an object.
  public var siblingLimit = 100
  /// An object above this many bytes is logged.
  public var objectByteWarning = 5 << 20
  /// An object of more siblings than this is logged.
  public var siblingWarning = 25
  /// `keep`, `immediate` or `delayed`: when tombstones are removed.
  public var deleteMode = "delayed"
  /// How long a tombstone stays at least with `delayed`.
  public var deleteDelay: Duration = .seconds(3)
  /// How long vnodes remember what was deleted and reaped.
  public var deleteMemory: Duration = .seconds(86_400)
  /// Objects looked at in each handoff interval for tombstones that were left.
  public var tombstoneScanCount = 256
  /// Objects up to this size are sent whole by all replicas of a read.
  public var inlineByteLimit = 16 << 10

  /// How often a member is probed.
  public var probeInterval: Duration = .milliseconds(200)
  /// How long a probe may go unanswered.
  public var probeTimeout: Duration = .milliseconds(300)
  /// How long a member stays suspect.
  public var suspicionTimeout: Duration = .milliseconds(800)
  /// How often ring and metadata are compared with a random member.
  public var gossipInterval: Duration = .seconds(1)
  /// How often a shard looks for partitions to hand off.
  public var handoffInterval: Duration = .seconds(1)
  /// The most handoffs that one shard sends at once.
  public var handoffLimit = 2
  /// The most bytes a second that one shard hands off; 0 for no limit.
  public var handoffByteRate = 0
  /// Bytes a second of the stores that are read through in search of rot; 0 for none.
  public var scrubByteRate = 4 << 20
  /// The rack or site that the node joins a cluster with; empty for none.
  public var location = ""

  /// Whether writes are flushed to disk before they are acknowledged.
  public var syncByDefault = true
  /// The file with the keys that encrypt the stores; empty for none.
  public var encryptionKeyFile = ""
  /// A shell command that prints these keys; empty for none.
  public var encryptionKeyCommand = ""
  /// A memtable of this size is written out, per shard.
  public var memtableByteCount = 32 << 20
  /// The block cache of one shard, in bytes.
  public var blockCacheByteCount = 64 << 20
  /// Objects of at least this many bytes stay in the journal.
  public var separationByteCount = 4 << 10

  /// The least severe level that is logged.
  public var logLevel = "info"
  /// `text` or `json`.
  public var logFormat = "text"
  /// Where the log goes; empty for standard error.
  public var logFile = ""

  /// The defaults.
  public init() {}

  /// When tombstones are removed.
  var shardDeleteMode: DeleteMode {
    switch deleteMode {
    case "keep": .keep
    case "immediate": .immediate
    default: .delayed(deleteDelay)
    }
  }

  /// The address other nodes use for peers.
  var publicPeerEndpoint: Endpoint { advertised(advertisedPeerEndpoint ?? peerEndpoint) }

  /// The address other nodes give to clients.
  var publicClientEndpoint: Endpoint { advertised(advertisedClientEndpoint ?? clientEndpoint) }

  /// A wildcard address means nothing elsewhere: the host in the node's name stands for it.
  private func advertised(_ endpoint: Endpoint) -> Endpoint {
    guard endpoint.host == "0.0.0.0" || endpoint.host == "::",
      let at = nodeName.lastIndex(of: "@")
    else { return endpoint }
    return Endpoint(host: String(nodeName[nodeName.index(after: at)...]), port: endpoint.port)
  }
}
