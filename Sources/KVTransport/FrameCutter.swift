import NIOCore

/// Cuts a stream of bytes into frames.
///
/// **Invariants**: at most one unfinished frame and what came after it is kept, however long the
/// frame says it is.
struct FrameCutter {
  private let limit: Int
  private var buffer = ByteBuffer()

  /// Refuses frames of more than `limit` bytes.
  init(limit: Int) { self.limit = limit }

  /// The bytes that are kept.
  var byteCount: Int { buffer.readableBytes }
  /// The frames given out so far.
  private(set) var frameCount = 0

  mutating func append(_ bytes: ByteBuffer) {
    if buffer.readableBytes == 0 {
      buffer = bytes
    } else {
      buffer.writeImmutableBuffer(bytes)
    }
  }

  mutating func clear() { buffer = ByteBuffer() }

  /// The next frame or violation; nil when more bytes are needed.
  mutating func next() -> FrameEvent? {
    guard let length = buffer.getInteger(at: buffer.readerIndex, as: UInt32.self) else {
      return nil
    }
    guard length > 0 else { return .violation(.empty) }
    guard length <= UInt32(limit) else { return .violation(.tooLarge(announced: Int(length))) }
    guard buffer.readableBytes >= FrameHandler.headerBytes + Int(length) else { return nil }
    buffer.moveReaderIndex(forwardBy: FrameHandler.headerBytes)
    let payload = buffer.readBytes(length: Int(length)) ?? []
    if buffer.readableBytes == 0 { buffer = ByteBuffer() } else { buffer.discardReadBytes() }
    frameCount += 1
    return .frame(payload)
  }

  /// How many bytes the unfinished frame lacks at least; nil between two frames.
  var missingBytes: Int? {
    guard buffer.readableBytes > 0 else { return nil }
    guard let length = buffer.getInteger(at: buffer.readerIndex, as: UInt32.self) else {
      return FrameHandler.headerBytes - buffer.readableBytes
    }
    return FrameHandler.headerBytes + Int(length) - buffer.readableBytes
  }
}

/// The way of a byte stream through the framing, for the fuzzer.
package enum FramingFuzz {
  /// The events of a stream that arrives in the given pieces, up to the first violation.
  package static func events(of pieces: [[UInt8]], limit: Int) -> [FrameEvent] {
    var cutter = FrameCutter(limit: limit)
    var events: [FrameEvent] = []
    for piece in pieces {
      cutter.append(ByteBuffer(bytes: piece))
      while let event = cutter.next() {
        events.append(event)
        if case .violation = event { return events }
      }
    }
    return events
  }
}
