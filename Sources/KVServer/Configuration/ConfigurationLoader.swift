import KVCluster

/// What is wrong with one setting: where it stands, and what was expected.
package struct ConfigurationProblem: Hashable, Sendable, CustomStringConvertible {
  /// `spinekv.toml:12`, `environment variable SPINEKV_NODE_NAME`, `--set node.name`.
  package var place: String
  /// What is wrong, with what was expected.
  package var message: String

  package var description: String { "\(place): \(message)" }
}

/// Gathers a configuration from its sources: defaults, file, environment, flags.
///
/// Later ones override earlier ones. All problems are collected, so that one run shows them all.
package struct ConfigurationLoader {
  /// The configuration so far.
  package private(set) var configuration = ServerConfiguration()
  /// What was wrong so far.
  package private(set) var problems: [ConfigurationProblem] = []

  private static let byKey = Dictionary(
    uniqueKeysWithValues: Setting.all.map { ($0.key, $0) })

  /// Starts from the defaults.
  package init() {}

  /// Applies a file's contents; `name` is what messages call the file.
  package mutating func apply(file bytes: [UInt8], name: String) {
    let entries: [TOMLEntry]
    do {
      entries = try TOMLReader.parse(bytes)
    } catch {
      report("\(name):\(error.line)", error.message)
      return
    }
    for entry in entries {
      let place = "\(name):\(entry.line)"
      guard let setting = Self.byKey[entry.key] else {
        reportUnknown(entry.key, at: place)
        continue
      }
      guard let value = setting.kind.accept(entry.value) else {
        report(
          place,
          "\(entry.key) is \(Self.shown(entry.value)): expected \(setting.kind.expectation)")
        continue
      }
      setting.store(&configuration, value)
    }
  }

  /// Applies the variables `SPINEKV_TABLE_KEY`.
  ///
  /// Other names with that prefix are left alone unless they begin with a table's name, when they
  /// are surely meant as settings.
  package mutating func apply(environment: [String: String]) {
    let settings = Dictionary(uniqueKeysWithValues: Setting.all.map { ($0.environmentName, $0) })
    let tables = Set(Setting.all.map { "SPINEKV_\($0.table.uppercased())_" })
    for (name, text) in environment.sorted(by: { $0.key < $1.key }) {
      let place = "environment variable \(name)"
      if let setting = settings[name] {
        apply(text, to: setting, at: place)
      } else if tables.contains(where: name.hasPrefix) {
        let nearest = Self.nearest(to: name, in: settings.keys.sorted())
        report(place, "unknown setting" + nearest.map { "; did you mean \($0)?" }.orEmpty)
      }
    }
  }

  /// Applies `key=value` as given to `--set`.
  package mutating func apply(assignment: String) {
    guard let equals = assignment.firstIndex(of: "=") else {
      report("--set \(assignment)", "expected key=value")
      return
    }
    let key = assignment[..<equals].trimmed
    apply(assignment[assignment.index(after: equals)...].trimmed, to: key, at: "--set \(key)")
  }

  /// Applies the text of a flag that stands for `key`.
  package mutating func apply(_ text: String, to key: String, at place: String) {
    guard let setting = Self.byKey[key] else {
      reportUnknown(key, at: place)
      return
    }
    apply(text, to: setting, at: place)
  }

  /// Looks at settings that must fit each other; the last step.
  package mutating func checkTogether() {
    let chosen = configuration
    if chosen.peerReconnectMinimum > chosen.peerReconnectMaximum {
      report("peer.reconnect_min", "is longer than peer.reconnect_max")
    }
    if chosen.objectByteLimit > chosen.peerFrameByteLimit - (1 << 10) {
      report(
        "object.size_limit",
        "is \(chosen.objectByteLimit) bytes: expected at least 1 KiB less than peer.frame_limit,"
          + " which is \(chosen.peerFrameByteLimit) bytes, since objects travel in one message")
    }
    if chosen.objectByteLimit > chosen.mailboxByteLimit {
      report("request.mailbox_bytes", "is less than object.size_limit")
    }
    if !chosen.encryptionKeyFile.isEmpty, !chosen.encryptionKeyCommand.isEmpty {
      report("storage.encryption_key_command", "stands beside storage.encryption_key_file")
    }
    var ports: [UInt16: String] = [:]
    for (key, endpoint) in [
      ("listen.client", chosen.clientEndpoint), ("listen.http", chosen.httpEndpoint),
      ("listen.peer", chosen.peerEndpoint),
    ] where endpoint.port != 0 {
      if let other = ports.updateValue(key, forKey: endpoint.port) {
        report(key, "has the same port as \(other)")
      }
    }
  }

  /// The configuration, when nothing was wrong.
  package func result() throws(ServerError) -> ServerConfiguration {
    guard problems.isEmpty else {
      throw ServerError(
        .configuration, problems.map(\.description).joined(separator: "\n"))
    }
    return configuration
  }

  // MARK: Problems

  private mutating func apply(_ text: String, to setting: Setting, at place: String) {
    guard let value = setting.kind.accept(unquoted: text) else {
      report(place, "\(setting.key) is \"\(text)\": expected \(setting.kind.expectation)")
      return
    }
    setting.store(&configuration, value)
  }

  private mutating func report(_ place: String, _ message: String) {
    problems.append(ConfigurationProblem(place: place, message: message))
  }

  private mutating func reportUnknown(_ key: String, at place: String) {
    let nearest = Self.nearest(to: key, in: Setting.all.map(\.key))
    report(place, "unknown setting \(key)" + nearest.map { "; did you mean \($0)?" }.orEmpty)
  }

  private static func shown(_ value: TOMLValue) -> String {
    switch value {
    case .string(let text): "\"\(text)\""
    case .integer(let number): "\(number)"
    case .boolean(let flag): "\(flag)"
    }
  }

  /// The candidate that a typing mistake most likely meant, if one is near.
  private static func nearest(to word: String, in candidates: [String]) -> String? {
    guard word.utf8.count <= 64 else { return nil }
    let ranked = candidates.map { (distance(Array(word.utf8), Array($0.utf8)), $0) }
    guard let best = ranked.min(by: { $0 < $1 }), best.0 <= max(2, word.utf8.count / 4) else {
      return nil
    }
    return best.1
  }

  /// Levenshtein's distance: insertions, deletions and replacements from `a` to `b`.
  private static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
    var row = Array(0...b.count)
    for (i, x) in a.enumerated() {
      var diagonal = row[0]
      row[0] = i + 1
      for (j, y) in b.enumerated() {
        let above = row[j + 1]
        row[j + 1] = min(above + 1, row[j] + 1, diagonal + (x == y ? 0 : 1))
        diagonal = above
      }
    }
    return row[b.count]
  }
}

extension Optional<String> {
  fileprivate var orEmpty: String { self ?? "" }
}

extension Substring {
  fileprivate var trimmed: String {
    String(drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
  }
}
