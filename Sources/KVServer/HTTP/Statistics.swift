import KVProtocol
import Foundation
import KVCluster
import KVModel
import KVNode

/// One number or text about a node, as `/stats`, `/metrics` and `ring-admin stat` show it.
struct Statistic: Sendable {
  /// Whether a value only grows.
  enum Kind: String, Sendable {
    case counter
    case gauge
  }

  enum Value: Sendable {
    case number(Int)
    case text(String)
    case list([String])
    case disks([Disk])
  }

  /// A file system: its size in KiB, and how much of it is used in percent.
  struct Disk: Sendable {
    var path: String
    var kibibytes: Int
    var used: Int
  }

  var name: String
  var kind: Kind
  var help: String
  var value: Value

  static func counter(_ name: String, _ value: Int, _ help: String) -> Statistic {
    Statistic(name: name, kind: .counter, help: help, value: .number(value))
  }

  static func gauge(_ name: String, _ value: Int, _ help: String) -> Statistic {
    Statistic(name: name, kind: .gauge, help: help, value: .number(value))
  }

  static func text(_ name: String, _ value: String, _ help: String) -> Statistic {
    Statistic(name: name, kind: .gauge, help: help, value: .text(value))
  }
}

/// Everything a node knows about itself at one moment.
///
/// Names follow Riak's where the meaning is the same (reference section 9); windows are 60 seconds,
/// times microseconds.
struct NodeStatistics: Sendable {
  var node: String
  var uptime: Duration
  var shards: [ShardSnapshot]
  var status: ClusterStatus?
  var connectedClients: Int
  var refusedClients: Int
  var acceptedClients: Int
  var peers: (sent: Int, received: Int, dropped: Int)
  var storage: [(name: String, value: Int)]
  /// Connections accepted in the last minute.
  var recentClients = 0
  var dataDirectory = ""

  /// All statistics in a fixed order.
  var rows: [Statistic] {
    nodeRows + requestRows + recentRows + activeRows + queueRows + shardRows + clusterRows
      + interfaceRows + storageRows + processRows + systemRows
  }

  /// The request latencies of all shards.
  var latencies: LatencySummary {
    var all = LatencySummary()
    for shard in shards { all.merge(shard.latencies) }
    return all
  }

  func sum(_ path: KeyPath<ShardStatistics, Int>) -> Int {
    shards.reduce(0) { $0 + $1.statistics[keyPath: path] }
  }

  private var nodeRows: [Statistic] {
    [
      .text("nodename", node, "The node's name."),
      .text("spinekv_version", ServerVersion.text, "The version of the server."),
      .gauge("uptime_seconds", Int(uptime.components.seconds), "Time since the start."),
      .gauge("shards", shards.count, "Shards of this node."),
    ]
  }

  private var requestRows: [Statistic] {
    let all = latencies
    return [
      .gauge("node_gets", Int(all.gets.count), "GETs answered in the last minute."),
      .counter("node_gets_total", sum(\.gets), "GETs coordinated."),
      .gauge("node_puts", Int(all.puts.count), "PUTs and deletes answered in the last minute."),
      .counter("node_puts_total", sum(\.puts), "PUTs and deletes coordinated."),
    ] + spread("node_get_fsm_time", all.gets, "Time of GETs", "microseconds")
      + spread("node_put_fsm_time", all.puts, "Time of PUTs", "microseconds")
      + spread("node_get_fsm_objsize", all.objectSizes, "Values of GETs", "bytes")
      + spread("node_get_fsm_siblings", all.siblings, "Siblings of GETs", "a number")
      + [
        .counter("read_repairs_total", sum(\.readRepairs), "Objects sent to repair a replica."),
        .gauge("hints_pending", sum(\.hintsPending), "Objects held for other nodes."),
        .gauge("handoffs_active", sum(\.handoffsActive), "Handoffs being sent."),
        .counter("coord_redirs_total", sum(\.forwards), "PUTs coordinated by another shard."),
        .counter("vnode_gets_total", sum(\.vnodeGets), "Reads served by vnodes."),
        .counter("vnode_puts_total", sum(\.vnodePuts), "Writes stored by vnodes."),
      ]
  }

  private func spread(
    _ name: String, _ histogram: LatencyHistogram, _ what: String, _ unit: String
  ) -> [Statistic] {
    let help = "\(what) in the last minute, \(unit):"
    return [
      .gauge("\(name)_mean", Int(histogram.mean), "\(help) mean."),
      .gauge("\(name)_median", Int(histogram.value(atQuantile: 0.5)), "\(help) median."),
      .gauge("\(name)_95", Int(histogram.value(atQuantile: 0.95)), "\(help) 95th percentile."),
      .gauge("\(name)_99", Int(histogram.value(atQuantile: 0.99)), "\(help) 99th percentile."),
      .gauge("\(name)_100", Int(histogram.maximum), "\(help) largest."),
    ]
  }

  /// Every counter of the shards that has no name of Riak's, summed.
  private var shardRows: [Statistic] {
    let named: Set = [
      "gets", "puts", "readRepairs", "hintsPending", "handoffsActive", "vnodeGets", "vnodePuts",
      "forwards", "getsActive", "putsActive", "listingsActive", "queriesActive", "foldsActive",
      "consistentGets", "consistentPuts",
    ]
    let present: Set = ["requestsActive", "seatsMissing"]
    guard let first = shards.first else { return [] }
    var rows: [Statistic] = []
    for (offset, row) in first.statistics.rows.enumerated() where !named.contains(row.name) {
      let value = shards.reduce(0) { $0 + $1.statistics.rows[offset].value }
      let name = Self.snakeCase(row.name)
      rows.append(
        present.contains(row.name)
          ? .gauge(name, value, "Present value over all shards.")
          : .counter("\(name)_total", value, "Sum over all shards."))
    }
    rows.append(
      .gauge(
        "mailbox_max", shards.map(\.mailboxHighest).max() ?? 0,
        "The most events that ever waited for a shard."))
    rows.append(
      .counter(
        "mailbox_refused_total", shards.reduce(0) { $0 + $1.mailboxRefused },
        "Events refused because a shard's mailbox was full."))
    return rows
  }

  private var clusterRows: [Statistic] {
    guard let status else { return [] }
    let reachable = status.members.filter { $0.isReachable && $0.name != node }.map(\.name)
    let own = status.members.first { $0.name == node }
    return [
      Statistic(
        name: "ring_members", kind: .gauge, help: "The members.",
        value: .list(status.members.map(\.name))),
      Statistic(
        name: "connected_nodes", kind: .gauge, help: "The other members that are reachable.",
        value: .list(reachable)),
      .text(
        "riak_kv_version", ServerVersion.clientInterface,
        "The version of Riak KV whose client interfaces are spoken."),
      .gauge("members", status.members.count, "Number of members."),
      .gauge(
        "members_unreachable", status.members.count { !$0.isReachable },
        "Members held to be unreachable."),
      .gauge("ring_num_partitions", status.owners.count, "Partitions of the ring."),
      .gauge("ring_owned_partitions", own?.partitions ?? 0, "Partitions this node owns."),
      .gauge("ring_ready", status.isRingReady ? 1 : 0, "1 when all members agree on the ring."),
      .gauge("transfers_pending", status.transfers.count, "Partitions on the move."),
      .text("claimant", status.claimant, "The member that changes the ring."),
    ]
  }

  private var interfaceRows: [Statistic] {
    [
      .gauge("pbc_active", connectedClients, "Client connections."),
      .gauge("pbc_connects", recentClients, "Client connections accepted in the last minute."),
      .counter("pbc_connects_total", acceptedClients, "Client connections accepted."),
      .counter("pbc_refused_total", refusedClients, "Client connections refused by the limit."),
      .counter("peer_messages_sent_total", peers.sent, "Messages sent to other nodes."),
      .counter("peer_messages_received_total", peers.received, "Messages of other nodes."),
      .counter("peer_messages_dropped_total", peers.dropped, "Messages that could not be sent."),
    ]
  }

  private var storageRows: [Statistic] {
    storage.map { row in
      let name = "storage_\(Self.snakeCase(row.name))"
      return .gauge(name, row.value, "Storage: \(row.name), sum over all shards.")
    }
  }

  private var processRows: [Statistic] {
    [
      .gauge("memory_total", ProcessFigures.residentByteCount, "Resident memory, bytes."),
      .gauge("sys_process_count", ProcessFigures.threadCount, "Threads."),
      .gauge("cpu_nprocs", ProcessInfo.processInfo.activeProcessorCount, "Processors."),
    ]
  }

  static func snakeCase(_ name: String) -> String {
    name.reduce(into: "") { result, character in
      if character.isUppercase, result.last?.isLowercase == true || result.last?.isNumber == true {
        result.append("_")
      }
      result.append(contentsOf: character.lowercased())
    }
  }
}

extension NodeStatistics {
  /// One flat JSON object.
  var json: String {
    let fields = rows.map { row in
      let value: String =
        switch row.value {
        case .number(let number): "\(number)"
        case .text(let text): JSONValue.quoted(text)
        case .list(let texts): "[\(texts.map(JSONValue.quoted).joined(separator: ","))]"
        case .disks(let disks):
          JSONValue.array(
            disks.map { disk in
              .object([
                "id": .string(disk.path), "size": .integer(disk.kibibytes),
                "used": .integer(disk.used),
              ])
            }
          ).text
        }
      return "\(JSONValue.quoted(row.name)):\(value)"
    }
    return "{\(fields.joined(separator: ",\n"))}\n"
  }

  /// The Prometheus text format, version 0.0.4.
  var prometheus: String {
    var text = ""
    for row in rows {
      guard case .number(let number) = row.value else { continue }
      let name = row.name.hasPrefix("spinekv_") ? row.name : "spinekv_\(row.name)"
      text += "# HELP \(name) \(row.help)\n# TYPE \(name) \(row.kind.rawValue)\n\(name) \(number)\n"
    }
    let all = latencies
    text += summary("get", all.gets, count: all.getCount, sum: all.getSum)
    text += summary("put", all.puts, count: all.putCount, sum: all.putSum)
    return text
  }

  private func summary(
    _ what: String, _ histogram: LatencyHistogram, count: UInt64, sum: UInt64
  ) -> String {
    let name = "spinekv_\(what)_duration_seconds"
    var text = "# HELP \(name) Time of \(what)s; quantiles of the last minute.\n"
    text += "# TYPE \(name) summary\n"
    for quantile in [0.5, 0.95, 0.99, 0.999] {
      let value = Double(histogram.value(atQuantile: quantile)) / 1_000_000
      text += "\(name){quantile=\"\(quantile)\"} \(value)\n"
    }
    return text + "\(name)_sum \(Double(sum) / 1_000_000)\n\(name)_count \(count)\n"
  }
}

/// What the operating system says about this process.
enum ProcessFigures {
  static var residentByteCount: Int { field("VmRSS:") * 1024 }
  static var threadCount: Int { field("Threads:") }

  private static func field(_ name: String) -> Int { field(name, "/proc/self/status") }

  private static func field(_ name: String, _ path: String) -> Int {
    guard let text = try? String(contentsOfFile: path, encoding: .utf8),
      let line = text.split(separator: "\n").first(where: { $0.hasPrefix(name) }),
      let number = line.split(whereSeparator: \.isWhitespace).dropFirst().first
    else { return 0 }
    return Int(number) ?? 0
  }

  /// The system's memory in bytes: all of it, and what is in use.
  static var memory: (total: Int, used: Int) {
    let total = field("MemTotal:", "/proc/meminfo") * 1024
    return (total, total - field("MemAvailable:", "/proc/meminfo") * 1024)
  }

  /// The load averages of 1, 5 and 15 minutes, times 256.
  static var loads: [Int] {
    let text = (try? String(contentsOfFile: "/proc/loadavg", encoding: .utf8)) ?? ""
    let numbers = text.split(separator: " ").prefix(3).map { Int((Double($0) ?? 0) * 256) }
    return numbers + Array(repeating: 0, count: 3 - numbers.count)
  }

  /// The file system that holds the path.
  static func disk(of path: String) -> Statistic.Disk? {
    guard let figures = try? FileManager.default.attributesOfFileSystem(forPath: path),
      let size = (figures[.systemSize] as? NSNumber)?.intValue, size > 0,
      let free = (figures[.systemFreeSize] as? NSNumber)?.intValue
    else { return nil }
    return Statistic.Disk(
      path: path, kibibytes: size / 1024, used: Int((Double(size - free) / Double(size)) * 100))
  }
}
