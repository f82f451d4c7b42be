import Foundation
import KVCluster

/// The page at `/`: the ring, the members, what moves and how the node does, as one HTML document
/// without scripts that reloads itself.
struct StatusPage {
  var statistics: NodeStatistics
  var status: ClusterStatus?

  /// Colours that differ for people with any colour vision, repeated for larger clusters.
  private static let colours = [
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#997700", "#44bb99",
    "#ee8866", "#bbcc33", "#99ddff", "#8899aa",
  ]

  /// The whole document.
  var html: String {
    """
    <!doctype html>
    <html lang="en"><head><meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta http-equiv="refresh" content="2"><title>SpineKV \(escaped(statistics.node))</title>
    <style>\(Self.style)</style></head><body>
    <header><h1>SpineKV</h1><p>\(escaped(statistics.node)) · up \(uptime) · \
    version \(ServerVersion.text)</p></header>
    <main>\(status.map(clusterSections) ?? "<p class=bad>The node does not answer yet.</p>")
    <section><h2>This node</h2>\(figures)</section></main>
    <footer><a href="/stats">stats</a> · <a href="/metrics">metrics</a> · \
    <a href="/admin/status">status as JSON</a></footer></body></html>

    """
  }

  private static let style = """
    body{font:15px/1.45 system-ui,sans-serif;margin:0;color:#1b2733;background:#f4f6f8}
    header{background:#12395f;color:#fff;padding:14px 24px}h1{margin:0;font-size:22px}
    header p{margin:2px 0 0;opacity:.85}main{max-width:1080px;margin:0 auto;padding:8px 24px}
    section{background:#fff;border:1px solid #dde3e9;border-radius:6px;padding:8px 18px 16px;
    margin:14px 0}h2{font-size:16px;margin:8px 0 10px}table{border-collapse:collapse;width:100%}
    th,td{text-align:left;padding:5px 10px 5px 0;border-bottom:1px solid #edf0f3}
    th{font-weight:600;color:#55636f;font-size:13px}td.n,th.n{text-align:right}
    .ring{display:flex;flex-wrap:wrap;gap:3px}.ring i{width:30px;height:26px;border-radius:3px;
    color:#fff;font:11px/26px system-ui;text-align:center;font-style:normal}
    .ring i.moving{outline:2px dashed #1b2733;outline-offset:-2px}.ring i.lost{opacity:.35}
    .dot{display:inline-block;width:11px;height:11px;border-radius:50%;margin-right:7px}
    .ok{color:#1c7a3a}.bad{color:#b3261e;font-weight:600}.tiles{display:flex;flex-wrap:wrap;gap:10px}
    .tiles div{border:1px solid #dde3e9;border-radius:5px;padding:7px 12px;min-width:118px}
    .tiles b{display:block;font-size:19px}.tiles span{color:#55636f;font-size:12.5px}
    footer{max-width:1080px;margin:0 auto;padding:4px 24px 24px}
    """

  // MARK: The cluster

  private func clusterSections(_ status: ClusterStatus) -> String {
    """
    <section><h2>Ring</h2><p>\(ringSummary(status))</p>
    <div class=ring>\(partitions(status))</div></section>
    <section><h2>Members</h2>\(members(status))</section>
    <section><h2>Transfers</h2>\(transfers(status))</section>
    """
  }

  private func ringSummary(_ status: ClusterStatus) -> String {
    let ready =
      status.isRingReady
      ? "<span class=ok>all reachable members agree</span>"
      : "<span class=bad>members do not agree yet</span>"
    let staged =
      status.staged.isEmpty ? "" : " · \(status.staged.count) staged changes, not committed"
    return "\(status.owners.count) partitions · \(ready) · claimant "
      + "\(escaped(status.claimant)) · version \(status.version)\(staged)"
  }

  private func colour(_ name: String, _ status: ClusterStatus) -> String {
    let position = status.members.firstIndex { $0.name == name } ?? 0
    return Self.colours[position % Self.colours.count]
  }

  private func partitions(_ status: ClusterStatus) -> String {
    let moving = Dictionary(
      status.transfers.filter { $0.kind == "ownership" }.map { ($0.partition, $0.to) }
    ) { first, _ in first }
    let unreachable = Set(status.members.filter { !$0.isReachable }.map(\.name))
    return status.owners.enumerated().map { index, owner in
      var classes: [String] = []
      var title = "partition \(index): \(owner)"
      if let next = moving[index] {
        classes.append("moving")
        title += ", moving to \(next)"
      }
      if unreachable.contains(owner) {
        classes.append("lost")
        title += " (unreachable)"
      }
      return "<i class=\"\(classes.joined(separator: " "))\" "
        + "style=\"background:\(colour(owner, status))\" title=\"\(escaped(title))\">\(index)</i>"
    }.joined(separator: "\n")
  }

  private func members(_ status: ClusterStatus) -> String {
    let rows = status.members.map { member in
      let reachable =
        member.isReachable ? "<span class=ok>up</span>" : "<span class=bad>unreachable</span>"
      let role = member.name == status.claimant ? " (claimant)" : ""
      return """
        <tr><td><span class=dot style="background:\(colour(member.name, status))"></span>\
        \(escaped(member.name))\(role)</td><td>\(member.status.text)</td><td>\(reachable)</td>\
        <td class=n>\(member.partitions)</td><td class=n>\(member.pendingPartitions)</td>\
        <td>\(escaped(member.clientEndpoint.description))</td>\
        <td>\(escaped(member.endpoint.description))</td></tr>
        """
    }
    return """
      <table><tr><th>Member</th><th>Status</th><th>Reachable</th><th class=n>Partitions</th>\
      <th class=n>After transfers</th><th>Clients</th><th>Peers</th></tr>
      \(rows.joined(separator: "\n"))</table>
      """
  }

  private func transfers(_ status: ClusterStatus) -> String {
    guard !status.transfers.isEmpty else { return "<p>None.</p>" }
    let shown = status.transfers.prefix(64).map { row in
      """
      <tr><td>\(escaped(row.kind))</td><td class=n>\(row.partition)</td>\
      <td>\(escaped(row.from))</td><td>\(escaped(row.to))</td>\
      <td>\(row.isActive ? "being sent" : "waiting")</td><td class=n>\(row.objects)</td></tr>
      """
    }
    let more = status.transfers.count > 64 ? "<p>and \(status.transfers.count - 64) more</p>" : ""
    return """
      <table><tr><th>Kind</th><th class=n>Partition</th><th>From</th><th>To</th><th>State</th>\
      <th class=n>Objects</th></tr>\(shown.joined(separator: "\n"))</table>\(more)
      """
  }

  // MARK: The node

  private var figures: String {
    let shown: [(String, String)] = [
      ("node_gets", "GETs a minute"), ("node_get_fsm_time_median", "GET median, µs"),
      ("node_get_fsm_time_99", "GET 99 %, µs"), ("node_puts", "PUTs a minute"),
      ("node_put_fsm_time_median", "PUT median, µs"), ("node_put_fsm_time_99", "PUT 99 %, µs"),
      ("hints_pending", "hints pending"), ("handoffs_active", "handoffs active"),
      ("read_repairs_total", "read repairs"), ("pbc_active", "client connections"),
      ("requests_active", "requests under way"), ("overloads_total", "overload answers"),
      ("memory_total", "memory, MiB"), ("shards", "shards"),
    ]
    let values = Dictionary(statistics.rows.map { ($0.name, $0.value) }) { first, _ in first }
    let tiles = shown.compactMap { name, label -> String? in
      guard case .number(let number)? = values[name] else { return nil }
      let value = name == "memory_total" ? number >> 20 : number
      return "<div><b>\(value)</b><span>\(label)</span></div>"
    }
    return "<div class=tiles>\(tiles.joined())</div>"
  }

  private var uptime: String {
    let seconds = statistics.uptime.components.seconds
    return seconds < 60
      ? "\(seconds) s"
      : seconds < 3600
        ? "\(seconds / 60) min" : "\(seconds / 3600) h \(seconds % 3600 / 60) min"
  }

  private func escaped(_ text: String) -> String {
    text.reduce(into: "") { result, character in
      switch character {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      default: result.append(character)
      }
    }
  }
}
