import KVBase

/// Bytes in memory that someone else keeps alive.
typealias RawBytes = UnsafeRawBufferPointer

/// Compares two keys byte by byte: negative, zero or positive as `a` is before, equal to or after `b`.
@inline(__always)
func compareKeys(_ a: RawBytes, _ b: RawBytes) -> Int {
  let count = min(a.count, b.count)
  var offset = 0
  while offset &+ 8 <= count {
    let x = a.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
    let y = b.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
    if x != y { return x.bigEndian < y.bigEndian ? -1 : 1 }
    offset &+= 8
  }
  while offset < count {
    if a[offset] != b[offset] { return a[offset] < b[offset] ? -1 : 1 }
    offset &+= 1
  }
  return a.count &- b.count
}

/// The number of bytes that the two keys have in common at their beginning.
@inline(__always)
func commonPrefixCount(_ a: RawBytes, _ b: RawBytes) -> Int {
  let count = min(a.count, b.count)
  var offset = 0
  while offset &+ 8 <= count {
    let x = a.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
    let y = b.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
    if x != y { return offset &+ (UInt64(littleEndian: x ^ y).trailingZeroBitCount &>> 3) }
    offset &+= 8
  }
  while offset < count, a[offset] == b[offset] { offset &+= 1 }
  return offset
}

extension UnsafeRawBufferPointer {
  /// The four bytes at an offset as a big-endian number; the caller has checked the bounds.
  @inline(__always)
  func fixed(at offset: Int) -> Int {
    Int(UInt32(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
  }

  /// The bytes from `offset`, `count` of them; the caller has checked the bounds.
  @inline(__always)
  func slice(_ offset: Int, _ count: Int) -> RawBytes {
    RawBytes(rebasing: self[offset..<offset &+ count])
  }
}

extension Array where Element == UInt8 {
  /// Gives the closure the array's memory; typed throws pass through.
  @inline(__always)
  func withRaw<Result, Failure: Error>(
    _ body: (RawBytes) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try withUnsafeBufferPointer { (buffer) throws(Failure) in try body(RawBytes(buffer)) }
  }
}

extension Array where Element == UInt8 {
  /// The smallest key after all that begin with these bytes; nil when there is none.
  var upperBound: Bytes? {
    guard let last = lastIndex(where: { $0 < 0xFF }) else { return nil }
    var bound = Bytes(self[...last])
    bound[last] += 1
    return bound
  }

  /// Replaces the contents; allocates nothing while the capacity suffices.
  @inline(__always)
  mutating func replace(with raw: RawBytes) {
    guard count == raw.count else {
      removeAll(keepingCapacity: true)
      return append(contentsOf: raw)
    }
    withUnsafeMutableBytes { if !raw.isEmpty { $0.copyMemory(from: raw) } }
  }
}

/// A growing buffer of raw memory with one owner.
struct RawBuffer: ~Copyable {
  private(set) var base: UnsafeMutableRawPointer
  private(set) var capacity: Int
  private(set) var count = 0

  init(capacity: Int = 256) {
    self.capacity = max(16, capacity)
    base = .allocate(byteCount: self.capacity, alignment: 16)
  }

  deinit { base.deallocate() }

  /// What has been appended; valid until the next change.
  var bytes: RawBytes { RawBytes(start: base, count: count) }

  @inline(__always)
  mutating func removeAll() { count = 0 }

  /// Cuts the contents to their first `count` bytes.
  @inline(__always)
  mutating func truncate(to count: Int) {
    precondition(count <= self.count, "cannot truncate \(self.count) bytes to \(count)")
    self.count = count
  }

  @inline(__always)
  mutating func reserve(_ additional: Int) {
    if count &+ additional > capacity { grow(count + additional) }
  }

  @inline(never)
  private mutating func grow(_ needed: Int) {
    let larger = max(needed, capacity * 2)
    let moved = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 16)
    moved.copyMemory(from: base, byteCount: count)
    base.deallocate()
    base = moved
    capacity = larger
  }

  /// Frees memory beyond `limit` when the buffer is empty, so that one large value is not kept.
  mutating func shrink(to limit: Int) {
    guard count == 0, capacity > limit else { return }
    base.deallocate()
    base = .allocate(byteCount: limit, alignment: 16)
    capacity = limit
  }

  @inline(__always)
  mutating func append(_ raw: RawBytes) {
    guard let source = raw.baseAddress, raw.count > 0 else { return }
    reserve(raw.count)
    base.advanced(by: count).copyMemory(from: source, byteCount: raw.count)
    count &+= raw.count
  }

  /// Appends again bytes that the buffer holds; the caller has checked the bounds.
  mutating func append(copyOf offset: Int, count repeated: Int) {
    reserve(repeated)
    base.advanced(by: count).copyMemory(from: base.advanced(by: offset), byteCount: repeated)
    count &+= repeated
  }

  @inline(__always)
  mutating func append(_ byte: UInt8) {
    reserve(1)
    base.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
    count &+= 1
  }

  /// Appends an integer, big-endian.
  @inline(__always)
  mutating func append<T: FixedWidthInteger>(fixed value: T) {
    reserve(MemoryLayout<T>.size)
    base.advanced(by: count).storeBytes(of: value.bigEndian, as: T.self)
    count &+= MemoryLayout<T>.size
  }

  /// Appends an unsigned LEB128 varint.
  @inline(__always)
  mutating func append(varint value: UInt64) {
    reserve(10)
    var rest = value
    while rest >= 0x80 {
      base.storeBytes(
        of: UInt8(truncatingIfNeeded: rest) | 0x80, toByteOffset: count, as: UInt8.self)
      count &+= 1
      rest &>>= 7
    }
    base.storeBytes(of: UInt8(truncatingIfNeeded: rest), toByteOffset: count, as: UInt8.self)
    count &+= 1
  }

  /// Exposes uninitialised room for `capacity` bytes, of which the closure says how many it filled.
  mutating func append(upTo capacity: Int, _ fill: (UnsafeMutableRawBufferPointer) -> Int) {
    reserve(capacity)
    let room = UnsafeMutableRawBufferPointer(start: base.advanced(by: count), count: capacity)
    count += fill(room)
  }
}

/// Reads encodings from raw memory; nil for anything that does not fit in what is left.
struct RawReader {
  let bytes: RawBytes
  var position: Int

  @inline(__always)
  init(_ bytes: RawBytes, at position: Int = 0) {
    self.bytes = bytes
    self.position = position
  }

  @inline(__always)
  var remaining: Int { bytes.count &- position }

  @inline(__always)
  mutating func byte() -> UInt8? {
    guard position < bytes.count else { return nil }
    defer { position &+= 1 }
    return bytes[position]
  }

  @inline(__always)
  mutating func fixed<T: FixedWidthInteger>(_ type: T.Type) -> T? {
    guard remaining >= MemoryLayout<T>.size else { return nil }
    defer { position &+= MemoryLayout<T>.size }
    return T(bigEndian: bytes.loadUnaligned(fromByteOffset: position, as: T.self))
  }

  @inline(__always)
  mutating func varint() -> UInt64? {
    guard position < bytes.count else { return nil }
    let first = bytes[position]
    if first < 0x80 {
      position &+= 1
      return UInt64(first)
    }
    return longVarint()
  }

  private mutating func longVarint() -> UInt64? {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while position < bytes.count {
      let byte = bytes[position]
      guard shift < 63 || (shift == 63 && byte <= 1) else { return nil }
      position &+= 1
      value |= UInt64(byte & 0x7F) &<< shift
      if byte < 0x80 { return value }
      shift &+= 7
    }
    return nil
  }

  /// A varint that is at most `limit`.
  @inline(__always)
  mutating func count(atMost limit: Int) -> Int? {
    guard let value = varint(), value <= UInt64(limit) else { return nil }
    return Int(value)
  }

  @inline(__always)
  mutating func raw(_ count: Int) -> RawBytes? {
    guard count >= 0, count <= remaining else { return nil }
    defer { position &+= count }
    return bytes.slice(position, count)
  }
}
