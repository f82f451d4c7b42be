import KVBase

/// Files whose contents are encrypted and authenticated on another file system; names stay clear.
///
/// Every file has keys of its own, which its header holds wrapped by a node key, so files can be
/// linked, renamed and copied elsewhere, and need only the node key. The guarantees of the other file
/// system hold: what was synced survives, what was not may be lost, and what is read is what was
/// written. Damage is reported as `authenticationFailed`; bytes that were never durable and are not
/// authentic after a crash read as zeros.
///
/// It does not hide names, sizes and times, and does not notice that a file or page was put back to
/// what it was before. While a file is being written it must be read through the same value, or a
/// copy of it.
///
/// **Concurrency**: every method may be called from any thread.
public struct EncryptedFileSystem: FileSystem {
  let core: EncryptionCore

  /// Encrypts the files of `base` with the ring's current key.
  public init(
    _ base: any UpdatableFileSystem, keys: KeyRing,
    random: @escaping RandomByteSource = systemRandomBytes
  ) {
    core = EncryptionCore(base: base, ring: keys, random: random)
  }

  private var base: any UpdatableFileSystem { core.base }

  /// Creates a directory and its missing parents.
  public func createDirectory(_ path: String) throws(StorageError) {
    try base.createDirectory(path)
  }

  /// Opens a file for reading; `keyUnavailable` when the ring lacks its key.
  public func open(_ path: String) throws(StorageError) -> any ReadableFile {
    try core.open(path)
  }

  /// Creates an empty file for writing; its keys are durable when this returns.
  public func create(_ path: String) throws(StorageError) -> any WritableFile {
    try core.create(path)
  }

  /// Removes a file.
  public func remove(_ path: String) throws(StorageError) { try base.remove(path) }

  /// Renames a file within its directory.
  public func rename(_ path: String, to newPath: String) throws(StorageError) {
    try base.rename(path, to: newPath)
  }

  /// Gives a file one more name.
  public func link(_ path: String, to newPath: String) throws(StorageError) {
    try base.link(path, to: newPath)
  }

  /// The names in a directory, in ascending order.
  public func list(_ directory: String) throws(StorageError) -> [String] {
    try base.list(directory)
  }

  /// True when the file exists.
  public func exists(_ path: String) throws(StorageError) -> Bool { try base.exists(path) }

  /// The size of a file's plaintext in bytes.
  public func size(_ path: String) throws(StorageError) -> Int {
    EncryptedFormat.plainByteCount(try base.size(path))
  }

  /// Makes the names in a directory durable.
  public func syncDirectory(_ path: String) throws(StorageError) { try base.syncDirectory(path) }

  /// Takes an exclusive lock; the lock's file is not encrypted.
  public func lock(_ path: String) throws(StorageError) -> any FileLock { try base.lock(path) }

  /// The wall clock of the other file system.
  public var secondsSinceEpoch: UInt64 { base.secondsSinceEpoch }

  /// The keys at hand.
  public var keys: KeyRing { core.keys }
}

/// What the copies of an ``EncryptedFileSystem`` share.
///
/// **Concurrency**: any thread. `headers` is held while a header is created or rewritten, so that a
/// rotation never meets a file that is just being replaced; `monitor` is for moments.
final class EncryptionCore: @unchecked Sendable {
  let base: any UpdatableFileSystem
  let headers = Monitor()
  private let random: RandomByteSource
  private let buffers = PageBuffers()
  private let monitor = Monitor()
  // Guarded by `monitor`.
  private var ring: KeyRing
  private var live: [FileID: WeakLiveFile] = [:]

  private struct WeakLiveFile {
    weak var file: LiveFile?
  }

  init(base: any UpdatableFileSystem, ring: KeyRing, random: @escaping RandomByteSource) {
    self.base = base
    self.ring = ring
    self.random = random
  }

  var keys: KeyRing { monitor.withLock { ring } }

  func changeKeys(_ change: (inout KeyRing) -> Void) { monitor.withLock { change(&ring) } }

  func create(_ path: String) throws(StorageError) -> EncryptedWritableFile {
    headers.lock()
    defer { headers.unlock() }
    let keys = FileKeys(try random(FileKeys.byteCount))
    let fileID = FileID(bytes: try random(FileID.byteCount))
    let nodeKey = self.keys.current
    let slot = KeySlot(
      sequence: 1, keyID: nodeKey.id, fileID: fileID, wrappedKeys: keys.wrapped(by: nodeKey))
    let file = try base.create(path)
    try EncryptedHeader.encode(slot).withRaw { (raw) throws(StorageError) in
      try file.write(raw, at: 0)
    }
    // Before any contents: so a header that is not whole has none behind it, or is damaged.
    try file.sync()
    let pages = EncryptedPages(
      try base.open(path), path: path, ciphers: CipherPool(keys), buffers: buffers)
    let liveFile = LiveFile(fileID: fileID, pages: pages)
    monitor.withLock { live[fileID] = WeakLiveFile(file: liveFile) }
    return EncryptedWritableFile(file, liveFile) { [weak self] in self?.forget(fileID) }
  }

  private func forget(_ fileID: FileID) { monitor.withLock { live[fileID] = nil } }

  func open(_ path: String) throws(StorageError) -> any ReadableFile {
    let file = try base.open(path)
    guard let header = try readHeader(file, path) else { return EmptyReadableFile() }
    if let liveFile = monitor.withLock({ live[header.current.slot.fileID]?.file }) {
      return LiveReadableFile(liveFile)
    }
    let pages = EncryptedPages(
      file, path: path, ciphers: CipherPool(try unwrap(header, path)), buffers: buffers)
    return try EncryptedReadableFile(
      pages, header: header.bytes, size: EncryptedFormat.plainByteCount(file.size))
  }

  func readHeader(
    _ file: any ReadableFile, _ path: String
  ) throws(StorageError) -> EncryptedHeader? {
    var bytes = Bytes(repeating: 0, count: EncryptedFormat.headerByteCount)
    let count = try bytes.withUnsafeMutableBufferPointer { (buffer) throws(StorageError) in
      try file.read(at: 0, into: UnsafeMutableRawBufferPointer(buffer))
    }
    bytes.removeLast(bytes.count - count)
    return try EncryptedHeader(decoding: bytes, rawByteCount: file.size, path: path)
  }

  /// The keys of a file, from the newest slot whose node key is at hand.
  func unwrap(_ header: EncryptedHeader, _ path: String) throws(StorageError) -> FileKeys {
    let ring = keys
    let slots = header.slots.sorted { $0.slot.sequence > $1.slot.sequence }
    for (index, slot) in slots {
      guard let key = ring.key(slot.keyID) else { continue }
      guard let keys = FileKeys(unwrapping: slot.wrappedKeys, by: key) else {
        throw StorageError(
          .authenticationFailed, "the file's keys were not wrapped by \(key)", path: path,
          offset: EncryptedFormat.keySlotOffsets[index])
      }
      return keys
    }
    throw StorageError(
      .keyUnavailable,
      "the file needs node key \(header.current.slot.keyID); at hand: "
        + ring.keys.map(\.id.description).joined(separator: ", "), path: path)
  }
}
