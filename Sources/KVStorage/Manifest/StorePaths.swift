/// The names of a store's files.
///
/// ```
/// LOCK                      held while the store is open
/// journal/000007.journal    segments of the journal
/// journal/000009.values     segments that garbage collection wrote
/// ledger/CURRENT            names the manifest
/// ledger/MANIFEST-000005    the log of version edits
/// ledger/000006.sst         SSTables
/// ```
enum StorePaths {
  static let journalSuffix = ".journal"
  static let valuesSuffix = ".values"
  static let tableSuffix = ".sst"
  static let manifestPrefix = "MANIFEST-"
  static let temporarySuffix = ".tmp"

  /// The list of a backup's files.
  static func backupListing(_ root: String) -> String { root + "/BACKUP" }
  /// The mark of a store that comes from a backup.
  static func restored(_ root: String) -> String { root + "/RESTORED" }

  /// The last component of a path.
  static func name(_ path: String) -> String {
    path.split(separator: "/").last.map(String.init) ?? path
  }

  static func lock(_ root: String) -> String { root + "/LOCK" }
  static func journalDirectory(_ root: String) -> String { root + "/journal" }
  static func ledgerDirectory(_ root: String) -> String { root + "/ledger" }
  static func current(_ ledger: String) -> String { ledger + "/CURRENT" }

  static func segment(
    _ directory: String, _ number: FileNumber, _ kind: Segment.Kind
  ) -> String {
    directory + "/" + number.padded + (kind == .journal ? journalSuffix : valuesSuffix)
  }

  static func table(_ ledger: String, _ number: FileNumber) -> String {
    ledger + "/" + number.padded + tableSuffix
  }

  static func manifestName(_ number: FileNumber) -> String { manifestPrefix + number.padded }

  /// The number in the name of a segment, table or manifest; nil for any other name.
  static func number(_ name: String, prefix: String = "", suffix: String = "") -> FileNumber? {
    guard name.hasPrefix(prefix), name.hasSuffix(suffix),
      name.utf8.count > prefix.utf8.count + suffix.utf8.count
    else { return nil }
    let digits = name.dropFirst(prefix.count).dropLast(suffix.count)
    guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    return UInt64(digits).map(FileNumber.init)
  }
}
