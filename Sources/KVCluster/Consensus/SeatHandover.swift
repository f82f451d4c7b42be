public import KVModel

/// Moves one seat, with all its registers, to the partition's owner.
///
/// ```
/// holder            owner
///   │ offer ──────────▶│
///   │◀────────── claim │  names its disk
///   │ batch ──────────▶│  all registers, one batch at a time
///   │◀──────── receipt │  durable there
///   │ grant ──────────▶│  after the holder has durably given the seat away
///   │◀──────── settled │  durable there: the holder may forget the registers
/// ```
///
/// The holder does not vote from the moment it sees another owner, so the registers do not change
/// on the way. Whatever is lost is sent again by ``repeat(into:)``.
///
/// **Invariants**: the seat is given only after every register was acknowledged by the same disk.
public struct SeatHandover: Hashable, Sendable {
  /// What must be done next.
  public enum Action: Hashable, Sendable {
    /// Offer the seat to the owner.
    case offer(SeatStage)
    /// Read registers after the key and give them to ``SeatHandover/scanned(_:into:)``.
    case scan(after: ObjectKey?)
    /// Send the batch.
    case send(SeatBatch)
    /// Durably give the seat to the disk, then grant it.
    case give(instance: UInt64)
  }

  /// The most registers in a batch.
  public static let batchCount = 250
  /// About the most bytes in a batch; one register may be larger.
  public static let batchBytes = 1 << 20

  /// The most seats whose registers a shard sends at once.
  public static let sendingLimit = 8

  private enum Phase: Hashable, Sendable {
    case offering
    case sending(SeatBatch)
    case giving
  }

  /// The seat as the holder has it.
  public let stage: SeatStage
  /// The owner.
  public let target: NodeID
  /// Registers acknowledged so far.
  public private(set) var registers = 0
  private var phase = Phase.offering
  private var instance: UInt64 = 0
  private var cursor: ObjectKey?
  private var isLast = false
  private var nextNumber: UInt32

  /// A handover of the seat to `target`.
  ///
  /// - Parameter firstNumber: drawn at random, so that receipts for an earlier handover, after
  /// which the
  ///   holder may have voted again, mean nothing to this one.
  public init(stage: SeatStage, target: NodeID, firstNumber: UInt32) {
    self.stage = stage
    self.target = target
    nextNumber = firstNumber
  }

  /// True while registers are on their way.
  public var isSending: Bool { if case .sending = phase { true } else { false } }

  /// Sends again what has not been answered.
  public func `repeat`(into actions: inout [Action]) {
    switch phase {
    case .offering: actions.append(.offer(stage))
    case .sending(let batch): actions.append(.send(batch))
    case .giving: break
    }
  }

  /// The owner names the disk that is to have the seat.
  public mutating func claimed(by instance: UInt64, into actions: inout [Action]) {
    guard phase == .offering || instance != self.instance, phase != .giving else { return }
    self.instance = instance
    cursor = nil
    actions.append(.scan(after: nil))
  }

  /// Sends the registers read.
  public mutating func scanned(_ scan: ReplicaScan, into actions: inout [Action]) {
    isLast = scan.isComplete
    cursor = scan.entries.last?.key ?? cursor
    guard !scan.entries.isEmpty else { return give(into: &actions) }
    let batch = SeatBatch(
      stage: stage, instance: instance, number: nextNumber, entries: scan.entries)
    nextNumber &+= 1
    phase = .sending(batch)
    actions.append(.send(batch))
  }

  /// The owner has a batch durably.
  public mutating func received(
    number: UInt32, by instance: UInt64, into actions: inout [Action]
  ) {
    guard case .sending(let batch) = phase, batch.number == number, instance == self.instance else {
      return
    }
    registers += batch.entries.count
    if isLast { give(into: &actions) } else { actions.append(.scan(after: cursor)) }
  }

  private mutating func give(into actions: inout [Action]) {
    phase = .giving
    actions.append(.give(instance: instance))
  }
}
