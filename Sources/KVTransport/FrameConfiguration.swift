/// Limits and time-outs of frame connections.
///
/// Every buffer of a connection is bounded by one of these.
public struct FrameConfiguration: Sendable {
  /// The largest payload accepted or sent, in bytes.
  ///
  /// A peer that announces more is cut off with ``FrameEvent/violation(_:)`` before anything of it
  /// is buffered.
  public var maximumFrameBytes = 64 << 20
  /// Bytes that may wait to be written to one connection; beyond, ``FrameConnection/send(_:)``
  /// answers ``SendResult/full``.
  ///
  /// A single larger payload is taken when nothing else waits.
  public var outboundLimit = 16 << 20
  /// Bytes waiting to be written above which the connection stops reading, until half of them have
  /// gone: a client that does not read its replies cannot make the server buffer more of them.
  public var readPauseThreshold = 1 << 20
  /// Connections a listener serves at once; further ones are closed as they come.
  public var maximumConnections = 4096
  /// Connections the kernel queues for a listener.
  public var backlog: Int32 = 256
  /// What the unfinished frames of all connections may hold together; nil for no limit.
  ///
  /// The first 64 KiB of each connection do not count. A connection that would go beyond
  /// is cut off with a ``FrameEvent/violation(_:)``.
  public var memory: MemoryBudget?
  /// How long a frame may take from its first byte to its last; nil for ever.
  public var frameTimeout: Duration?
  /// How long a dialer waits for a connection.
  public var connectTimeout: Duration = .seconds(5)
  /// How long a gracefully closed connection waits for the other side to close as well.
  public var lingerTimeout: Duration = .seconds(1)

  /// Bytes of an unfinished frame that do not count.
  static let freeFrameBytes = 64 << 10

  /// The defaults given above.
  public init() {}
}

/// What a connection reports, always on its event loop, in order; ``closed(_:)`` comes once and last.
public enum FrameEvent: Sendable {
  /// A whole frame's payload, without its length.
  case frame([UInt8])
  /// The other side broke the framing. Nothing more will be read; a last answer may be sent before
  /// ``FrameConnection/close()``, which the receiver of this event must call.
  case violation(FrameViolation)
  /// After ``SendResult/full``: half of the outbound limit is free again.
  case writable
  /// The connection is gone.
  case closed(CloseReason)
}

/// How the other side broke the framing.
public enum FrameViolation: Hashable, Sendable {
  /// A frame of length 0.
  case empty
  /// A frame longer than ``FrameConfiguration/maximumFrameBytes``.
  case tooLarge(announced: Int)
  /// The unfinished frames of all connections are larger than ``FrameConfiguration/memory``.
  case noMemory
  /// A frame that was not complete after ``FrameConfiguration/frameTimeout``.
  case tooSlow
}

/// Why a connection is gone.
public enum CloseReason: Hashable, Sendable {
  /// This side closed it.
  case local
  /// The other side closed it between two frames.
  case remote
  /// The other side closed it inside a frame.
  case truncated(missing: Int)
  /// The network failed; the text says how.
  case failed(String)
}

/// What became of a payload given to ``FrameConnection/send(_:)``.
public enum SendResult: Hashable, Sendable {
  /// It waits to be written. That is no promise that it arrives.
  case queued
  /// It was not taken: too much waits already. ``FrameEvent/writable`` tells when to try again.
  case full
  /// It was not taken: the connection is closed or closing.
  case closed
}
