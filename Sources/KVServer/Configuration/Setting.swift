import KVCluster

/// One key of the configuration: its name, what it accepts, what it is for, and where it goes.
struct Setting: Sendable {
  /// The full name, `table.key`.
  var key: String
  var kind: SettingKind
  /// Sentences for the default file, without line breaks.
  var documentation: String
  var store: @Sendable (inout ServerConfiguration, SettingValue) -> Void
  /// The value of a configuration, as the file writes it.
  var render: @Sendable (ServerConfiguration) -> String

  /// The key's table.
  var table: String { String(key.prefix { $0 != "." }) }
  /// The key within its table.
  var name: String { String(key.dropFirst(table.count + 1)) }
  /// The environment variable that overrides the key.
  var environmentName: String {
    "SPINEKV_" + key.uppercased().map { $0 == "." ? "_" : String($0) }.joined()
  }

  private typealias Path<Value> = WritableKeyPath<ServerConfiguration, Value> & Sendable

  private static func text(
    _ key: String, _ path: any Path<String>, allowsEmpty: Bool = false, _ documentation: String
  ) -> Setting {
    Setting(key: key, kind: .text(allowsEmpty: allowsEmpty), documentation: documentation) {
      if case .text(let value) = $1 { $0[keyPath: path] = value }
    } render: {
      quoted($0[keyPath: path])
    }
  }

  private static func choice(
    _ key: String, _ path: any Path<String>, _ words: [String], _ documentation: String
  ) -> Setting {
    Setting(key: key, kind: .choice(words), documentation: documentation) {
      if case .text(let value) = $1 { $0[keyPath: path] = value }
    } render: {
      quoted($0[keyPath: path])
    }
  }

  private static func integer(
    _ key: String, _ path: any Path<Int>, _ kind: SettingKind, _ documentation: String
  ) -> Setting {
    Setting(key: key, kind: kind, documentation: documentation) {
      if case .integer(let value) = $1 { $0[keyPath: path] = value }
    } render: {
      "\($0[keyPath: path])"
    }
  }

  private static func size(
    _ key: String, _ path: any Path<Int>, _ range: ClosedRange<Int>, _ documentation: String
  ) -> Setting {
    Setting(key: key, kind: .size(range), documentation: documentation) {
      if case .integer(let value) = $1 { $0[keyPath: path] = value }
    } render: {
      quoted(SettingKind.text(byteCount: $0[keyPath: path]))
    }
  }

  private static func boolean(
    _ key: String, _ path: any Path<Bool>, _ documentation: String
  ) -> Setting {
    Setting(key: key, kind: .boolean, documentation: documentation) {
      if case .boolean(let value) = $1 { $0[keyPath: path] = value }
    } render: {
      "\($0[keyPath: path])"
    }
  }

  private static func duration(
    _ key: String, _ path: any Path<Duration>, _ range: ClosedRange<Duration>,
    _ documentation: String
  ) -> Setting {
    Setting(key: key, kind: .duration(range), documentation: documentation) {
      if case .duration(let value) = $1 { $0[keyPath: path] = value }
    } render: {
      quoted(SettingKind.text($0[keyPath: path]))
    }
  }

  private static func endpoint(
    _ key: String, _ path: any Path<Endpoint>, _ documentation: String
  ) -> Setting {
    Setting(key: key, kind: .endpoint(allowsEmpty: false), documentation: documentation) {
      if case .endpoint(let value?) = $1 { $0[keyPath: path] = value }
    } render: {
      quoted(SettingKind.text($0[keyPath: path]))
    }
  }

  private static func optionalEndpoint(
    _ key: String, _ path: any Path<Endpoint?>, _ documentation: String
  ) -> Setting {
    Setting(key: key, kind: .endpoint(allowsEmpty: true), documentation: documentation) {
      if case .endpoint(let value) = $1 { $0[keyPath: path] = value }
    } render: {
      quoted(SettingKind.text($0[keyPath: path]))
    }
  }

  private static func quoted(_ text: String) -> String {
    let escaped = text.unicodeScalars.map { scalar in
      switch scalar {
      case "\"", "\\": "\\\(scalar)"
      default:
        scalar.value < 0x20 || scalar.value == 0x7F
          ? "\\u" + String(repeating: "0", count: 4 - String(scalar.value, radix: 16).count)
            + String(scalar.value, radix: 16) : String(scalar)
      }
    }
    return "\"\(escaped.joined())\""
  }
}

extension Setting {
  /// Every setting, in the order of the default file.
  static let all: [Setting] =
    node + listen + interfaces + requests + deletes + cluster + storageAndLog

  private static let node: [Setting] = [
    text(
      "node.name", \.nodeName,
      "The node's name, usually name@host. It is the node's identity in the cluster: unique, and never changed once the node has started."
    ),
    text(
      "node.data_dir", \.dataDirectory,
      "The directory of everything the node stores. One process at a time may use it."),
    integer(
      "node.shards", \.shardCount, .integer(0...64),
      "Shards: threads with their own partitions and store. 0 means one per processor. Fixed when the data directory is created."
    ),
    integer(
      "node.ring_size", \.ringSize, .oneOf(Ring.sizes),
      "Partitions of the ring. Fixed when the data directory is created, and the same on all nodes of a cluster."
    ),
    text(
      "node.pid_file", \.pidFile, allowsEmpty: true,
      "A file that holds the process id while the node runs; empty for none."),
    text(
      "node.location", \.location, allowsEmpty: true,
      "The rack or site the node joins a cluster with: replicas are kept at different ones. Empty for none. ring-admin location changes it later."
    ),
    duration(
      "node.stop_timeout", \.stopTimeout, .seconds(1)...(.seconds(3600)),
      "How long a stop in order may take to finish requests and flush; after that the process ends as after a crash."
    ),
  ]

  private static let listen: [Setting] = [
    endpoint(
      "listen.client", \.clientEndpoint,
      "Address of the Riak protocol-buffers interface. Port 0 lets the system choose."),
    endpoint(
      "listen.http", \.httpEndpoint,
      "Address of the status page, /stats, /metrics, /ping and the admin interface. It has no access control: keep it on a trusted network."
    ),
    endpoint(
      "listen.peer", \.peerEndpoint, "Address for the other nodes of the cluster."),
    optionalEndpoint(
      "listen.client_advertised", \.advertisedClientEndpoint,
      "What other nodes say of this node's client address; empty for listen.client, whose wildcard host is replaced by the host in the node's name."
    ),
    optionalEndpoint(
      "listen.peer_advertised", \.advertisedPeerEndpoint,
      "Where other nodes reach listen.peer; empty for listen.peer itself, as above."),
  ]

  private static let interfaces: [Setting] = [
    integer(
      "client.connection_limit", \.clientConnectionLimit, .integer(1...1_000_000),
      "Client connections at a time; further ones are closed at once."),
    integer(
      "client.pipeline_limit", \.clientPipelineLimit, .integer(1...100_000),
      "Requests of one connection that may wait or be under way; the connection is not read while it has that many."
    ),
    size(
      "client.frame_limit", \.clientFrameByteLimit, 1024...(1 << 30),
      "Largest frame of a client. A larger one is answered with an error and the connection closed."
    ),
    duration(
      "client.frame_timeout", \.clientFrameTimeout, .seconds(1)...(.seconds(86_400)),
      "How long a client may take to send a frame; after that the connection is closed."),
    size(
      "client.memory_limit", \.clientMemoryByteLimit, (1 << 20)...(1 << 40),
      "Memory for what comes from and goes to all clients together: unfinished and waiting frames above 64 KiB, bodies and answers over HTTP. Beyond it they are told of an overload."
    ),
    boolean(
      "client.list_buckets", \.allowsListBuckets,
      "Whether clients may list buckets, which reads every key of a bucket type."),
    boolean(
      "client.list_keys", \.allowsListKeys,
      "Whether clients may list the keys of a bucket, which reads every one."),
    boolean(
      "client.secondary_index", \.allowsSecondaryIndex,
      "Whether clients may query secondary indexes."),
    boolean(
      "client.map_reduce", \.allowsMapReduce, "Whether clients may run MapReduce jobs."),
    size(
      "http.body_limit", \.httpBodyByteLimit, 1024...(64 << 20),
      "Largest body of an administrative HTTP request."),
    integer(
      "http.connection_limit", \.httpConnectionLimit, .integer(1...100_000),
      "HTTP connections at a time; further ones wait to be accepted."),
    duration(
      "http.admin_timeout", \.adminTimeout, .milliseconds(100)...(.seconds(3600)),
      "How long the node may take for an admin command."),
    size(
      "peer.frame_limit", \.peerFrameByteLimit, (1 << 20)...(1 << 30),
      "Largest message between nodes; the same on all nodes."),
    size(
      "peer.queue_limit", \.peerQueueByteLimit, (1 << 20)...(16 << 30),
      "Bytes that may wait for one other node. Messages beyond are dropped and counted; requests then time out or use other replicas."
    ),
    duration(
      "peer.reconnect_min", \.peerReconnectMinimum, .milliseconds(1)...(.seconds(60)),
      "Pause before a broken connection to a node is tried again; it doubles with each failure."),
    duration(
      "peer.reconnect_max", \.peerReconnectMaximum, .milliseconds(1)...(.seconds(600)),
      "The longest such pause."),
  ]

  private static let requests: [Setting] = [
    duration(
      "request.timeout", \.requestTimeout, .milliseconds(1)...(.seconds(86_400)),
      "How long a request may take when it does not say itself."),
    integer(
      "request.limit", \.requestLimit, .integer(1...10_000_000),
      "Requests under way in one shard; further ones are answered with \"overload\"."),
    integer(
      "request.mailbox_limit", \.mailboxLimit, .integer(64...10_000_000),
      "Events that may wait for one shard. Requests beyond are answered with \"overload\"; messages of other nodes are dropped and counted."
    ),
    size(
      "request.mailbox_bytes", \.mailboxByteLimit, (1 << 20)...(16 << 30),
      "The same limit in bytes of waiting messages and objects."),
    size(
      "object.size_limit", \.objectByteLimit, 1024...(1 << 29),
      "Largest object, with all siblings (Riak's max_object_size); a PUT that would exceed it fails."
    ),
    size(
      "object.warn_size", \.objectByteWarning, 1024...(1 << 29),
      "A larger object is logged and counted when it is stored (Riak's warn_object_size)."),
    integer(
      "object.sibling_limit", \.siblingLimit, .integer(1...10_000),
      "Siblings an object may have (Riak's max_siblings); a PUT that would exceed it fails."),
    integer(
      "object.warn_siblings", \.siblingWarning, .integer(1...10_000),
      "An object of more siblings is logged and counted when it is stored (Riak's warn_siblings)."
    ),
    size(
      "object.inline_limit", \.inlineByteLimit, 0...(16 << 20),
      "Objects up to this size are sent whole by every replica of a read; of larger ones only one replica sends the values."
    ),
  ]

  private static let deletes: [Setting] = [
    choice(
      "delete.mode", \.deleteMode, ["delayed", "immediate", "keep"],
      "When tombstones are removed, once every primary holds the same one and all members are up: after delete.delay, at once, or never by themselves. The same on all nodes."
    ),
    duration(
      "delete.delay", \.deleteDelay, .milliseconds(1)...(.seconds(31_536_000)),
      "How long a tombstone stays at least with delete.mode = delayed."),
    duration(
      "delete.memory", \.deleteMemory, .seconds(60)...(.seconds(31_536_000)),
      "How long a node remembers removed tombstones, so that an older copy that turns up, as in a late message or from a backup, does not bring the object back. No backup of a single node older than this may be restored into a running cluster."
    ),
    integer(
      "delete.scan_count", \.tombstoneScanCount, .integer(1...10_000),
      "Objects that a shard looks at in each handoff.interval for tombstones that a crash left behind."
    ),
  ]

  private static let cluster: [Setting] = [
    duration(
      "cluster.probe_interval", \.probeInterval, .milliseconds(10)...(.seconds(60)),
      "How often another member is probed by the failure detector."),
    duration(
      "cluster.probe_timeout", \.probeTimeout, .milliseconds(10)...(.seconds(60)),
      "How long a probe may go unanswered before the member is suspected."),
    duration(
      "cluster.suspicion_timeout", \.suspicionTimeout, .milliseconds(10)...(.seconds(600)),
      "How long a suspected member has to show that it is alive before others take over its work."),
    duration(
      "cluster.gossip_interval", \.gossipInterval, .milliseconds(10)...(.seconds(600)),
      "How often ring and bucket properties are compared with a random member."),
    duration(
      "handoff.interval", \.handoffInterval, .milliseconds(10)...(.seconds(600)),
      "How often a shard looks for data that belongs on another node."),
    integer(
      "handoff.limit", \.handoffLimit, .integer(1...64),
      "Partitions that one shard hands off at once."),
    size(
      "handoff.rate", \.handoffByteRate, 0...(1 << 40),
      "Bytes a second that one shard hands off; 0 for no limit. ring-admin transfer-limit changes both until the node stops."
    ),
  ]

  private static let storageAndLog: [Setting] = [
    boolean(
      "storage.sync", \.syncByDefault,
      "Flush every write to disk before it is acknowledged. With false an acknowledged write may be lost when the machine (not just the process) fails; sync_on_write of a request or bucket decides otherwise."
    ),
    size(
      "storage.memtable_size", \.memtableByteCount, (1 << 20)...(1 << 30),
      "Size at which a shard writes its newest data out as a sorted file."),
    size(
      "storage.block_cache_size", \.blockCacheByteCount, 0...(64 << 30),
      "Memory of one shard for recently read blocks."),
    size(
      "storage.separation_size", \.separationByteCount, 64...(128 << 20),
      "Objects of at least this size are stored once, in the journal, and not copied by compactions."
    ),
    size(
      "storage.scrub_rate", \.scrubByteRate, 0...(1 << 40),
      "Bytes a second that the node reads through of its stores, again and again, to find rot while other replicas are whole; 0 for none."
    ),
    text(
      "storage.encryption_key_file", \.encryptionKeyFile, allowsEmpty: true,
      "A file with the keys that encrypt the stores: 32 raw bytes, or lines of 64 hexadecimal digits, the first the current key and the others older ones. Only its owner may have access to it. Empty for stores that are not encrypted."
    ),
    text(
      "storage.encryption_key_command", \.encryptionKeyCommand, allowsEmpty: true,
      "A shell command that prints the keys instead."),
    choice(
      "log.level", \.logLevel, ["debug", "info", "warning", "error"],
      "The least severe level that is logged."),
    choice(
      "log.format", \.logFormat, ["text", "json"],
      "text: a line for people; json: one JSON object a line."),
    text(
      "log.file", \.logFile, allowsEmpty: true,
      "A file the log is appended to; empty for standard error."),
  ]
}
