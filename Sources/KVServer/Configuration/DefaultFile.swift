/// The documented file of all settings with their defaults.
package enum DefaultFile {
  private static let tables: [String: String] = [
    "node": "The node itself.",
    "listen": "Where the node listens.",
    "client": "The protocol-buffers interface.",
    "http": "The HTTP interface.",
    "peer": "Connections between nodes.",
    "request": "Requests and their queues, per shard.",
    "object": "Limits of objects.",
    "delete": "Tombstones.",
    "cluster": "Failure detection and gossip.",
    "handoff": "Moving data to where it belongs.",
    "storage": "Disk and memory, per shard.",
    "log": "What the node writes about itself.",
  ]

  /// The text of `spinekv.toml`.
  package static var text: String {
    var lines = [
      "# SpineKV: every setting with its default and what it accepts.",
      "#",
      "# Later sources override earlier ones: these defaults, the file given with --config,",
      "# environment variables (SPINEKV_NODE_NAME for node.name, and so on), flags",
      "# (--set node.name=..., or a flag of their own for the common ones). A node does not start",
      "# with a setting that is unknown or does not fit.",
    ]
    var table = ""
    for setting in Setting.all {
      if setting.table != table {
        table = setting.table
        lines += ["", "[\(table)]"]
        if let about = tables[table] { lines.append("# \(about)") }
      }
      lines.append("")
      lines += wrapped(setting.documentation)
      lines += wrapped("Accepts \(setting.kind.expectation).")
      lines.append("\(setting.name) = \(setting.render(ServerConfiguration()))")
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func wrapped(_ text: String) -> [String] {
    var lines: [String] = []
    var line = "#"
    for word in text.split(separator: " ") {
      if line.count + 1 + word.count > 96 {
        lines.append(line)
        line = "#"
      }
      line += " \(word)"
    }
    lines.append(line)
    return lines
  }
}
