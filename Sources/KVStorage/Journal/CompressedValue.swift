import CLZ4
import KVBase

/// A separated value as it is stored when LZ4 makes it smaller.
///
/// ```
/// head | LZ4 block of the rest
/// ```
/// The head stays as it is, so that a replay finds it without decoding the value.
///
/// **On disk**: Docs/Formats.md, "Compressed values".
enum CompressedValue {
  /// The longest value that so many stored bytes can stand for.
  ///
  /// One byte of LZ4 makes at most 255, so a forged length cannot ask for much memory.
  @inline(__always)
  static func largestByteCount(stored: Int, head: Int) -> Int {
    min(StoreLimits.valueByteCount, head + (stored - head) * 255 + 64)
  }

  /// Appends a put's value to `target` as stored and returns the bytes it takes.
  ///
  /// Nil, and nothing appended, when that does not save an eighth.
  /// Of values like the last, if it was `dense`, LZ4 looks only at every so many bytes: what does not
  /// give much is not worth the full price.
  static func append(_ entry: EntryView, to target: inout Bytes, isDense: Bool) -> Int? {
    let head = entry.headByteCount
    let rest = entry.value.slice(head, entry.value.count &- head)
    let worthwhile = entry.value.count - entry.value.count / 8 - head
    guard worthwhile > 0 else { return nil }
    let start = target.count
    target.append(contentsOf: entry.value.slice(0, head))
    var count = 0
    target.append(addingCapacity: worthwhile) { span in
      span.withUnsafeMutableBufferPointer { room, initialized in
        count = room.withMemoryRebound(to: CChar.self) { room in
          Int(
            LZ4_compress_fast(
              rest.characters, room.baseAddress, Int32(rest.count), Int32(worthwhile),
              isDense ? denseAcceleration : 1))
        }
        initialized = max(0, count)
      }
    }
    guard count > 0 else {
      target.removeSubrange(start...)
      return nil
    }
    return head + count
  }

  private static let denseAcceleration: Int32 = 16

  /// The memory in which a value is decoded: a little more than it takes.
  ///
  /// The stored bytes lie at its end while the value grows from its beginning. LZ4 allows that, and no
  /// other memory is needed.
  @inline(__always)
  static func roomByteCount(_ valueByteCount: Int) -> Int {
    valueByteCount + (valueByteCount >> 8) + 32
  }

  /// Decodes the value to the beginning of memory of ``roomByteCount(_:)``, at whose end it is stored;
  /// false when it does not decode to the length in the pointer.
  static func decode(
    _ pointer: ValuePointer, head: Int, in memory: UnsafeMutableRawBufferPointer
  ) -> Bool {
    let count = pointer.originalByteCount
    let stored = RawBytes(rebasing: memory[(memory.count - pointer.byteCount)...])
    guard head <= min(count, stored.count) else { return false }
    memory.copyMemory(from: stored.slice(0, head))
    let room = UnsafeMutableRawBufferPointer(rebasing: memory[head..<count])
    let decoded = LZ4_decompress_safe(
      stored.slice(head, stored.count - head).characters,
      room.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(stored.count - head),
      Int32(room.count))
    return Int(decoded) == room.count
  }
}

extension UnsafeRawBufferPointer {
  /// The memory as C functions take text.
  var characters: UnsafePointer<CChar>? { baseAddress?.assumingMemoryBound(to: CChar.self) }
}
