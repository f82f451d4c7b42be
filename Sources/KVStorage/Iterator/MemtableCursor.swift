/// Walks through a memtable as it was at a sequence number.
final class MemtableCursor: Cursor {
  private let memtable: Memtable
  @exclusivity(unchecked) private var sequence: UInt64
  @exclusivity(unchecked) private var node: Memtable.Node?

  init(_ memtable: Memtable, at sequence: UInt64 = .max) {
    self.memtable = memtable
    self.sequence = sequence
  }

  override func seek(_ key: RawBytes) throws(StorageError) {
    node = memtable.lowerBound(key, at: sequence)
    settle()
  }

  override func seekToLast() throws(StorageError) { settleBackward(memtable.last) }

  override func seek(before key: RawBytes) throws(StorageError) {
    settleBackward(memtable.last(before: key))
  }

  override func nextBeyondBlock() throws(StorageError) {
    // The arena keeps every entry in place, so the last key can be compared where it lies.
    let key = entry.key
    repeat {
      node = node.flatMap { Memtable.next($0) }
    } while node.map { compareKeys(Memtable.key($0), key) == 0 } ?? false
    settle()
  }

  override func previous() throws(StorageError) {
    settleBackward(memtable.last(before: entry.key))
  }

  override func rest(at sequence: UInt64) {
    isValid = false
    self.sequence = sequence
  }

  /// Goes on to the first entry that is not too new; it is the newest of its key.
  private func settle() {
    while let node {
      entry = Memtable.entry(node)
      if entry.sequence <= sequence { break }
      self.node = Memtable.next(node)
    }
    isValid = node != nil
  }

  /// Goes back to a key with an entry that is not too new, beginning with the node's.
  private func settleBackward(_ start: Memtable.Node?) {
    var candidate = start
    while let oldest = candidate {
      let key = Memtable.key(oldest)
      if let newest = memtable.lowerBound(key, at: sequence),
        compareKeys(Memtable.key(newest), key) == 0
      {
        node = newest
        entry = Memtable.entry(newest)
        isValid = true
        return
      }
      candidate = memtable.last(before: key)
    }
    isValid = false
  }
}
