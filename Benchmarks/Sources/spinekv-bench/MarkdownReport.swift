/// The tables as they are kept in RESULTS.md.
extension BenchReport {
  /// All rows: a table of speed, one of writes and space, one of memory.
  var markdown: String {
    [speedTable, amplificationTable, memoryTable].compactMap { $0 }.joined(separator: "\n\n")
  }

  private var speedTable: String? {
    table(
      [
        "workload", "ops/s", "p50 us", "p99 us", "p99.9 us", "allocs/op", "RocksDB ops/s", "p50 us",
        "p99 us", "p99.9 us", "allocs/op", "ratio", "ratio, range",
      ],
      rows.filter { $0.operationsPerSecond != nil }.map { row in
        [
          row.name, text(row.operationsPerSecond, 0), text(row.p50, 1), text(row.p99, 1),
          text(row.p999, 1), text(row.allocationsPerOperation, 2),
          text(row.peerOperationsPerSecond, 0), text(row.more["peer_p50_us"], 1),
          text(row.more["peer_p99_us"], 1), text(row.more["peer_p999_us"], 1),
          text(row.more["peer_allocs_per_op"], 2), text(row.ratio, 2),
          text(row.more["ratio_min"], 2) + " to " + text(row.more["ratio_max"], 2),
        ]
      })
  }

  private var amplificationTable: String? {
    table(
      [
        "workload", "written per byte put", "RocksDB", "disk per live byte", "RocksDB",
        "at most", "RocksDB",
      ],
      rows.filter { $0.more["write_amplification"] != nil }.map { row in
        let keys = ["write_amplification", "space_amplification", "space_amplification_max"]
        return [row.name]
          + keys.flatMap { [text(row.more[$0], 2), text(row.more["peer_\($0)"], 2)] }
      })
  }

  private var memoryTable: String? {
    func mebibytes(_ value: Double?) -> String { text(value.map { $0 / Double(1 << 20) }, 1) }
    return table(
      ["workload", "MiB", "RocksDB MiB", "memtables and cache, MiB"],
      rows.filter { $0.more["peak_memory_bytes"] != nil }.map { row in
        [
          row.name, mebibytes(row.more["peak_memory_bytes"]),
          mebibytes(row.more["peer_peak_memory_bytes"]), mebibytes(row.more["memory_limit_bytes"]),
        ]
      })
  }

  private func table(_ header: [String], _ rows: [[String]]) -> String? {
    guard !rows.isEmpty else { return nil }
    return markdownTable(header, rows)
  }
}

/// A Markdown table.
func markdownTable(_ header: [String], _ rows: [[String]]) -> String {
  let lines = [header, header.map { _ in "---" }] + rows
  return lines.map { "| " + $0.joined(separator: " | ") + " |" }.joined(separator: "\n")
}
