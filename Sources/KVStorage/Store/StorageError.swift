public import KVBase

/// What went wrong in the storage engine or beneath it.
///
/// Corruption names the file and offset, and the checksum expected and found where one was compared;
/// it is never confused with "not found" and never repaired silently.
public struct StorageError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The stable number of an error; see Docs/Errors.md.
  public struct Code: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    /// The number, persisted in logs and sent to clients.
    public let rawValue: UInt16

    /// The code with this number.
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// A checksum does not match the bytes it guards.
    public static let checksumMismatch = Code(rawValue: 1001)
    /// Bytes with a good checksum, or without one, do not follow their format.
    public static let malformed = Code(rawValue: 1002)
    /// A file was written by a version of the engine this one cannot read.
    public static let unsupportedVersion = Code(rawValue: 1003)
    /// A file that the store needs is not there, or is shorter than it was.
    public static let missingFile = Code(rawValue: 1004)
    /// A file or directory asked for does not exist.
    public static let notFound = Code(rawValue: 1005)
    /// The operating system reported an input or output error.
    public static let inputOutput = Code(rawValue: 1006)
    /// No space is left on the device.
    public static let diskFull = Code(rawValue: 1007)
    /// Another process or another store object holds the directory.
    public static let locked = Code(rawValue: 1008)
    /// The operating system refused access.
    public static let accessDenied = Code(rawValue: 1009)
    /// A key is longer than the limit.
    public static let keyTooLarge = Code(rawValue: 1010)
    /// A value is longer than the limit.
    public static let valueTooLarge = Code(rawValue: 1011)
    /// A write batch is larger than the limit.
    public static let batchTooLarge = Code(rawValue: 1012)
    /// An earlier write or sync of the journal failed; nothing more is written until a reopen.
    public static let journalPoisoned = Code(rawValue: 1013)
    /// The store has been closed.
    public static let closed = Code(rawValue: 1014)
    /// The options contradict each other or exceed a limit.
    public static let invalidOptions = Code(rawValue: 1015)
    /// Sequence numbers are missing between two parts of the store.
    public static let sequenceGap = Code(rawValue: 1016)
    /// Entries of a range of keys are lost, so that what is asked for cannot be known.
    public static let damagedRange = Code(rawValue: 1017)
    /// Bytes of an encrypted file are not those that were written, or its keys do not unwrap.
    public static let authenticationFailed = Code(rawValue: 1018)
    /// A key that encrypted files need is not at hand, or cannot be read.
    public static let keyUnavailable = Code(rawValue: 1019)
    /// A directory that must be empty or absent holds something.
    public static let directoryNotEmpty = Code(rawValue: 1020)
    /// A file cannot have a second name there: on another file system, or on one without hard links.
    public static let cannotLink = Code(rawValue: 1021)

    /// Every code, its name and whether the same call can succeed later without a reopen.
    package static let all: [(code: Code, name: String, isRetryable: Bool)] = [
      (.checksumMismatch, "checksumMismatch", false), (.malformed, "malformed", false),
      (.unsupportedVersion, "unsupportedVersion", false), (.missingFile, "missingFile", false),
      (.notFound, "notFound", false), (.inputOutput, "inputOutput", false),
      (.diskFull, "diskFull", true), (.locked, "locked", true),
      (.accessDenied, "accessDenied", false), (.keyTooLarge, "keyTooLarge", false),
      (.valueTooLarge, "valueTooLarge", false), (.batchTooLarge, "batchTooLarge", false),
      (.journalPoisoned, "journalPoisoned", false), (.closed, "closed", false),
      (.invalidOptions, "invalidOptions", false), (.sequenceGap, "sequenceGap", false),
      (.damagedRange, "damagedRange", false),
      (.authenticationFailed, "authenticationFailed", false),
      (.keyUnavailable, "keyUnavailable", false),
      (.directoryNotEmpty, "directoryNotEmpty", false), (.cannotLink, "cannotLink", false),
    ]

    /// The error in one line.
    public var description: String {
      let name = Code.all.first { $0.code == self }?.name ?? "unknown"
      return "\(rawValue) \(name)"
    }
  }

  /// Which error it is.
  public var code: Code
  /// What happened, for people.
  public var message: String
  /// The file or directory concerned.
  public var path: String?
  /// The byte offset in the file.
  public var offset: Int?
  /// The checksum recorded.
  public var expected: UInt32?
  /// The checksum of the bytes found.
  public var found: UInt32?
  /// The first key that the damage may concern, where that is known; see ``Store/keyRange(of:)``.
  public var lowerKey: Bytes?
  /// The first key after those.
  public var upperKey: Bytes?

  /// An error with as much context as is known.
  public init(
    _ code: Code, _ message: String, path: String? = nil, offset: Int? = nil,
    expected: UInt32? = nil, found: UInt32? = nil
  ) {
    self.code = code
    self.message = message
    self.path = path
    self.offset = offset
    self.expected = expected
    self.found = found
  }

  /// True for damage to stored bytes, as opposed to a fault of the environment or of the caller.
  public var isCorruption: Bool {
    switch code {
    case .checksumMismatch, .malformed, .missingFile, .sequenceGap, .damagedRange,
      .authenticationFailed:
      true
    default: false
    }
  }

  /// The error in one line.
  public var description: String {
    var text = "\(code): \(message)"
    if let path { text += " in \(path)" }
    if let offset { text += " at offset \(offset)" }
    if let expected { text += ", expected checksum \(hex(expected))" }
    if let found { text += ", found \(hex(found))" }
    return text
  }

  private func hex(_ value: UInt32) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }
}
