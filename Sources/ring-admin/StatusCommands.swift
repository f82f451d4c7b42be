import ArgumentParser
import Foundation
import KVServer

/// The command `ring-admin ring-status`.
struct RingStatus: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ring-status",
    abstract: "The claimant, partitions on the move, and unreachable members.",
    discussion: """
      EXAMPLE
        ring-admin ring-status --node 127.0.0.1:8198
      """)
  @OptionGroup var options: NodeOptions

  func run() throws { try options.show(try options.client.status(), AdminTables.ringStatus) }
}

/// The command `ring-admin member-status`.
struct MemberStatusCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "member-status",
    abstract: "Members with their status and share of the ring, now and after all transfers.",
    discussion: """
      EXAMPLE
        ring-admin member-status
      """)
  @OptionGroup var options: NodeOptions

  func run() throws { try options.show(try options.client.status(), AdminTables.memberStatus) }
}

/// The command `ring-admin transfers`.
struct Transfers: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Partitions that wait to be handed off or are being sent.",
    discussion: """
      EXAMPLE
        ring-admin transfers --format json
      """)
  @OptionGroup var options: NodeOptions

  func run() throws {
    let status = try options.client.status()
    switch options.format {
    case .text: try options.show(status, AdminTables.transfers)
    case .json: try options.show(status.transfers) { _ in "" }
    }
  }
}

/// The command `ring-admin aae-status`.
struct AAEStatus: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "aae-status",
    abstract: "The node's hash trees, and when each pair of replicas last agreed.",
    discussion: """
      EXAMPLES
        ring-admin aae-status
        ring-admin aae-status --format json
      """)
  @OptionGroup var options: NodeOptions

  func run() throws {
    try options.show(
      try options.client.get("/admin/aae-status", as: AdminDocument.Entropy.self),
      AdminTables.entropyStatus)
  }
}

/// The command `ring-admin transfer-limit`.
struct TransferLimit: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "transfer-limit",
    abstract: "Show or change how much the node asked hands off, until it stops.",
    discussion: """
      EXAMPLES
        ring-admin transfer-limit
        ring-admin transfer-limit 4 --rate 50000000
      """)
  @Argument(help: "Partitions that each shard sends at once, 1 to 64.") var concurrency: Int?
  @Option(help: "Bytes a second that each shard sends; 0 for no limit.") var rate: Int?
  @OptionGroup var options: NodeOptions

  func run() throws {
    var target = AdminDocument.Target()
    target.concurrency = concurrency
    target.bytesPerSecond = rate
    try options.show(try options.client.command("/admin/transfer-limit", target))
  }
}

/// The command `ring-admin down`.
struct Down: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Mark an unreachable member as down, so that the ring can change without it.",
    discussion: """
      EXAMPLE
        ring-admin down spinekv3@127.0.0.1
      """)
  @Argument(help: ArgumentHelp("The member.", valueName: "name"))
  var name: String
  @OptionGroup var options: NodeOptions

  func run() throws {
    try options.show(
      try options.client.command("/admin/down", AdminDocument.Target(node: name)))
  }
}

/// The command `ring-admin stat`.
struct Stat: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Statistics of one node, all or those whose names fit a pattern.",
    discussion: """
      EXAMPLES
        ring-admin stat
        ring-admin stat 'node_*'
        ring-admin stat hints_pending --format json
      """)
  @Argument(help: ArgumentHelp("A name; * stands for any text.", valueName: "pattern"))
  var pattern = "*"
  @OptionGroup var options: NodeOptions

  func run() throws {
    let parsed = try? JSONSerialization.jsonObject(with: try options.client.data("/stats"))
    guard let all = parsed as? [String: Any] else {
      throw CommandFailure.refused("The node's statistics are not a JSON object.")
    }
    let chosen = all.filter { NamePattern(pattern).matches($0.key) }
    guard !chosen.isEmpty else {
      throw CommandFailure.refused("No statistic is called '\(pattern)'.")
    }
    switch options.format {
    case .json:
      let data = try JSONSerialization.data(
        withJSONObject: chosen, options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
      print(String(decoding: data, as: UTF8.self))
    case .text:
      let rows = chosen.sorted { $0.key < $1.key }.map { ($0.key, Self.text($0.value)) }
      print(AdminTables.stats(rows), terminator: "")
    }
  }

  private static func text(_ value: Any) -> String {
    if let list = value as? [Any] {
      return "[\(list.map { "'\($0)'" }.joined(separator: ","))]"
    }
    return "\(value)"
  }
}

/// The command `ring-admin ping`.
struct Ping: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Ask whether the node answers.",
    discussion: """
      EXAMPLE
        ring-admin ping --node 127.0.0.1:8198
      """)
  @OptionGroup var options: NodeOptions

  func run() throws {
    guard try options.client.text("/ping") == "OK" else {
      throw CommandFailure.refused("The node answers, but not as a SpineKV node does.")
    }
    try options.show(AdminDocument.Outcome(ok: true, message: "pong"))
  }
}
