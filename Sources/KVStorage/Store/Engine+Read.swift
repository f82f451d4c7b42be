import KVBase
import Synchronization

/// Looking up single keys.
extension Engine {
  /// Fills the buffer with what the projection asks for; false when the key has no value.
  @inline(__always)
  func find(
    _ key: Bytes, _ projection: Projection, into buffer: inout Bytes
  ) throws(StorageError) -> Bool {
    var last: ReadState?
    while true {
      try requireOpen()
      let state = readState
      let sequence = visible.load(ordering: .acquiring)
      switch try find(key, projection, state, at: sequence, into: &buffer) {
      case .found: return true
      case .absent: return false
      // The state is older than the sequence, and the segment younger than the state. A segment is in
      // a state before anything refers to it, so a second look at the same state is hopeless.
      case .unknownSegment:
        guard state !== last else { throw EntryResolver.unknownSegment(root) }
        last = state
      }
    }
  }

  /// Calls `body` with the value of a key where it lies in memory; nil when the key has none.
  @inline(__always)
  func withValue<Result>(
    _ key: Bytes, _ body: (RawSpan) throws(StorageError) -> Result
  ) throws(StorageError) -> Result? {
    var last: ReadState?
    while true {
      try requireOpen()
      let state = readState
      let resolver = EntryResolver(self, state, at: visible.load(ordering: .acquiring))
      var result: Result?
      var isKnown = true
      try key.withRaw { (key) throws(StorageError) in
        try withNewest(key, state, at: resolver.sequence) { (entry) throws(StorageError) in
          guard let entry else { return try resolver.requireKnown(key) }
          guard try resolver.isLive(entry) else { return }
          var buffer = Bytes()
          isKnown = try resolver.withValueIfKnown(entry, .values, &buffer, fills: true) {
            (value) throws(StorageError) in result = try body(value)
          }
        }
      }
      if isKnown { return result }
      guard state !== last else { throw EntryResolver.unknownSegment(root) }
      last = state
    }
  }

  enum Outcome {
    case found
    case absent
    /// The entry refers to a segment that the state does not know.
    case unknownSegment
  }

  @inline(__always)
  func find(
    _ key: Bytes, _ projection: Projection, _ state: ReadState, at sequence: UInt64,
    into buffer: inout Bytes
  ) throws(StorageError) -> Outcome {
    let resolver = EntryResolver(self, state, at: sequence)
    return try key.withRaw { (key) throws(StorageError) -> Outcome in
      try withNewest(key, state, at: sequence) { (entry) throws(StorageError) -> Outcome in
        guard let entry else {
          try resolver.requireKnown(key)
          return .absent
        }
        guard try resolver.isLive(entry) else { return .absent }
        return try resolver.read(entry, projection, into: &buffer, fills: true)
          ? .found : .unknownSegment
      }
    }
  }

  /// Calls `body` with the newest entry of the key, whose memory is valid until it returns.
  @inline(__always)
  func withNewest<Result>(
    _ key: RawBytes, _ state: ReadState, at sequence: UInt64,
    _ body: (EntryView?) throws(StorageError) -> Result
  ) throws(StorageError) -> Result {
    defer { withExtendedLifetime(state) {} }
    if let entry = state.findInMemtables(key, at: sequence) { return try body(entry) }
    switch try state.version.find(key, environment) {
    case .absent: return try body(nil)
    case .found(let entry, let block):
      defer { withExtendedLifetime(block) {} }
      return try body(entry)
    }
  }

  // MARK: For garbage collection

  /// The reference of a key's newest entry to a value.
  struct Reference {
    var head: Bytes
    var pointer: ValuePointer
    var expiry: UInt64
    var isExpired: Bool
    var sequence: UInt64
  }

  /// The reference to a value of a segment; nil when the value is not live.
  func reference(
    to value: SegmentIndex.Value, in segment: Segment, _ state: ReadState
  ) throws(StorageError) -> Reference? {
    let sequence = visible.load(ordering: .acquiring)
    return try value.key.withRaw { (key) throws(StorageError) in
      try withNewest(key, state, at: sequence) { (entry) throws(StorageError) -> Reference? in
        guard let entry, let pointer = entry.pointer, pointer.segment == segment.number,
          pointer.offset == value.offset,
          state.deletedSequence(key, at: sequence) < entry.sequence,
          // What lies under damage is never shown again; a copy would come out from under it.
          state.version.ranges.sequences(key).damaged < entry.sequence
        else { return nil }
        return Reference(
          head: Bytes(entry.value.prefix(entry.headByteCount)), pointer: pointer,
          expiry: entry.expiry, isExpired: entry.isExpired(at: fileSystem.secondsSinceEpoch),
          sequence: entry.sequence)
      }
    }
  }

  // MARK: Values in the journal

  /// A separated value that the cache holds.
  @inline(__always)
  func cachedValue(_ pointer: ValuePointer) -> Block? {
    environment.cache.find(
      BlockCache.Key(file: pointer.segment.rawValue, offset: pointer.offset))
  }

  /// Reads a separated value, verifies it and leaves it in the cache; nil when the state does not know
  /// its segment.
  func loadValue(
    _ pointer: ValuePointer, head: Int, _ state: ReadState
  ) throws(StorageError) -> Block? {
    guard let segment = state.segments[pointer.segment] else { return nil }
    let memory = Block.allocate(valueRoom(pointer), for: .value)
    do throws(StorageError) {
      try fill(memory, pointer, head: head, segment)
    } catch {
      memory.deallocate()
      throw error
    }
    let value = RawBytes(start: memory.baseAddress, count: pointer.valueByteCount)
    guard let block = Block(adopting: value, as: .value) else { return nil }
    environment.cache.insert(
      block, for: BlockCache.Key(file: pointer.segment.rawValue, offset: pointer.offset))
    return block
  }

  /// Fills the empty buffer with a separated value, verified; false when the state does not know its
  /// segment.
  func read(
    _ pointer: ValuePointer, head: Int, _ state: ReadState, into buffer: inout Bytes
  ) throws(StorageError) -> Bool {
    guard let segment = state.segments[pointer.segment] else { return false }
    let room = valueRoom(pointer)
    var failure: StorageError?
    buffer.append(addingCapacity: room) { span in
      span.withUnsafeMutableBufferPointer { memory, initialized in
        do throws(StorageError) {
          let memory = UnsafeMutableRawBufferPointer(
            UnsafeMutableBufferPointer(rebasing: memory[..<room]))
          try fill(memory, pointer, head: head, segment)
          initialized = pointer.valueByteCount
        } catch { failure = error }
      }
    }
    if let failure { throw failure }
    return true
  }

  private func valueRoom(_ pointer: ValuePointer) -> Int {
    pointer.originalByteCount == 0
      ? pointer.byteCount
      : max(CompressedValue.roomByteCount(pointer.originalByteCount), pointer.byteCount)
  }

  /// Reads a separated value to the beginning of memory of the room that it needs.
  private func fill(
    _ memory: UnsafeMutableRawBufferPointer, _ pointer: ValuePointer, head: Int,
    _ segment: Segment
  ) throws(StorageError) {
    let stored = UnsafeMutableRawBufferPointer(
      rebasing: memory[(memory.count - pointer.byteCount)...])
    let isReadable = segment.isReadable(to: pointer.offset + pointer.byteCount)
    if isReadable || !copyBuffered(pointer, into: stored) {
      try segment.read(at: pointer.offset, into: stored)
    }
    try pointer.verify(RawBytes(stored), segment.path)
    guard pointer.originalByteCount != 0 else { return }
    guard CompressedValue.decode(pointer, head: head, in: memory) else {
      throw StorageError(
        .malformed, "LZ4 does not decode", path: segment.path, offset: pointer.offset)
    }
  }

  /// Copies a value that is not in its file yet; false when it is by now.
  private func copyBuffered(
    _ pointer: ValuePointer, into room: UnsafeMutableRawBufferPointer
  ) -> Bool {
    writeLock.withLock {
      guard writer.journal.header.number == pointer.segment else { return false }
      return writer.journal.copyBuffered(at: pointer.offset, into: room)
    }
  }
}
