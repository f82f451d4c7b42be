import Foundation
import KVCluster
import KVNode

/// Statistics that carry the reference's names beyond requests and cluster.
///
/// **Source**: reference section 9.
extension NodeStatistics {
  /// What was counted in the last minute.
  var recentRows: [Statistic] {
    func recent(_ name: String, _ path: KeyPath<ShardStatistics, Int>, _ what: String) -> Statistic
    {
      let before = shards.reduce(0) { $0 + $1.before[keyPath: path] }
      return .gauge(name, max(0, sum(path) - before), "\(what) in the last minute.")
    }
    return [
      recent("vnode_gets", \.vnodeGets, "Reads served by vnodes"),
      recent("vnode_puts", \.vnodePuts, "Writes stored by vnodes"),
      recent("read_repairs", \.readRepairs, "Objects sent to repair a replica"),
      recent("index_fsm_create", \.queries, "Index queries coordinated"),
      recent("list_fsm_create", \.listings, "Listings coordinated"),
      .counter("list_fsm_create_total", sum(\.listings), "Listings coordinated."),
      recent("clusteraae_fsm_create", \.folds, "Folds coordinated"),
      recent("tictacaae_exchange", \.entropyExchanges, "Comparisons of vnodes"),
      .counter("tictacaae_exchange_total", sum(\.entropyExchanges), "Comparisons of vnodes."),
      recent("consistent_gets", \.consistentGets, "GETs in consistent buckets"),
      .counter("consistent_gets_total", sum(\.consistentGets), "GETs in consistent buckets."),
      recent("consistent_puts", \.consistentPuts, "PUTs and deletes in consistent buckets"),
      .counter(
        "consistent_puts_total", sum(\.consistentPuts), "PUTs and deletes in consistent buckets."),
    ]
  }

  /// What is under way now.
  var activeRows: [Statistic] {
    [
      .gauge("node_get_fsm_active", sum(\.getsActive), "GETs under way, or still repairing."),
      .gauge("node_put_fsm_active", sum(\.putsActive), "PUTs and deletes under way."),
      .gauge("list_fsm_active", sum(\.listingsActive), "Listings under way."),
      .gauge("index_fsm_active", sum(\.queriesActive), "Index queries under way."),
      .gauge("clusteraae_fsm_active", sum(\.foldsActive), "Folds under way."),
    ]
  }

  /// What waits for the shards, whose vnodes share one queue each.
  var queueRows: [Statistic] {
    let waiting = shards.map(\.mailboxWaiting).sorted()
    let total = waiting.reduce(0, +)
    return [
      .gauge("riak_kv_vnodeq_total", total, "Events that wait for shards."),
      .gauge("riak_kv_vnodeq_min", waiting.first ?? 0, "The least that wait for a shard."),
      .gauge("riak_kv_vnodeq_max", waiting.last ?? 0, "The most that wait for a shard."),
      .gauge(
        "riak_kv_vnodeq_mean", waiting.isEmpty ? 0 : total / waiting.count,
        "What waits for a shard, mean."),
      .gauge(
        "riak_kv_vnodeq_median", waiting.isEmpty ? 0 : waiting[waiting.count / 2],
        "What waits for a shard, median."),
      .counter(
        "dropped_vnode_requests_total", shards.reduce(0) { $0 + $1.mailboxRefused },
        "Events refused because a shard's mailbox was full."),
    ]
  }

  /// The system, and what monitoring wants to know of the program.
  var systemRows: [Statistic] {
    let memory = ProcessFigures.memory
    let loads = ProcessFigures.loads
    let disk = ProcessFigures.disk(of: dataDirectory).map { [$0] } ?? []
    var rows: [Statistic] = [
      .gauge("mem_total", memory.total, "Memory of the system, bytes."),
      .gauge("mem_allocated", memory.used, "Memory of the system in use, bytes."),
      .gauge("cpu_avg1", loads[0], "Load average of 1 minute, times 256."),
      .gauge("cpu_avg5", loads[1], "Load average of 5 minutes, times 256."),
      .gauge("cpu_avg15", loads[2], "Load average of 15 minutes, times 256."),
      .gauge(
        "sys_logical_processors", ProcessInfo.processInfo.activeProcessorCount, "Processors."),
      .gauge("sys_wordsize", MemoryLayout<Int>.size, "Bytes of a machine word."),
      Statistic(
        name: "disk", kind: .gauge, help: "The file system of the data: size in KiB, percent used.",
        value: .disks(disk)),
      .text("storage_backend", "spinekv", "The storage engine."),
    ]
    guard let status else { return rows }
    let owners = status.members.map { "{'\($0.name)',\($0.partitions)}" }
    rows += [
      .text(
        "ring_ownership", "[\(owners.joined(separator: ","))]",
        "The members and how many partitions each owns."),
      .gauge("ring_creation_size", status.owners.count, "Partitions of the ring."),
      .gauge(
        "riak_kv_vnodes_running", status.members.first { $0.name == node }?.partitions ?? 0,
        "Vnodes of the partitions that this node owns."),
    ]
    return rows
  }
}
