import Synchronization
public import NIOCore

/// One connection that carries frames: a big-endian `u32` length, then that many bytes of payload.
///
/// ```
/// | length n: u32 | payload: n bytes, 1 ... maximumFrameBytes |
/// ```
///
/// Payloads given to ``send(_:)`` leave in order. All payloads given during one turn of the event loop
/// leave with one system call.
///
/// **Concurrency**: every method may be called on any thread and never blocks. Events are delivered
/// on ``eventLoop`` only, one at a time; a handler must not block there. ``setReading(_:)`` with
/// `false` takes effect before the next frame when it is called from the handler; it has no effect
/// before the acceptor has returned.
///
/// **Invariants**: the outbound queue is guarded by its lock; everything else belongs to the event
/// loop.
public final class FrameConnection: Sendable {
  /// Unique within the process.
  public let id: UInt64
  /// The other side's address, as text for logs.
  public let remoteAddress: String
  /// The loop on which events are delivered.
  public var eventLoop: any EventLoop { channel.eventLoop }

  let configuration: FrameConfiguration
  private let channel: any Channel
  private let outbound = Mutex(Outbound())

  private struct Outbound {
    var payloads: [[UInt8]] = []
    /// Bytes given to `send` and not yet written to the socket.
    var pendingBytes = 0
    var isDrainScheduled = false
    var isClosing = false
    var owesWritable = false
    var pausesReading = false
  }

  init(id: UInt64, channel: any Channel, configuration: FrameConfiguration) {
    self.id = id
    self.channel = channel
    self.configuration = configuration
    remoteAddress = channel.remoteAddress.map { "\($0)" } ?? "unknown"
  }

  /// Bytes that wait to be written.
  public var pendingBytes: Int { outbound.withLock { $0.pendingBytes } }

  /// Queues a payload for writing.
  ///
  /// - Precondition: the payload has 1 to `maximumFrameBytes` bytes.
  /// - Returns: whether it was taken.
  @discardableResult
  public func send(_ payload: [UInt8]) -> SendResult {
    precondition(
      !payload.isEmpty && payload.count <= configuration.maximumFrameBytes,
      "a frame holds 1 to \(configuration.maximumFrameBytes) bytes, not \(payload.count)")
    let size = payload.count + FrameHandler.headerBytes
    let (result, mustSchedule) = outbound.withLock { queue -> (SendResult, Bool) in
      guard !queue.isClosing else { return (.closed, false) }
      guard
        queue.pendingBytes == 0 || queue.pendingBytes + size <= configuration.outboundLimit
      else {
        queue.owesWritable = true
        return (.full, false)
      }
      queue.payloads.append(payload)
      queue.pendingBytes += size
      defer { queue.isDrainScheduled = true }
      return (.queued, !queue.isDrainScheduled)
    }
    if mustSchedule { eventLoop.execute { self.drain() } }
    return result
  }

  /// Stops or resumes the delivery of frames; unread bytes stay with the kernel and slow the sender.
  public func setReading(_ reading: Bool) {
    onLoop { $0.setPaused(!reading, by: .owner) }
  }

  /// Closes after everything queued has been written: the other side sees the end of the stream after
  /// the last reply, even if it is still sending.
  public func close() {
    let wasClosing = outbound.withLock { queue in
      defer { queue.isClosing = true }
      return queue.isClosing
    }
    guard !wasClosing else { return }
    eventLoop.execute {
      self.drain()
      self.onLoop { $0.closeGracefully() }
    }
  }

  /// Closes at once; what is queued is lost.
  public func abort() {
    outbound.withLock { $0.isClosing = true }
    onLoop { $0.closeNow() }
  }

  /// Nothing more can be sent; called when the channel is gone.
  func didClose() {
    outbound.withLock { queue in
      queue.isClosing = true
      queue.payloads = []
      queue.pendingBytes = 0
    }
  }

  private func onLoop(_ body: @escaping @Sendable (FrameHandler) -> Void) {
    if eventLoop.inEventLoop {
      guard let handler = try? channel.pipeline.syncOperations.handler(type: FrameHandler.self)
      else { return }
      body(handler)
    } else {
      eventLoop.execute { self.onLoop(body) }
    }
  }

  /// Writes everything queued; small payloads share a buffer, large ones get their own.
  private func drain() {
    let payloads = outbound.withLock { queue in
      queue.isDrainScheduled = false
      defer { queue.payloads = [] }
      return queue.payloads
    }
    guard !payloads.isEmpty else { return }
    let total = payloads.reduce(0) { $0 + $1.count + FrameHandler.headerBytes }
    var buffer = channel.allocator.buffer(capacity: min(total, 2 * Self.coalescedBytes))
    for payload in payloads {
      if buffer.readableBytes + payload.count > Self.coalescedBytes, buffer.readableBytes > 0 {
        channel.write(buffer, promise: nil)
        buffer = channel.allocator.buffer(capacity: payload.count + FrameHandler.headerBytes)
      }
      buffer.writeInteger(UInt32(payload.count))
      buffer.writeBytes(payload)
    }
    channel.writeAndFlush(buffer).whenComplete { _ in self.didWrite(total) }
    pauseReadingIfBehind()
  }

  private static let coalescedBytes = 64 << 10

  private func pauseReadingIfBehind() {
    let mustPause = outbound.withLock { queue in
      guard !queue.pausesReading, queue.pendingBytes > configuration.readPauseThreshold
      else { return false }
      queue.pausesReading = true
      return true
    }
    if mustPause { onLoop { $0.setPaused(true, by: .outbound) } }
  }

  private func didWrite(_ bytes: Int) {
    let (mayRead, isWritable) = outbound.withLock { queue -> (Bool, Bool) in
      queue.pendingBytes = max(0, queue.pendingBytes - bytes)
      let mayRead =
        queue.pausesReading && queue.pendingBytes <= configuration.readPauseThreshold / 2
      if mayRead { queue.pausesReading = false }
      let isWritable = queue.owesWritable && queue.pendingBytes <= configuration.outboundLimit / 2
      if isWritable { queue.owesWritable = false }
      return (mayRead, isWritable && !queue.isClosing)
    }
    if mayRead { onLoop { $0.setPaused(false, by: .outbound) } }
    if isWritable { onLoop { $0.deliver(.writable) } }
  }
}
