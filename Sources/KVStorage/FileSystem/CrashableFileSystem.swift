public import KVBase

/// A file system in memory that can lose power.
///
/// It keeps what is durable apart from what is only written: ``crash(random:)`` yields a copy as a
/// restarted machine might find it, with unsynced writes lost, kept, reordered or torn at any byte,
/// and unsynced names lost or kept. Faults can be planned for the N-th operation. Everything follows
/// from the calls and the generator passed in, so a run can be repeated.
///
/// **Concurrency**: one lock guards all state; every method may be called from any thread.
public final class CrashableFileSystem: FileSystem, @unchecked Sendable {
  // All stored properties below are guarded by `monitor`.
  private let monitor = Monitor()
  private var live: [String: Inode] = [:]
  private var durable: [String: Inode] = [:]
  private var unsyncedNames: [NameChange] = []
  private var directories: Set<String> = ["/", "."]
  private var locks: Set<String> = []
  private var faults: [PlannedFault] = []
  private var isOff = false
  private var counts = OperationCounts()
  private var byteCapacity: Int
  private var usedByteCount = 0

  /// An empty file system that refuses to hold more than `byteCapacity` bytes.
  public init(byteCapacity: Int = .max) { self.byteCapacity = byteCapacity }

  /// How an operation can fail.
  public enum Fault: Hashable, Sendable {
    /// The operation fails with an input/output error; a write may have been done in part.
    case inputOutput
    /// The operation fails for want of space; a write may have been done in part.
    case diskFull
    /// The power goes: this and every later operation fails.
    case powerOff
  }

  /// Which operations count towards a planned fault.
  public enum Operation: Hashable, Sendable {
    /// Creating, writing, syncing, renaming and removing files, syncing directories.
    case change
    /// Opening and reading files.
    case read
  }

  /// How many operations of each kind have been attempted.
  public struct OperationCounts: Hashable, Sendable {
    /// Attempted changes.
    public var changes = 0
    /// Attempted reads.
    public var reads = 0
    /// Attempted syncs of files; they are changes too.
    public var fileSyncs = 0
  }

  private struct PlannedFault {
    var fault: Fault
    var operation: Operation
    var number: Int
    var isPersistent: Bool
  }

  /// The operations attempted so far.
  public var operationCounts: OperationCounts { monitor.withLock { counts } }

  /// Makes the `number`-th operation of the kind, counted from now and from 1, fail.
  ///
  /// A persistent fault also hits every later operation of the kind, until ``clearFaults()``.
  public func injectFault(
    _ fault: Fault, at number: Int, of operation: Operation = .change, persistent: Bool = false
  ) {
    monitor.withLock {
      let done = operation == .change ? counts.changes : counts.reads
      faults.append(
        PlannedFault(
          fault: fault, operation: operation, number: done + number, isPersistent: persistent))
    }
  }

  /// Forgets all planned faults and switches the power on again.
  public func clearFaults() {
    monitor.withLock {
      faults = []
      isOff = false
    }
  }

  /// Changes the capacity; files that exceed it stay.
  public func setByteCapacity(_ count: Int) { monitor.withLock { byteCapacity = count } }

  /// Flips the bits of `mask` in one byte of a file, durably.
  public func corrupt(_ path: String, at offset: Int, mask: UInt8) {
    monitor.withLock {
      guard let inode = live[path], offset < inode.content.count else { return }
      inode.content[offset] ^= mask
      if offset < inode.durable.count { inode.durable[offset] ^= mask }
    }
  }

  /// The file system as it may be found after a power failure at this moment.
  ///
  /// The copy has no locks, faults or unsynced data. This file system is not changed.
  public func crash(random: inout SeededRandom) -> CrashableFileSystem {
    monitor.lock()
    defer { monitor.unlock() }
    var names = durable
    for change in survivors(random: &random) { change.apply(to: &names) }
    let copy = CrashableFileSystem(byteCapacity: byteCapacity)
    copy.directories = directories
    for path in names.keys.sorted() {
      guard let inode = names[path] else { continue }
      let bytes = inode.contentAfterCrash(random: &random)
      let survivor = Inode(durable: bytes)
      copy.live[path] = survivor
      copy.durable[path] = survivor
      copy.usedByteCount += bytes.count
    }
    return copy
  }

  /// The unsynced names that survive: of each directory some first part, in order.
  private func survivors(random: inout SeededRandom) -> [NameChange] {
    var kept: [NameChange] = []
    for directory in directories.sorted() {
      let changes = unsyncedNames.filter { $0.directory == directory }
      guard !changes.isEmpty else { continue }
      kept += changes.prefix(random.below(changes.count + 1))
    }
    return kept
  }

  // MARK: FileSystem

  /// Creates a directory and its missing parents.
  public func createDirectory(_ path: String) throws(StorageError) {
    try change(path) { () throws(StorageError) in
      var directory = path
      while directories.insert(directory).inserted { directory = parentDirectory(of: directory) }
    }
  }

  /// Opens a file for reading.
  public func open(_ path: String) throws(StorageError) -> any ReadableFile {
    monitor.lock()
    defer { monitor.unlock() }
    try attempt(.read, path)
    return CrashableFile(self, try inode(path), path)
  }

  /// Creates an empty file for writing.
  public func create(_ path: String) throws(StorageError) -> any WritableFile {
    let inode = Inode(durable: [])
    try change(path) { () throws(StorageError) in
      guard directories.contains(parentDirectory(of: path)) else {
        throw StorageError(.notFound, "no such directory", path: parentDirectory(of: path))
      }
      if let old = live[path] { usedByteCount -= old.content.count }
      live[path] = inode
      unsyncedNames.append(.link(path, inode))
    }
    return CrashableFile(self, inode, path)
  }

  /// Removes a file.
  public func remove(_ path: String) throws(StorageError) {
    try change(path) { () throws(StorageError) in
      usedByteCount -= try inode(path).content.count
      live[path] = nil
      unsyncedNames.append(.unlink(path))
    }
  }

  /// Renames a file within its directory.
  public func rename(_ path: String, to newPath: String) throws(StorageError) {
    precondition(
      parentDirectory(of: path) == parentDirectory(of: newPath),
      "\(path) cannot be renamed into another directory, as \(newPath)")
    try change(path) { () throws(StorageError) in
      let inode = try inode(path)
      if let old = live[newPath] { usedByteCount -= old.content.count }
      live[path] = nil
      live[newPath] = inode
      unsyncedNames.append(.rename(path, newPath, inode))
    }
  }

  /// The names in a directory, in ascending order.
  public func list(_ directory: String) throws(StorageError) -> [String] {
    monitor.lock()
    defer { monitor.unlock() }
    try attempt(.read, directory)
    guard directories.contains(directory) else {
      throw StorageError(.notFound, "no such directory", path: directory)
    }
    let prefix = directory.hasSuffix("/") ? directory : directory + "/"
    let paths = Array(live.keys) + Array(directories)
    return paths.compactMap { path -> String? in
      guard path.hasPrefix(prefix), path.count > prefix.count else { return nil }
      let name = path.dropFirst(prefix.count)
      return name.contains("/") ? nil : String(name)
    }.sorted()
  }

  /// True when the file exists.
  public func exists(_ path: String) throws(StorageError) -> Bool {
    monitor.lock()
    defer { monitor.unlock() }
    try attempt(.read, path)
    return live[path] != nil || directories.contains(path)
  }

  /// The size of a file in bytes.
  public func size(_ path: String) throws(StorageError) -> Int {
    monitor.lock()
    defer { monitor.unlock() }
    try attempt(.read, path)
    return try inode(path).content.count
  }

  /// Makes the names in a directory durable.
  public func syncDirectory(_ path: String) throws(StorageError) {
    try change(path) { () throws(StorageError) in
      for change in unsyncedNames where change.directory == path { change.apply(to: &durable) }
      unsyncedNames.removeAll { $0.directory == path }
    }
  }

  /// Takes an exclusive lock.
  public func lock(_ path: String) throws(StorageError) -> any FileLock {
    monitor.lock()
    defer { monitor.unlock() }
    guard locks.insert(path).inserted else {
      throw StorageError(.locked, "the store is open elsewhere", path: path)
    }
    return CrashableLock(self, path)
  }

  // MARK: For the files

  fileprivate func unlock(_ path: String) { monitor.withLock { _ = locks.remove(path) } }

  fileprivate func read(
    _ inode: Inode, _ path: String, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
  ) throws(StorageError) -> Int {
    monitor.lock()
    defer { monitor.unlock() }
    try attempt(.read, path)
    let count = max(0, min(buffer.count, inode.content.count - offset))
    if count > 0 { buffer.copyBytes(from: inode.content[offset..<offset + count]) }
    return count
  }

  fileprivate func write(
    _ bytes: UnsafeRawBufferPointer, to inode: Inode, _ path: String, at offset: Int
  ) throws(StorageError) {
    monitor.lock()
    defer { monitor.unlock() }
    let growth = max(0, offset + bytes.count - inode.content.count)
    do throws(StorageError) {
      try attempt(.change, path)
      guard growth <= byteCapacity - min(byteCapacity, usedByteCount) else {
        throw StorageError(.diskFull, "write: no space left", path: path)
      }
    } catch {
      // A failed write leaves a part behind, as a real one may.
      if !isOff, growth == 0 || growth / 2 <= byteCapacity - min(byteCapacity, usedByteCount) {
        let part = UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count / 2)])
        usedByteCount += inode.write(part, at: offset)
      }
      throw error
    }
    usedByteCount += inode.write(bytes, at: offset)
  }

  fileprivate func sync(_ inode: Inode, _ path: String) throws(StorageError) {
    monitor.lock()
    defer { monitor.unlock() }
    counts.fileSyncs += 1
    do throws(StorageError) { try attempt(.change, path) } catch {
      // The kernel reports a failed write-back once and then forgets the pages: a later sync that
      // succeeds says nothing about these bytes.
      if !isOff { inode.unsynced = [] }
      throw error
    }
    inode.sync()
  }

  // MARK: Inside the lock

  private func inode(_ path: String) throws(StorageError) -> Inode {
    guard let inode = live[path] else { throw StorageError(.notFound, "no such file", path: path) }
    return inode
  }

  private func change(
    _ path: String, _ body: () throws(StorageError) -> Void
  ) throws(StorageError) {
    monitor.lock()
    defer { monitor.unlock() }
    try attempt(.change, path)
    try body()
  }

  private func attempt(_ operation: Operation, _ path: String) throws(StorageError) {
    let number: Int
    switch operation {
    case .change:
      counts.changes += 1
      number = counts.changes
    case .read:
      counts.reads += 1
      number = counts.reads
    }
    let hit = faults.first {
      $0.operation == operation && ($0.isPersistent ? number >= $0.number : number == $0.number)
    }
    if hit?.fault == .powerOff { isOff = true }
    guard !isOff else { throw StorageError(.inputOutput, "the power is off", path: path) }
    switch hit?.fault {
    case .diskFull: throw StorageError(.diskFull, "injected fault", path: path)
    case .inputOutput: throw StorageError(.inputOutput, "injected fault", path: path)
    default: break
    }
  }
}

/// A change of a directory that is not durable yet.
private enum NameChange {
  case link(String, Inode)
  case unlink(String)
  case rename(String, String, Inode)

  var directory: String {
    switch self {
    case .link(let path, _), .unlink(let path), .rename(let path, _, _): parentDirectory(of: path)
    }
  }

  func apply(to names: inout [String: Inode]) {
    switch self {
    case .link(let path, let inode): names[path] = inode
    case .unlink(let path): names[path] = nil
    case .rename(let path, let newPath, let inode):
      names[path] = nil
      names[newPath] = inode
    }
  }
}

/// A file's bytes: what readers see, what is durable, and the writes between the two.
private final class Inode {
  var content: Bytes
  var durable: Bytes
  var unsynced: [(offset: Int, bytes: Bytes)] = []

  init(durable: Bytes) {
    content = durable
    self.durable = durable
  }

  /// Writes and returns by how much the file grew.
  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Int {
    let before = content.count
    Inode.apply(bytes, at: offset, to: &content)
    unsynced.append((offset, Bytes(bytes)))
    return content.count - before
  }

  func sync() {
    for write in unsynced {
      write.bytes.withUnsafeBytes { Inode.apply($0, at: write.offset, to: &durable) }
    }
    unsynced = []
  }

  /// The durable bytes and a random part of the rest: none, all, a torn prefix or a torn subset.
  func contentAfterCrash(random: inout SeededRandom) -> Bytes {
    var result = durable
    guard !unsynced.isEmpty else { return result }
    let mode = random.below(4)
    guard mode > 0 else { return result }
    let last = mode == 2 ? random.below(unsynced.count) : unsynced.count - 1
    for (index, write) in unsynced.enumerated() where index <= last {
      let isTorn = mode == 2 && index == last || mode == 3 && random.chance(0.2)
      if mode == 3, random.chance(0.4) { continue }
      let count = isTorn ? random.below(write.bytes.count + 1) : write.bytes.count
      write.bytes.withUnsafeBytes {
        Inode.apply(UnsafeRawBufferPointer(rebasing: $0[..<count]), at: write.offset, to: &result)
      }
    }
    return result
  }

  private static func apply(
    _ bytes: UnsafeRawBufferPointer, at offset: Int, to target: inout Bytes
  ) {
    guard !bytes.isEmpty else { return }
    if offset == target.count {
      target.append(contentsOf: bytes)
      return
    }
    let end = offset + bytes.count
    if end > target.count {
      target.append(contentsOf: repeatElement(0, count: end - target.count))
    }
    target.replaceSubrange(offset..<end, with: bytes)
  }
}

private final class CrashableFile: ReadableFile, WritableFile, @unchecked Sendable {
  // `inode` is only touched by the file system, under its lock; `size` is fixed at opening.
  private let fileSystem: CrashableFileSystem
  private let inode: Inode
  private let path: String
  let size: Int

  init(_ fileSystem: CrashableFileSystem, _ inode: Inode, _ path: String) {
    self.fileSystem = fileSystem
    self.inode = inode
    self.path = path
    size = inode.content.count
  }

  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(StorageError) -> Int
  {
    try fileSystem.read(inode, path, at: offset, into: buffer)
  }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(StorageError) {
    try fileSystem.write(bytes, to: inode, path, at: offset)
  }

  func sync() throws(StorageError) { try fileSystem.sync(inode, path) }
}

private final class CrashableLock: FileLock {
  private let fileSystem: CrashableFileSystem
  private let path: String

  init(_ fileSystem: CrashableFileSystem, _ path: String) {
    self.fileSystem = fileSystem
    self.path = path
  }

  deinit { fileSystem.unlock(path) }
}
