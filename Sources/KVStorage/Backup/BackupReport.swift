/// What a backup or restore did.
public struct BackupReport: Hashable, Codable, Sendable {
  /// Files of the copy.
  public var fileCount = 0
  /// Bytes of files that were hard-linked: from the store, or from the previous backup.
  public var linkedByteCount = 0
  /// The part of those that came from the previous backup.
  public var reusedByteCount = 0
  /// Bytes of files that were copied or written.
  public var copiedByteCount = 0
  /// The last write that the copy holds.
  public var lastSequence: UInt64 = 0

  /// Nothing done.
  public init() {}
}
