import NIOCore

/// Cuts the bytes of one channel into frames and hands them to the connection's owner.
///
/// A frame is buffered only as far as its bytes have come, so an announced length costs nothing.
///
/// **Concurrency**: belongs to the channel's event loop.
final class FrameHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer

  static let headerBytes = 4

  /// Who asked for reading to pause; it resumes when nobody does.
  enum Pauser: Int {
    case owner
    case outbound
  }

  private enum Phase {
    case open
    /// The framing was broken: nothing more is read, a last answer may be written.
    case broken
    /// Our side is closed; incoming bytes are dropped until the other side closes as well.
    case lingering
    case closed
  }

  private let connection: FrameConnection
  private var receive: (@Sendable (FrameEvent) -> Void)?
  private var context: ChannelHandlerContext?
  private var phase = Phase.open
  private var cutter: FrameCutter
  private var pausers: Set<Pauser> = []
  private var isDelivering = false
  private var failure: String?
  private var isClosedLocally = false
  private let share: MemoryShare?
  private var isWatched = false

  init(connection: FrameConnection, receive: @escaping @Sendable (FrameEvent) -> Void) {
    self.connection = connection
    self.receive = receive
    cutter = FrameCutter(limit: connection.configuration.maximumFrameBytes)
    share = connection.configuration.memory.map(MemoryShare.init)
  }

  func handlerAdded(context: ChannelHandlerContext) { self.context = context }

  func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard phase == .open else { return }
    cutter.append(unwrapInboundIn(data))
    deliverFrames()
    account()
    watch()
  }

  /// Counts what waits for the rest of its frame, or for the owner.
  private func account() {
    guard let share, phase == .open else { return }
    let counted = max(0, cutter.byteCount - FrameConfiguration.freeFrameBytes)
    if !share.hold(counted) { breakOff(.noMemory) }
  }

  /// Sees to it that an unfinished frame ends in time, with one look at a time: most are never looked
  /// at.
  private func watch() {
    guard let limit = connection.configuration.frameTimeout, let context, phase == .open,
      !isWatched, cutter.missingBytes != nil
    else { return }
    isWatched = true
    let count = cutter.frameCount
    let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
    context.eventLoop.scheduleTask(in: TimeAmount(limit)) { bound.value.look(since: count) }
  }

  private func look(since count: Int) {
    isWatched = false
    // While nothing is read, it is not the other side that takes its time.
    if phase == .open, pausers.isEmpty, cutter.missingBytes != nil, cutter.frameCount == count {
      breakOff(.tooSlow)
    } else {
      watch()
    }
  }

  private func breakOff(_ violation: FrameViolation) {
    phase = .broken
    cutter.clear()
    share?.hold(0)
    setAutoRead(false)
    deliver(.violation(violation))
  }

  func channelInactive(context: ChannelHandlerContext) {
    let reason = closeReason
    phase = .closed
    cutter.clear()
    share?.hold(0)
    connection.didClose()
    deliver(.closed(reason))
    receive = nil
    context.fireChannelInactive()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    failure = "\(error)"
    context.close(promise: nil)
  }

  func deliver(_ event: FrameEvent) { receive?(event) }

  func setPaused(_ paused: Bool, by pauser: Pauser) {
    guard phase == .open else { return }
    let wasPaused = !pausers.isEmpty
    if paused { pausers.insert(pauser) } else { pausers.remove(pauser) }
    guard wasPaused == pausers.isEmpty else { return }
    setAutoRead(pausers.isEmpty)
    if pausers.isEmpty {
      deliverFrames()
      account()
      watch()
    }
  }

  /// Ends our direction of the stream and waits for the other side's end, so that unread input does
  /// not reset the connection and destroy the last answer on its way.
  func closeGracefully() {
    guard phase == .open || phase == .broken, let context else { return }
    phase = .lingering
    isClosedLocally = true
    cutter.clear()
    share?.hold(0)
    let channel = context.channel
    channel.close(mode: .output, promise: nil)
    setAutoRead(true)
    context.eventLoop.scheduleTask(in: TimeAmount(connection.configuration.lingerTimeout)) {
      channel.close(promise: nil)
    }
  }

  func closeNow() {
    guard phase != .closed else { return }
    isClosedLocally = true
    context?.close(promise: nil)
  }

  private func setAutoRead(_ isOn: Bool) {
    guard let context else { return }
    try? context.channel.syncOptions?.setOption(.autoRead, value: isOn)
  }

  private func deliverFrames() {
    guard !isDelivering else { return }
    isDelivering = true
    defer { isDelivering = false }
    while phase == .open, pausers.isEmpty, let event = cutter.next() {
      if case .violation(let violation) = event {
        breakOff(violation)
      } else {
        deliver(event)
      }
    }
  }

  private var closeReason: CloseReason {
    if isClosedLocally { return .local }
    if let failure { return .failed(failure) }
    return cutter.missingBytes.map { .truncated(missing: $0) } ?? .remote
  }
}
