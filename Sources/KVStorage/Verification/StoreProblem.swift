public import KVBase

/// One thing that is wrong with a store's files.
public struct StoreProblem: Hashable, Sendable {
  /// How bad it is.
  public enum Severity: String, Hashable, Codable, Sendable {
    /// Bytes that were durable are damaged, missing, or contradict each other.
    case damage
    /// The end of a log is cut, as a crash leaves it; what is missing was never reported durable.
    case torn
  }

  /// How bad it is.
  public var severity: Severity
  /// What kind of problem.
  public var code: StorageError.Code
  /// What is wrong, for people.
  public var message: String
  /// The file.
  public var path: String
  /// The byte offset in the file; nil when it concerns all of it.
  public var offset: Int?
  /// The first key that may be affected; nil when there is no telling.
  public var lower: Bytes?
  /// The last key that may be affected.
  public var upper: Bytes?
}

/// What a verification looked at and found.
public struct VerificationReport: Hashable, Sendable {
  /// Everything that is wrong, in the order in which it was found.
  public internal(set) var problems: [StoreProblem] = []
  /// SSTables read.
  public internal(set) var tableCount = 0
  /// Segments of the journal read.
  public internal(set) var segmentCount = 0
  /// Bytes of tables and segments read.
  public internal(set) var byteCount = 0
  /// Entries of tables read.
  public internal(set) var entryCount = 0
  /// Values in segments that were compared with the entries that refer to them.
  public internal(set) var referenceCount = 0

  /// True when nothing durable is damaged.
  public var isSound: Bool { !problems.contains { $0.severity == .damage } }
}

/// Collects what a verification finds.
final class VerificationLog {
  var report = VerificationReport()
  /// Closed ranges of keys whose newest entries may not have been seen.
  private var unread: [(lower: Bytes, upper: Bytes)] = []
  /// Any key's newest entry may not have been seen.
  private var isAllUnread = false

  func add(
    _ error: StorageError, _ severity: StoreProblem.Severity = .damage, path: String? = nil,
    lower: Bytes? = nil, upper: Bytes? = nil
  ) {
    var message = error.message
    if let expected = error.expected, let found = error.found {
      message += ": checksum \(expected) expected, \(found) found"
    }
    report.problems.append(
      StoreProblem(
        severity: severity, code: error.code, message: message,
        path: error.path ?? path ?? "", offset: error.offset, lower: lower, upper: upper))
  }

  /// Entries of the range could not be read.
  func noteUnread(_ lower: Bytes, _ upper: Bytes) { unread.append((lower, upper)) }

  /// Entries of any key could not be read.
  func noteAllUnread() { isAllUnread = true }

  /// True when a newer entry of the key than any seen may be among the damage.
  func mayHideEntries(of key: Bytes) -> Bool {
    isAllUnread
      || unread.contains { range in
        !key.lexicographicallyPrecedes(range.lower) && !range.upper.lexicographicallyPrecedes(key)
      }
  }
}
