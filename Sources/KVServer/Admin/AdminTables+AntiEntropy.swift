import Foundation

extension AdminTables {
  /// `aae-status`.
  package static func entropyStatus(_ status: AdminDocument.Entropy) -> String {
    var text = [title("Hash Trees"), row("Partition", "State", "Objects", "KiB", "Built"), rule]
    text += status.trees.map { tree in
      row(
        "\(tree.partition)", tree.building.map { "building (\($0))" } ?? tree.state,
        "\(tree.objects)", "\(tree.bytes / 1024)", time(tree.built))
    }
    text += ["", title("Exchanges"), exchangeRow("Vnode", "Group", "With", "Last agreed", "Rep.")]
    text.append(rule)
    for exchange in status.exchanges {
      text.append(
        exchangeRow(
          "\(exchange.partition)\(exchange.active ? "*" : "")",
          "\(exchange.first)/\(exchange.nVal)", "\(exchange.peerPartition) \(exchange.peer)",
          time(exchange.agreed), "\(exchange.repaired)"))
      if let outcome = exchange.outcome, outcome != "agreed" {
        text.append("       last: \(outcome), \(time(exchange.ended))")
      }
    }
    text += [
      "", "Key: * = being compared; a group is its first partition and n_val;",
      "Rep. = objects repaired since the node started",
    ]
    if status.damagedPieces > 0 {
      text += ["", "WARNING: damaged data is being fetched from other replicas"]
    }
    return lines(text)
  }

  /// `aae-fold`.
  package static func fold(_ answer: AdminDocument.FoldAnswer) -> String {
    var text = ["objects: \(answer.count)", "bytes: \(answer.bytes)"]
    for (name, classes) in [("digits of size", answer.sizes), ("siblings", answer.siblings)] {
      for (value, number) in classes.sorted(by: { (Int($0.key) ?? 0) < (Int($1.key) ?? 0) }) {
        text.append("\(name) \(value): \(number)")
      }
    }
    text += answer.found.map { "\($0.type)/\($0.bucket)/\($0.key) \($0.value)" }
    if let changed = answer.changed { text.append("done: \(changed)") }
    if answer.truncated { text.append("There are more: ask again from the last key on.") }
    return lines(text)
  }

  private static func row(
    _ partition: String, _ state: String, _ objects: String, _ kibibytes: String, _ built: String
  ) -> String {
    padded(partition, 11) + padded(state, 22) + padded(objects, 14) + padded(kibibytes, 10) + built
  }

  private static func exchangeRow(
    _ vnode: String, _ group: String, _ with: String, _ agreed: String, _ repaired: String
  ) -> String {
    padded(vnode, 7) + padded(group, 9) + padded(with, 32) + padded(agreed, 22) + repaired
  }

  private static func time(_ date: Date?) -> String {
    date.map { $0.formatted(.iso8601) } ?? "--"
  }
}
