import KVStorage

/// What `store verify` says of one store.
struct VerifyDocument: Encodable {
  struct Problem: Encodable {
    var severity: StoreProblem.Severity
    var code: UInt16
    var message: String
    var path: String
    var offset: Int?
    var lower: String?
    var upper: String?
  }

  var store: String
  var sound: Bool
  var tables: Int
  var segments: Int
  var bytes: Int
  var entries: Int
  var references: Int
  var problems: [Problem]

  init(_ store: String, _ report: VerificationReport) {
    self.store = store
    sound = report.isSound
    tables = report.tableCount
    segments = report.segmentCount
    bytes = report.byteCount
    entries = report.entryCount
    references = report.referenceCount
    problems = report.problems.map { problem in
      Problem(
        severity: problem.severity, code: problem.code.rawValue, message: problem.message,
        path: problem.path, offset: problem.offset, lower: problem.lower.map(escapedText),
        upper: problem.upper.map(escapedText))
    }
  }

  var damageCount: Int { problems.count { $0.severity == .damage } }

  var text: String {
    let outcome = problems.isEmpty ? "sound" : "\(problems.count) problems"
    let head =
      "\(store): \(tables) tables, \(segments) segments, \(bytes) bytes, \(entries) entries, "
      + "\(references) references: \(outcome)\n"
    return problems.reduce(into: head) { $0 += "  \($1.text)\n" }
  }
}

extension VerifyDocument.Problem {
  fileprivate var text: String {
    var line = "\(severity.rawValue) \(code): \(message) in \(path)"
    if let offset { line += " at offset \(offset)" }
    if let lower, let upper { line += ", keys \"\(lower)\" to \"\(upper)\"" }
    return line
  }
}

/// What `store stats` says of one store.
struct StatsDocument: Encodable {
  var store: String
  var figures: StoreFigures

  var text: String {
    var text = "\(store)\n"
    text += StatsDocument.table(
      ["level", "files", "bytes", "entries", "tombstones"],
      figures.levels.map { [$0.level, $0.files, $0.bytes, $0.entries, $0.tombstones].texts })
    text += StatsDocument.table(
      ["segment", "kind", "bytes", "values", "live values", "live bytes"],
      figures.segments.map {
        ["\($0.number)", $0.kind] + [$0.bytes, $0.values, $0.liveValues, $0.liveBytes].texts
      })
    text += StatsDocument.table(
      ["partition", "keys", "bytes"],
      figures.partitions.map { [Int($0.partition), $0.keys, $0.bytes].texts })
    let ratio = Double(Int(figures.spaceAmplification * 100)) / 100
    text += "\(figures.keys) keys, \(figures.liveBytes) bytes of keys and values, "
    text += "\(figures.fileBytes) bytes of files (\(ratio) times as much)\n"
    if figures.replaySegments > 0 {
      text += "\(figures.replaySegments) segments of \(figures.replayBytes) bytes to replay\n"
    }
    if figures.unreadableBlocks > 0 {
      text += "INCOMPLETE: \(figures.unreadableBlocks) blocks cannot be read\n"
    }
    return text
  }

  /// Columns aligned to the right; nothing without rows.
  private static func table(_ titles: [String], _ rows: [[String]]) -> String {
    guard !rows.isEmpty else { return "" }
    let widths = titles.indices.map { column in
      ([titles] + rows).map { $0[column].count }.max() ?? 0
    }
    return ([titles] + rows).reduce(into: "") { text, row in
      let cells = row.enumerated().map { column, cell in
        String(repeating: " ", count: widths[column] - cell.count) + cell
      }
      text += "  \(cells.joined(separator: "  "))\n"
    }
  }
}

extension [Int] {
  fileprivate var texts: [String] { map(String.init) }
}

/// What `store compact` did to one store.
struct CompactDocument: Encodable {
  var store: String
  var bytesBefore: Int
  var bytesAfter: Int

  var text: String { "\(store): \(bytesBefore) bytes before, \(bytesAfter) after\n" }
}

/// What `store backup` or `store restore` made of one store.
struct CopyDocument: Encodable {
  var store: String
  var target: String
  var report: BackupReport

  var text: String {
    "\(store) to \(target): \(report.fileCount) files through #\(report.lastSequence), "
      + "\(report.linkedByteCount) bytes linked (\(report.reusedByteCount) of them from the earlier"
      + " backup), \(report.copiedByteCount) bytes copied\n"
  }
}
