import Foundation

/// The texts that `ring-admin` prints: titles, tables and notes of 79 columns, as operators of Riak
/// know them.
///
/// **Source**: reference sections 7.3 and 7.4.
package enum AdminTables {
  private static let width = 79
  static let rule = String(repeating: "-", count: width)

  /// `member-status`.
  package static func memberStatus(_ status: AdminDocument.Status) -> String {
    lines([title("Membership")] + memberTable(status.members, ringSize: status.ringSize))
  }

  /// `ring-status`.
  package static func ringStatus(_ status: AdminDocument.Status) -> String {
    let claimant = status.members.first { $0.name == status.claimant }
    var text = [
      title("Claimant"), "Claimant:  '\(status.claimant)'",
      "Status:     \(claimant?.reachable == false ? "down" : "up")",
      "Ring Ready: \(status.ringReady)", "", title("Ownership Handoff"),
    ]
    let pending = status.transfers.filter { $0.kind == "ownership" }
    if pending.isEmpty { text.append("No pending changes.") }
    for pair in Set(pending.map { [$0.from, $0.to] }).sorted(by: {
      $0.lexicographicallyPrecedes($1)
    }) {
      text += ["Owner:      \(pair[0])", "Next Owner: \(pair[1])", ""]
      for transfer in pending where transfer.from == pair[0] && transfer.to == pair[1] {
        text.append(
          "Partition: \(transfer.partition)\(transfer.active ? "  (being sent)" : "  (waiting)")")
      }
      text.append(rule)
    }
    text += ["", title("Unreachable Nodes")]
    let unreachable = status.members.filter { !$0.reachable }.map { "'\($0.name)'" }
    if unreachable.isEmpty {
      text.append("All nodes are up and reachable")
    } else {
      text += [
        "The following nodes are unreachable: [\(unreachable.joined(separator: ","))]", "",
        "WARNING: The cluster state will not converge until all nodes",
        "are up or marked as down (see: ring-admin down).",
      ]
    }
    return lines(text)
  }

  /// `cluster status`.
  package static func clusterStatus(_ status: AdminDocument.Status) -> String {
    let rows = status.members.map { member in
      [
        (member.name == status.claimant ? " (C) " : "     ") + member.name, member.status,
        availability(member), percent(member.ring),
        member.pendingPartitions == member.partitions ? "  --  " : percent(member.pending),
      ]
    }
    return lines(
      ["---- Cluster Status ----", "Ring ready: \(status.ringReady)", ""]
        + bordered(["node", "status", "avail", "ring", "pending"], rows)
        + ["", "Key: (C) = Claimant; availability marked with '!' is unexpected"])
  }

  /// `cluster plan`.
  package static func plan(_ plan: AdminDocument.Plan) -> String {
    guard !plan.changes.isEmpty else { return "There are no staged changes\n" }
    var text = [title("Staged Changes"), "Action         Details(s)", rule]
    text += plan.changes.map { padded($0.action, 15) + $0.details }
    text += [rule, "", "NOTE: Applying these changes will result in 1 cluster transition", ""]
    let band = String(repeating: "#", count: width)
    text += [band, centred("After cluster transition 1/1", " "), band, ""]
    text += memberTable(
      plan.membersAfter, ringSize: plan.membersAfter.reduce(0) { $0 + $1.partitions })
    if !plan.warnings.isEmpty { text += [""] + plan.warnings.map(warning) }
    if let notes = plan.notes, !notes.isEmpty { text += [""] + notes }
    text += moves(
      plan.moves.filter(\.transfersData), "Transfers resulting from cluster changes:",
      "transfers from")
    text += moves(
      plan.moves.filter { !$0.transfersData }, "Partitions reassigned from cluster changes:",
      "reassigned from")
    return lines(text)
  }

  /// `transfers`.
  package static func transfers(_ status: AdminDocument.Status) -> String {
    var text: [String] = []
    let down = status.members.filter { !$0.reachable }.map { "'\($0.name)'" }
    if !down.isEmpty { text.append("Nodes [\(down.joined(separator: ","))] are currently down.") }
    let waiting = status.transfers.filter { !$0.active }
    for from in Set(waiting.map(\.from)).sorted() {
      let count = waiting.filter { $0.from == from }.count
      text.append("'\(from)' waiting to handoff \(count) partition\(count == 1 ? "" : "s")")
    }
    let active = status.transfers.filter(\.active)
    if active.isEmpty { return lines(text + ["No transfers active"]) }
    text += ["", "Active Transfers:"]
    let types = ["ownership": "ownership_transfer", "seat": "seat_transfer"]
    for transfer in active {
      text += [
        "",
        "transfer type: \(types[transfer.kind] ?? "hinted_handoff")",
        "partition: \(transfer.partition)", "from: \(transfer.from)", "to: \(transfer.to)",
        "objects transferred: \(transfer.objects) of about \(transfer.totalObjects ?? 0)",
        "bytes transferred: \(transfer.bytes)", "bytes per second: \(transfer.bytesPerSecond ?? 0)",
        "time left: \(transfer.secondsLeft.map { "about \($0) s" } ?? "unknown")",
      ]
    }
    return lines(text)
  }

  /// `stat`: names and values in two columns.
  package static func stats(_ rows: [(name: String, value: String)]) -> String {
    lines(rows.map { "\($0.name) : \($0.value)" })
  }

  // MARK: Parts

  static func lines(_ text: [String]) -> String {
    text.joined(separator: "\n") + "\n"
  }

  static func title(_ text: String) -> String { centred(" \(text) ", "=") }

  private static func centred(_ text: String, _ fill: Character) -> String {
    let space = max(0, width - text.count)
    let left = String(repeating: fill, count: space / 2)
    return fill == " "
      ? left + text : left + text + String(repeating: fill, count: space - space / 2)
  }

  static func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(1, width - text.count))
  }

  private static func percent(_ value: Double) -> String {
    let text = String(format: "%.1f%%", value)
    return String(repeating: " ", count: max(0, 6 - text.count)) + text
  }

  private static func memberTable(
    _ members: [AdminDocument.MemberDocument], ringSize: Int
  ) -> [String] {
    var text = ["Status     Ring    Pending    Node", rule]
    for member in members {
      let pending =
        member.pendingPartitions == member.partitions ? "  --  " : percent(member.pending)
      text.append(
        padded(member.status, 9) + " " + percent(member.ring) + "    " + pending + "    "
          + member.name + locationNote(member))
    }
    text.append(rule)
    let counts = [
      ("Valid", "valid"), ("Leaving", "leaving"), ("Exiting", "exiting"),
      ("Joining", "joining"), ("Down", "down"),
    ]
    text.append(
      counts.map { name, status in "\(name):\(members.count { $0.status == status })" }
        .joined(separator: " / "))
    return text
  }

  private static func locationNote(_ member: AdminDocument.MemberDocument) -> String {
    guard let location = member.location, !location.isEmpty else { return "" }
    return "  (\(location))"
  }

  private static func availability(_ member: AdminDocument.MemberDocument) -> String {
    switch (member.reachable, member.status == "down") {
    case (true, false): "  up   "
    case (false, true): " down  "
    case (false, false): " down! "
    case (true, true): "  up!  "
    }
  }

  private static func bordered(_ header: [String], _ rows: [[String]]) -> [String] {
    let widths = header.indices.map { column in
      ([header] + rows).map { $0[column].count }.max() ?? 0
    }
    let border = "+" + widths.map { String(repeating: "-", count: $0 + 2) + "+" }.joined()
    func line(_ cells: [String]) -> String {
      "|"
        + zip(cells, widths).map { cell, width in
          " " + cell + String(repeating: " ", count: width - cell.count) + " |"
        }.joined()
    }
    return [border, line(header), border] + rows.map(line) + [border]
  }

  private static func warning(_ text: String) -> String {
    text.hasPrefix("WARNING") ? text : "WARNING: \(text)"
  }

  private static func moves(
    _ moves: [AdminDocument.Move], _ heading: String, _ words: String
  ) -> [String] {
    guard !moves.isEmpty else { return [] }
    return ["", "\(heading) \(moves.reduce(0) { $0 + $1.count })"]
      + moves.map { "  \($0.count) \(words) '\($0.from)' to '\($0.to)'" }
  }
}
