import KVBase
import Synchronization

/// The emptying of a few segments, in steps.
///
/// **Concurrency**: only the holder of the store's background lock may touch it.
final class CollectionRun {
  private enum Stage {
    /// Copying the values of one victim from an index on.
    case copying(victim: Int, [SegmentIndex.Value], next: Int)
    /// The copies are durable; appending references to them from an index on.
    case moving(next: Int)
    case done
  }

  let victims: [Segment]
  private let ledger: Ledger
  private var stage = Stage.copying(victim: -1, [], next: 0)
  private var output: JournalWriter?
  private var moves: [Move] = []
  private var buffer = Bytes()
  private var batch = WriteBatch()

  /// References appended in one go: what holds up writers is bounded.
  private static let movesPerStep = 128

  init(_ victims: [Segment], _ ledger: Ledger) {
    self.victims = victims
    self.ledger = ledger
  }

  var isDone: Bool {
    if case .done = stage { return true }
    return false
  }

  /// Goes on with the run; returns the bytes copied.
  func step(_ engine: Engine, byteLimit: Int) throws(StorageError) -> Int {
    switch stage {
    case .copying(let victim, let values, let next):
      return try copy(victim, values, next, engine, byteLimit)
    case .moving(let next):
      try move(from: next, engine)
      return 0
    case .done: return 0
    }
  }

  /// Removes what was copied, while nothing refers to it.
  func discard() {
    guard case .copying = stage, let output else { return }
    try? ledger.fileSystem.remove(output.path)
  }

  // MARK: Copying

  private func copy(
    _ victim: Int, _ values: [SegmentIndex.Value], _ start: Int, _ engine: Engine, _ byteLimit: Int
  ) throws(StorageError) -> Int {
    guard start < values.count else {
      guard victim + 1 < victims.count else {
        try finishCopying()
        return 0
      }
      let index = try SegmentIndex(of: victims[victim + 1])
      stage = .copying(victim: victim + 1, index.values, next: 0)
      return 0
    }
    let state = engine.readState
    var next = start
    var copied = 0
    while next < values.count, copied < byteLimit, next < start + 4096 {
      copied += try copy(values[next], of: victims[victim], state, engine)
      next += 1
    }
    try flushOutput()
    stage = .copying(victim: victim, values, next: next)
    return copied
  }

  /// Copies the value if it is live; returns the bytes copied.
  private func copy(
    _ value: SegmentIndex.Value, of victim: Segment, _ state: ReadState, _ engine: Engine
  ) throws(StorageError) -> Int {
    guard let reference = try engine.reference(to: value, in: victim, state) else { return 0 }
    var move = Move(
      key: value.key, head: reference.head, expiry: reference.expiry, pointer: nil,
      observed: reference.sequence, flushCount: state.flushCount)
    if reference.isExpired {
      moves.append(move)
      return 0
    }
    buffer.removeAll(keepingCapacity: true)
    try victim.read(reference.pointer, into: &buffer)
    try reference.pointer.verify(buffer, victim.path)
    move.pointer = try append(value.key, reference)
    moves.append(move)
    return buffer.count
  }

  private func append(
    _ key: Bytes, _ reference: Engine.Reference
  ) throws(StorageError) -> ValuePointer {
    let writer: JournalWriter
    if let output { writer = output } else { writer = try startOutput() }
    batch.removeAll()
    batch.append(
      key, stored: buffer, headByteCount: reference.head.count, expiry: reference.expiry,
      originalByteCount: reference.pointer.originalByteCount)
    let start = writer.append(
      batch, firstSequence: SequenceNumber(1), durable: .zero, type: .values)
    let offset = start + batch.byteCount - buffer.count
    key.withRaw { writer.noteValue($0, offset: offset, byteCount: buffer.count) }
    return ValuePointer(
      segment: writer.header.number, offset: offset, byteCount: buffer.count,
      checksum: reference.pointer.checksum,
      originalByteCount: reference.pointer.originalByteCount)
  }

  private func startOutput() throws(StorageError) -> JournalWriter {
    let number = ledger.fileNumbers.take()
    let writer = try JournalWriter(
      directory: ledger.journalDirectory,
      header: .init(number: number, firstSequence: SequenceNumber(1)), kind: .values,
      fileSystem: ledger.fileSystem)
    output = writer
    return writer
  }

  private func flushOutput() throws(StorageError) {
    guard let output else { return }
    output.beginGroup(through: .zero)
    try output.writeGroup(prefill: false)
    ledger.counters.collectedBytes.wrappingAdd(output.endGroup(), ordering: .relaxed)
  }

  private func finishCopying() throws(StorageError) {
    if let output {
      output.seal(nextSequence: SequenceNumber(1), durable: .zero)
      try flushOutput()
      try output.finish()
      try output.segment.sync()
      output.segment.closeForWriting()
    }
    stage = .moving(next: 0)
  }

  // MARK: Moving

  private func move(from start: Int, _ engine: Engine) throws(StorageError) {
    if start == 0, let output {
      try ledger.apply(VersionEdit(), adding: [output.segment])
      engine.install(segment: output.segment)
    }
    let end = min(moves.count, start + CollectionRun.movesPerStep)
    if start < end { try engine.append(Array(moves[start..<end])) }
    stage = .moving(next: max(1, end))
    guard end == moves.count else { return }
    // Not only the references: values that were not copied died by writes that may be unsynced, and a
    // crash would bring the dead back.
    try engine.sync(through: engine.sequences.appended)
    var edit = VersionEdit()
    edit.removedSegments = victims.map(\.number)
    try ledger.apply(edit)
    engine.install(retired: victims)
    stage = .done
    ledger.counters.collections.wrappingAdd(1, ordering: .relaxed)
  }

  /// A key whose value has been copied, or has expired.
  struct Move {
    var key: Bytes
    var head: Bytes
    var expiry: UInt64
    /// The copy; nil to delete the key, whose value has expired.
    var pointer: ValuePointer?
    /// The entry that referred to the original.
    var observed: UInt64
    /// The flushes before the entry was read; see ``ReadState/flushCount``.
    var flushCount: Int

    /// True when the entry observed is still the newest of its key.
    ///
    /// The caller holds the write lock. Without a flush since, a newer entry can only be in a memtable.
    func isCurrent(_ state: ReadState, last: UInt64, _ engine: Engine) throws(StorageError) -> Bool
    {
      try key.withRaw { (key) throws(StorageError) in
        if state.deletedSequence(key, at: last) > observed { return false }
        if let entry = state.findInMemtables(key, at: last) { return entry.sequence == observed }
        if state.flushCount == flushCount { return true }
        return try engine.withNewest(key, state, at: last) { $0?.sequence == observed }
      }
    }
  }
}
