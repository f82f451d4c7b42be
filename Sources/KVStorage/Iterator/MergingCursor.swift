/// Merges sources; of a key that several have, the newest entry.
///
/// A binary heap of the valid sources by their present entry, in the direction of the last move.
/// Sources with the same key stay where they are until the cursor moves off it.
final class MergingCursor: Cursor {
  // The heap refers to `sources` without counting references.
  private let sources: [Cursor]
  private let heap: UnsafeMutablePointer<Unmanaged<Cursor>>
  @exclusivity(unchecked) private var count = 0
  @exclusivity(unchecked) private var isBackward = false
  /// The smaller child of the top; 0 when it is not known.
  @exclusivity(unchecked) private var second = 0
  /// A child of the top may have the same key.
  @exclusivity(unchecked) private var mayHaveTie = false

  init(_ sources: [Cursor]) {
    self.sources = sources
    heap = .allocate(capacity: max(1, sources.count))
  }

  deinit { heap.deallocate() }

  // MARK: Seeking

  override func seek(_ key: RawBytes) throws(StorageError) {
    isBackward = false
    for source in sources { try source.seek(key) }
    build()
  }

  override func seekToLast() throws(StorageError) {
    isBackward = true
    for source in sources { try source.seekToLast() }
    build()
  }

  override func seek(before key: RawBytes) throws(StorageError) {
    isBackward = true
    for source in sources { try source.seek(before: key) }
    build()
  }

  override func seek(notAfter key: RawBytes) throws(StorageError) {
    isBackward = true
    for source in sources { try source.seek(notAfter: key) }
    build()
  }

  override func rest(at sequence: UInt64) {
    isValid = false
    count = 0
    for source in sources { source.rest(at: sequence) }
  }

  // MARK: Moving

  override func nextBeyondBlock() throws(StorageError) {
    if isBackward { return try turnForward() }
    if mayHaveTie { try moveTies() }
    try withTop { (top) throws(StorageError) in try top.next() }
    restoreTop()
  }

  override func previous() throws(StorageError) {
    if !isBackward { return try turnBackward() }
    if mayHaveTie { try moveTies() }
    try withTop { (top) throws(StorageError) in try top.previous() }
    restoreTop()
  }

  @inline(__always)
  private func withTop(_ body: (Cursor) throws(StorageError) -> Void) throws(StorageError) {
    try body(heap[0].takeUnretainedValue())
  }

  private func turnForward() throws(StorageError) {
    let top = heap[0].takeUnretainedValue()
    let key = top.entry.key
    for source in sources where source !== top {
      try source.seek(key)
      if source.isValid, compareKeys(source.entry.key, key) == 0 { try source.next() }
    }
    try top.next()
    isBackward = false
    build()
  }

  private func turnBackward() throws(StorageError) {
    let top = heap[0].takeUnretainedValue()
    let key = top.entry.key
    for source in sources where source !== top { try source.seek(before: key) }
    try top.previous()
    isBackward = true
    build()
  }

  /// Moves the sources below the top that have its key.
  private func moveTies() throws(StorageError) {
    var child = 1
    while child < min(3, count) {
      let source = heap[child].takeUnretainedValue()
      guard compareKeys(source.entry.key, entry.key) == 0 else {
        child += 1
        continue
      }
      if isBackward { try source.previous() } else { try source.next() }
      if !source.isValid {
        count -= 1
        heap[child] = heap[count]
      }
      siftDown(child)
      child = 1
    }
    second = 0
  }

  // MARK: The heap

  private func build() {
    count = 0
    for source in sources where source.isValid {
      heap[count] = .passUnretained(source)
      count += 1
    }
    for index in stride(from: count / 2 - 1, through: 0, by: -1) { siftDown(index) }
    show()
  }

  /// Puts the top, which has moved, where it belongs.
  @inline(__always)
  private func restoreTop() {
    if !heap[0]._withUnsafeGuaranteedRef({ $0.isValid }) {
      count &-= 1
      heap[0] = heap[count]
      siftDown(0)
      return show()
    }
    guard count > 1 else { return entry = heap[0]._withUnsafeGuaranteedRef { $0.entry } }
    if second == 0 { second = smallerChild(of: 0) }
    if order(second, 0) > 0 {
      mayHaveTie = false
      return entry = heap[0]._withUnsafeGuaranteedRef { $0.entry }
    }
    siftDown(0)
    show()
  }

  private func show() {
    isValid = count > 0
    second = 0
    mayHaveTie = false
    guard isValid else { return }
    entry = heap[0]._withUnsafeGuaranteedRef { $0.entry }
    guard count > 1 else { return }
    second = smallerChild(of: 0)
    mayHaveTie = order(second, 0) == 0
  }

  private func smallerChild(of index: Int) -> Int {
    let child = 2 &* index &+ 1
    return child &+ 1 < count && isBefore(child &+ 1, child) ? child &+ 1 : child
  }

  /// Compares the keys of two places in the heap in the present direction.
  @inline(__always)
  private func order(_ a: Int, _ b: Int) -> Int {
    let order = heap[a]._withUnsafeGuaranteedRef { a in
      heap[b]._withUnsafeGuaranteedRef { b in compareKeys(a.entry.key, b.entry.key) }
    }
    return isBackward ? 0 &- order : order
  }

  @inline(__always)
  private func isBefore(_ a: Int, _ b: Int) -> Bool {
    let order = order(a, b)
    if order != 0 { return order < 0 }
    return heap[a]._withUnsafeGuaranteedRef { a in
      heap[b]._withUnsafeGuaranteedRef { b in a.entry.sequence > b.entry.sequence }
    }
  }

  private func siftDown(_ start: Int) {
    var index = start
    while 2 &* index &+ 1 < count {
      let child = smallerChild(of: index)
      guard isBefore(child, index) else { return }
      let moved = heap[index]
      heap[index] = heap[child]
      heap[child] = moved
      index = child
    }
  }
}
