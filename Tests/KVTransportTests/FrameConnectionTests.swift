import KVTransport
import NIOCore
import NIOPosix
import Synchronization
import Testing

/// A connection's events, gathered for a test to look at.
final class EventLog: Sendable {
  private let events = Mutex<[FrameEvent]>([])

  func record(_ event: FrameEvent) { events.withLock { $0.append(event) } }

  var frames: [[UInt8]] {
    events.withLock { $0.compactMap { if case .frame(let bytes) = $0 { bytes } else { nil } } }
  }

  var violations: [FrameViolation] {
    events.withLock { $0.compactMap { if case .violation(let what) = $0 { what } else { nil } } }
  }

  var closings: [CloseReason] {
    events.withLock { $0.compactMap { if case .closed(let why) = $0 { why } else { nil } } }
  }
}

/// Waits until `condition` holds; false after two minutes, for other tests may hold the processors.
func eventually(_ condition: () -> Bool) async -> Bool {
  let deadline = ContinuousClock.now + .seconds(120)
  while ContinuousClock.now < deadline {
    if condition() { return true }
    try? await Task.sleep(for: .milliseconds(5))
  }
  return condition()
}

@Suite(.serialized) struct FrameConnectionTests {
  static let group = MultiThreadedEventLoopGroup.singleton

  private func echo(
    _ configuration: FrameConfiguration = FrameConfiguration(), log: EventLog = EventLog()
  ) async throws -> FrameListener {
    try await FrameListener.bind(
      host: "127.0.0.1", port: 0, on: Self.group, configuration: configuration
    ) { connection in
      { event in
        log.record(event)
        switch event {
        case .frame(let payload): connection.send(payload)
        case .violation:
          connection.send([0xFF])
          connection.close()
        default: break
        }
      }
    }
  }

  private func dial(_ listener: FrameListener, _ log: EventLog) async throws -> FrameConnection {
    try await FrameDialer.connect(host: "127.0.0.1", port: listener.port, on: Self.group) { _ in
      { log.record($0) }
    }
  }

  /// Sends raw bytes over a plain socket and returns what comes back until the other side closes.
  private func raw(_ bytes: [UInt8], to listener: FrameListener) async throws -> [UInt8] {
    let received = Mutex<[UInt8]>([])
    final class Collector: ChannelInboundHandler {
      typealias InboundIn = ByteBuffer
      let add: ([UInt8]) -> Void
      init(_ add: @escaping ([UInt8]) -> Void) { self.add = add }
      func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        add(Array(unwrapInboundIn(data).readableBytesView))
      }
    }
    let channel = try await ClientBootstrap(group: Self.group)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(
            Collector { bytes in received.withLock { $0 += bytes } })
        }
      }
      .connect(host: "127.0.0.1", port: listener.port).get()
    try await channel.writeAndFlush(ByteBuffer(bytes: bytes))
    try await channel.closeFuture.get()
    return received.withLock { $0 }
  }

  @Test func `frames of all sizes come back whole and in order`() async throws {
    let listener = try await echo()
    let log = EventLog()
    let connection = try await dial(listener, log)
    let sent = [1, 2, 3, 1000, 65_535, 65_536, 3_000_000, 5].map { size in
      (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ size) }
    }
    for payload in sent { #expect(connection.send(payload) == .queued) }
    #expect(await eventually { log.frames.count == sent.count })
    #expect(log.frames == sent)
    connection.close()
    #expect(await eventually { log.closings == [.local] })
    #expect(connection.send([1]) == .closed)
    await listener.shutdown()
  }

  @Test func `an empty frame is a violation and the last answer still arrives`() async throws {
    let log = EventLog()
    let listener = try await echo(log: log)
    let answer = try await raw([0, 0, 0, 1, 7, 0, 0, 0, 0, 0, 0, 0, 1, 9], to: listener)
    #expect(answer == [0, 0, 0, 1, 7, 0, 0, 0, 1, 0xFF])
    #expect(log.violations == [.empty])
    #expect(log.frames == [[7]])
    await listener.shutdown()
  }

  @Test func `a frame above the limit is refused before its bytes come`() async throws {
    var configuration = FrameConfiguration()
    configuration.maximumFrameBytes = 1000
    let log = EventLog()
    let listener = try await echo(configuration, log: log)
    let answer = try await raw([0, 0, 0x03, 0xE9, 1, 2, 3], to: listener)
    #expect(answer == [0, 0, 0, 1, 0xFF])
    #expect(log.violations == [.tooLarge(announced: 1001)])
    await listener.shutdown()
  }

  @Test func `unfinished frames of all connections have a common limit, and give it back`()
    async throws
  {
    let memory = MemoryBudget(limit: 1 << 20)
    var configuration = FrameConfiguration()
    configuration.memory = memory
    let log = EventLog()
    let listener = try await echo(configuration, log: log)
    let head: [UInt8] = [0, 0x40, 0, 0]
    // Each keeps its 64 KiB for nothing and 200 KiB of the common memory; the last is too much.
    let part = head + [UInt8](repeating: 7, count: 264 << 10)
    var channels: [any Channel] = []
    for _ in 0..<5 {
      let channel = try await ClientBootstrap(group: Self.group)
        .connect(host: "127.0.0.1", port: listener.port).get()
      try await channel.writeAndFlush(ByteBuffer(bytes: part)).get()
      channels.append(channel)
    }
    #expect(await eventually { memory.usedBytes >= 990 << 10 })
    let answer = try await raw(part + part, to: listener)
    #expect(answer == [0, 0, 0, 1, 0xFF] && log.violations == [.noMemory])
    for channel in channels { try await channel.close().get() }
    #expect(await eventually { memory.usedBytes == 0 })
    let whole = [UInt8]([0, 0x08, 0, 0]) + [UInt8](repeating: 1, count: 8 << 16)
    let log2 = EventLog()
    let dialer = try await dial(listener, log2)
    dialer.send(Array(whole.dropFirst(4)))
    #expect(await eventually { log2.frames.first?.count == 8 << 16 })
    #expect(await eventually { memory.usedBytes == 0 })
    await listener.shutdown()
  }

  @Test func `a frame that takes too long is broken off, an idle connection is not`() async throws {
    var configuration = FrameConfiguration()
    configuration.frameTimeout = .milliseconds(100)
    let log = EventLog()
    let listener = try await echo(configuration, log: log)
    let idle = EventLog()
    let connection = try await dial(listener, idle)
    let answer = try await raw([0, 0, 0, 9, 1], to: listener)
    #expect(answer == [0, 0, 0, 1, 0xFF] && log.violations == [.tooSlow])
    connection.send([1, 2])
    #expect(await eventually { idle.frames == [[1, 2]] })
    await listener.shutdown()
  }

  @Test func `a connection cut inside a frame says how much is missing`() async throws {
    let log = EventLog()
    let listener = try await echo(log: log)
    let channel = try await ClientBootstrap(group: Self.group)
      .connect(host: "127.0.0.1", port: listener.port).get()
    try await channel.writeAndFlush(ByteBuffer(bytes: [0, 0, 0, 10, 1, 2, 3]))
    try await channel.close()
    #expect(await eventually { log.closings == [.truncated(missing: 7)] })
    await listener.shutdown()
  }

  @Test func `connections above the limit are turned away and others go on`() async throws {
    var configuration = FrameConfiguration()
    configuration.maximumConnections = 2
    let listener = try await echo(configuration)
    let logs = [EventLog(), EventLog(), EventLog()]
    let first = try await dial(listener, logs[0])
    let second = try await dial(listener, logs[1])
    #expect(await eventually { listener.connectionCount == 2 })
    let third = try? await dial(listener, logs[2])
    #expect(await eventually { listener.refusedCount == 1 })
    #expect(await eventually { third == nil || logs[2].closings.count == 1 })
    first.send([1])
    #expect(await eventually { logs[0].frames == [[1]] })
    second.abort()
    #expect(await eventually { listener.connectionCount == 1 })
    await listener.shutdown()
    #expect(listener.connectionCount == 0)
  }

  @Test func `frames stop while reading is paused and none is lost`() async throws {
    let paused = EventLog()
    let holder = Mutex<FrameConnection?>(nil)
    let listener = try await FrameListener.bind(
      host: "127.0.0.1", port: 0, on: Self.group
    ) { connection in
      holder.withLock { $0 = connection }
      return { event in
        paused.record(event)
        if case .frame = event { connection.setReading(false) }
      }
    }
    let connection = try await dial(listener, EventLog())
    for byte in 1...5 { connection.send([UInt8(byte)]) }
    for expected in 1...5 {
      #expect(await eventually { paused.frames.count == expected })
      try await Task.sleep(for: .milliseconds(20))
      #expect(paused.frames.count == expected)
      holder.withLock { $0 }?.setReading(true)
    }
    #expect(paused.frames == (1...5).map { [UInt8($0)] })
    await listener.shutdown()
  }

  @Test func `a full outbound queue refuses, then tells when it has room`() async throws {
    var configuration = FrameConfiguration()
    configuration.outboundLimit = 1 << 20
    let writable = Mutex(0)
    let holder = Mutex<FrameConnection?>(nil)
    let listener = try await FrameListener.bind(
      host: "127.0.0.1", port: 0, on: Self.group, configuration: configuration
    ) { connection in
      holder.withLock { $0 = connection }
      return { if case .writable = $0 { writable.withLock { $0 += 1 } } }
    }
    let log = EventLog()
    let reader = try await dial(listener, log)
    reader.setReading(false)
    #expect(await eventually { holder.withLock { $0 != nil } })
    let sender = try #require(holder.withLock { $0 })
    let payload = [UInt8](repeating: 7, count: 100_000)
    var queued = 0
    var result = SendResult.queued
    for _ in 0..<10_000 where result == .queued {
      result = sender.send(payload)
      if result == .queued { queued += 1 }
      try await Task.sleep(for: .microseconds(200))
    }
    #expect(result == .full)
    #expect(sender.pendingBytes <= configuration.outboundLimit)
    reader.setReading(true)
    #expect(await eventually { writable.withLock { $0 } == 1 })
    #expect(await eventually { log.frames.count == queued })
    #expect(sender.send([1]) == .queued)
    await listener.shutdown()
  }

  @Test func `dialing a closed port fails with a typed error`() async throws {
    let listener = try await echo()
    let port = listener.port
    await listener.shutdown()
    let error = await #expect(throws: TransportError.self) {
      try await FrameDialer.connect(host: "127.0.0.1", port: port, on: Self.group) { _ in { _ in } }
    }
    #expect(error?.code == .connectFailed)
  }

  @Test func `a port that is taken cannot be bound`() async throws {
    let listener = try await echo()
    let error = await #expect(throws: TransportError.self) {
      try await FrameListener.bind(host: "127.0.0.1", port: listener.port, on: Self.group) { _ in
        { _ in }
      }
    }
    #expect(error?.code == .bindFailed)
    await listener.shutdown()
  }

  @Test func `a greeting sent on accept reaches the dialer`() async throws {
    let listener = try await FrameListener.bind(
      host: "127.0.0.1", port: 0, on: Self.group
    ) { connection in
      connection.send([42])
      return { _ in }
    }
    for _ in 0..<50 {
      let log = EventLog()
      let connection = try await dial(listener, log)
      #expect(await eventually { log.frames == [[42]] })
      connection.close()
    }
    await listener.shutdown()
  }
}
