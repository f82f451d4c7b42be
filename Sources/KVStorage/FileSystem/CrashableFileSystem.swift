public import KVBase

/// A file system in memory that can lose power.
///
/// It keeps what is durable apart from what is only written: ``crash(random:)`` yields a copy as a
/// restarted machine might find it, with unsynced writes lost, kept, reordered or torn at any byte,
/// and unsynced names lost or kept. Faults can be planned for the N-th operation. Everything follows
/// from the calls and the generator passed in, so a run can be repeated.
///
/// **Concurrency**: one lock guards all state; every method may be called from any thread.
public final class CrashableFileSystem: @unchecked Sendable {
  // All stored properties below are guarded by `monitor`.
  let monitor = Monitor()
  var live: [String: Inode] = [:]
  var unsyncedNames: [NameChange] = []
  var durable: [String: Inode] = [:]
  var directories: Set<String> = ["/", "."]
  var locks: Set<String> = []
  private var faults: [PlannedFault] = []
  private(set) var isOff = false
  var counts = OperationCounts()
  var byteCapacity: Int
  var usedByteCount = 0
  var seconds: UInt64 = 0

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
    /// Creating, writing, cutting, syncing, linking, renaming and removing files, syncing
    /// directories.
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

  /// Sets the wall clock.
  public func setSecondsSinceEpoch(_ count: UInt64) { monitor.withLock { seconds = count } }

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
    for change in survivingNames(random: &random) { change.apply(to: &names) }
    let copy = CrashableFileSystem(byteCapacity: byteCapacity)
    copy.directories = directories
    copy.seconds = seconds
    var survivors: [ObjectIdentifier: Inode] = [:]
    for path in names.keys.sorted() {
      guard let inode = names[path] else { continue }
      let survivor: Inode
      if let linked = survivors[ObjectIdentifier(inode)] {
        survivor = linked
      } else {
        survivor = Inode(durable: inode.contentAfterCrash(random: &random))
        survivors[ObjectIdentifier(inode)] = survivor
        copy.usedByteCount += survivor.content.count
      }
      survivor.linkCount += 1
      copy.live[path] = survivor
      copy.durable[path] = survivor
    }
    return copy
  }

  /// The unsynced names that survive: of each directory some first part, in order.
  private func survivingNames(random: inout SeededRandom) -> [NameChange] {
    var kept: [NameChange] = []
    for directory in directories.sorted() {
      let changes = unsyncedNames.filter { $0.directory == directory }
      guard !changes.isEmpty else { continue }
      kept += changes.prefix(random.below(changes.count + 1))
    }
    return kept
  }

  // MARK: Inside the lock

  func inode(_ path: String) throws(StorageError) -> Inode {
    guard let inode = live[path] else { throw StorageError(.notFound, "no such file", path: path) }
    return inode
  }

  func change(
    _ path: String, _ body: () throws(StorageError) -> Void
  ) throws(StorageError) {
    monitor.lock()
    defer { monitor.unlock() }
    try attempt(.change, path)
    try body()
  }

  func attempt(_ operation: Operation, _ path: String) throws(StorageError) {
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

  /// Gives a file a name, taking the name from any file that has it.
  func bind(_ path: String, to inode: Inode) {
    unbind(path)
    inode.linkCount += 1
    live[path] = inode
  }

  /// Takes a name away; a file without names takes no space.
  func unbind(_ path: String) {
    guard let inode = live.removeValue(forKey: path) else { return }
    inode.linkCount -= 1
    if inode.linkCount == 0 { usedByteCount -= inode.content.count }
  }
}
