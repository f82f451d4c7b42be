import Foundation

/// What the nodes of a cluster that scripts/cluster started have used.
struct NodeFigures {
  /// Seconds of processor time.
  var processorSeconds: [Double] = []
  /// Resident memory in MiB.
  var memory: [Double] = []
  /// Allocations of all nodes since they started; nil when they are not counted.
  var allocations: Int?

  /// The figures now; nil without a directory of a cluster.
  static func read(_ directory: String?) -> NodeFigures? {
    guard let directory else { return nil }
    var result = NodeFigures()
    var node = 1
    while let pid = text("\(directory)/node\(node)/pid")?
      .trimmingCharacters(in: .whitespacesAndNewlines),
      let stat = text("/proc/\(pid)/stat"), let status = text("/proc/\(pid)/status")
    {
      let fields = stat[(stat.lastIndex(of: ")") ?? stat.startIndex)...].split(separator: " ")
      let ticks = [12, 13].compactMap { fields.count > $0 ? Double(fields[$0]) : nil }
      result.processorSeconds.append(ticks.reduce(0, +) / Double(sysconf(Int32(_SC_CLK_TCK))))
      let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
      let kilobytes = line?.split { !$0.isNumber }.first.flatMap { Double($0) }
      result.memory.append((kilobytes ?? 0) / 1024)
      node += 1
    }
    result.allocations = counted(directory)
    return result
  }

  private static func text(_ path: String) -> String? {
    try? String(contentsOfFile: path, encoding: .utf8)
  }

  /// All nodes count in one file.
  private static func counted(_ directory: String) -> Int? {
    guard let data = FileManager.default.contents(atPath: "\(directory)/allocations"),
      data.count == 8
    else { return nil }
    return Int(data.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
  }
}
